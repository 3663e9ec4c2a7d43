"""Passes over pixels whose results do not depend on how many pixels are read together.

Products have one fixed width, padded with zeros: BLAS picks other kernels for other widths, and a
sum in another order flips a code here and there. The passes before a product, taking off the mean
and scaling to length 1, work on blocks that stay in cache.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TILE_PIXELS = 1024
"""Width of every matrix product; a tile stays in cache through the passes that follow."""

MOST_PIXELS = 8 * TILE_PIXELS
"""Largest block for which NumPy's per-call overhead, serialised by the GIL, stays negligible.

A multiple of all that `cached_pixels` returns.
"""

_CACHE_NUMBERS = 2**19
"""float32 numbers, 2 MiB, that stay in cache from one pass to the next."""

_TRANSPOSED_PIXELS = 128
"""Vectors transposed at once, where they come as rows."""

_LINE_NUMBERS = 16
"""float32 in a line of cache, 64 bytes."""


def cached_pixels(length: int) -> int:
    """Return how many vectors of a length to work on at once: whole tiles, a power of two of them.

    Examples
    --------
    >>> cached_pixels(64), cached_pixels(128), cached_pixels(768)
    (8192, 4096, 1024)
    """
    # A power of two divides `MOST_PIXELS`, so that blocks of all lengths end at the same pixels.
    tiles = max(_CACHE_NUMBERS // (length * TILE_PIXELS), 1)
    return min(TILE_PIXELS << (tiles.bit_length() - 1), MOST_PIXELS)


def multiply_padded(
    matrix: NDArray[np.float32], padded: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write as many columns of ``matrix @ padded`` into `out` as it is wide."""
    # The whole width is multiplied even for one pixel: a narrower product may call another BLAS
    # kernel (gemv, or other blocking), which adds up in another order.
    if out.shape[1] == padded.shape[1]:
        np.matmul(matrix, padded, out=out)
    else:
        out[...] = (matrix @ padded)[:, : out.shape[1]]


def multiply_tiles(
    matrix: NDArray[np.float32], columns: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Multiply whole tiles of columns one by one; the last one's output may be narrower."""
    for start in range(0, columns.shape[1], TILE_PIXELS):
        tile = slice(start, start + TILE_PIXELS)
        multiply_padded(matrix, columns[:, tile], out[:, tile])


def affine(
    matrix: NDArray[np.float32] | None, scores: NDArray[np.float32], out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Multiply scores and a last row of ones into `out`; copy them where there is no matrix."""
    if matrix is None:
        np.copyto(out, scores)
        return out
    padded = padded_tile(len(scores))
    for start in range(0, scores.shape[1], TILE_PIXELS):
        tile = scores[:, start : start + TILE_PIXELS]
        padded[:-1, : tile.shape[1]] = tile
        affine_tile(matrix, padded, out[:, start : start + TILE_PIXELS])
    return out


def padded_tile(n_components: int) -> NDArray[np.float32]:
    """Return a tile for `affine_tile`: room for scores, and a last row of ones."""
    # By the row of ones the product adds the mean: another pass over the result costs more.
    padded = np.zeros((n_components + 1, TILE_PIXELS), dtype=np.float32)
    padded[-1] = 1.0
    return padded


def affine_tile(
    matrix: NDArray[np.float32], padded: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Multiply the scores in a padded tile, as many as `out` is wide; zero those beyond."""
    padded[:-1, out.shape[1] :] = 0.0  # not an earlier tile's scores
    with np.errstate(over="ignore", invalid="ignore"):
        multiply_padded(matrix, padded, out)


class Centering:
    """Takes the mean off whole tiles; the memory that the results lie in is used again.

    Fresh memory for every tile would cost more than the arithmetic: the system clears each page.

    Parameters
    ----------
    mean
        float32, shape ``(dimension,)``.
    keeps_rows
        Whether vectors that come as rows may stay rows in memory.

    Attributes
    ----------
    width
        Pixels that may be given at once: tiles in a row, long enough to be fetched ahead.
    """

    def __init__(self, mean: NDArray[np.float32], *, keeps_rows: bool) -> None:
        self.width = cached_pixels(len(mean))
        self._mean, self._keeps_rows = mean, keeps_rows
        self._memory = np.empty(len(mean) * self.width, dtype=np.float32)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``pixels - mean`` and zeros up to the end of the last tile, until the next call.

        Parameters
        ----------
        pixels
            Shape ``(dimension, n_pixels)``, at most `width` pixels; vectors that come as rows are
            given transposed.

        Returns
        -------
        centred
            float32, ``dimension`` times whole tiles.
        """
        n_pixels = pixels.shape[1]
        padded = -(-n_pixels // TILE_PIXELS) * TILE_PIXELS
        # Rows in memory (tables) have the shorter stride along a vector, rasters along pixels.
        by_pixel = abs(pixels.strides[0]) < abs(pixels.strides[1])
        if by_pixel and self._keeps_rows:
            rows = self._memory.reshape(self.width, -1)[:padded]
            np.subtract(pixels.T, self._mean, out=rows[:n_pixels])
            rows[n_pixels:] = 0.0
            return rows.T
        columns = self._memory.reshape(-1, self.width)[:, :padded]
        if by_pixel:
            self._transpose(pixels.T, columns)
        else:
            np.subtract(pixels, self._mean[:, np.newaxis], out=columns[:, :n_pixels])
        columns[:, n_pixels:] = 0.0
        return columns

    def _transpose(self, vectors: NDArray[np.float32], columns: NDArray[np.float32]) -> None:
        # Rows of an odd number of cache lines: at powers of two, all numbers of one component would
        # compete for the same few places in the cache.
        dimension = len(self._mean)
        lines = -(-dimension // _LINE_NUMBERS) | 1
        rows = np.empty((_TRANSPOSED_PIXELS, lines * _LINE_NUMBERS), dtype=np.float32)
        for start in range(0, len(vectors), _TRANSPOSED_PIXELS):
            some = vectors[start : start + _TRANSPOSED_PIXELS]
            centred = rows[: len(some), :dimension]
            np.subtract(some, self._mean, out=centred)
            columns[:, start : start + len(some)] = centred.T


def scale_to_unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale columns to length 1; columns of length 0 stay, those not finite become NaN.

    Examples
    --------
    >>> scale_to_unit(np.array([[3.0, 0.0], [4.0, 0.0]], dtype=np.float32))
    array([[0.6, 0. ],
           [0.8, 0. ]], dtype=float32)
    """
    wide = values.astype(np.float64)  # squares of float32 would overflow from 1.8e19 on
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(_sum_of_rows(np.square(wide)))
        length[length == 0] = 1.0
        length[np.isinf(length)] = np.nan
        wide /= length
    return wide.astype(np.float32)


def _sum_of_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up rows, in place, in an order that neither their width nor their layout changes.

    NumPy's own sums have another order for one column than for many.
    """
    count = len(rows)
    while count > 1:
        half = count // 2
        rows[:half] += rows[half : 2 * half]
        if count % 2:
            rows[0] += rows[count - 1]
        count = half
    return np.asarray(rows[0])
