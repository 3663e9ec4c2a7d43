"""Take the mean off a tile of pixels: the pass over memory before a projection's product."""

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._projection.tiles import TILE_PIXELS, cached_pixels

_TRANSPOSED_PIXELS = 128
"""Vectors transposed at once, where they come as rows."""

_LINE_NUMBERS = 16
"""float32 in a line of cache, 64 bytes."""


class Centring:
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
