"""Matrix products of one fixed width.

BLAS picks other kernels for other widths, and a sum in another order flips a code here and there.
"""

import numpy as np
from numpy.typing import NDArray

TILE_PIXELS = 1024
"""Width of every matrix product; a tile stays in cache through the passes that follow."""

MOST_PIXELS = 8 * TILE_PIXELS
"""Pixels that are worth a round of NumPy calls, each of which threads wait for each other to make.

A multiple of all that `cached_pixels` returns.
"""

_CACHE_NUMBERS = 2**19
"""float32 numbers, 2 MiB, that stay in cache from one pass to the next."""


def cached_pixels(length: int) -> int:
    """Return how many vectors of a length to work on at once: whole tiles, a power of two of them.

    Examples
    --------
    >>> cached_pixels(64), cached_pixels(128), cached_pixels(768)
    (8192, 4096, 1024)
    """
    tiles = max(_CACHE_NUMBERS // (length * TILE_PIXELS), 1)
    return min(TILE_PIXELS << (tiles.bit_length() - 1), MOST_PIXELS)


def multiply_padded(
    matrix: NDArray[np.float32], padded: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write as many columns of ``matrix @ padded`` into `out` as it is wide."""
    if out.shape[1] == padded.shape[1]:
        np.matmul(matrix, padded, out=out)
    else:
        out[...] = (matrix @ padded)[:, : out.shape[1]]


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
    padded = np.zeros((n_components + 1, TILE_PIXELS), dtype=np.float32)
    padded[-1] = 1.0
    return padded


def affine_tile(
    matrix: NDArray[np.float32], padded: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Multiply the scores in a padded tile, as many as `out` is wide; zero those beyond."""
    padded[:-1, out.shape[1] :] = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        multiply_padded(matrix, padded, out)
