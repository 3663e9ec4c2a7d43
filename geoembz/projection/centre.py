"""Take the mean off a tile of pixels: the pass over memory before a projection's product."""

import numpy as np
from numpy.typing import NDArray

_TRANSPOSED_PIXELS = 128
"""Vectors transposed at once, where they come as rows."""

_LINE_NUMBERS = 16
"""float32 in a line of cache, 64 bytes."""


def subtract_mean(
    tile: NDArray[np.float32], mean: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write ``tile - mean`` into `out`, whichever axis of the tile is contiguous in memory.

    Parameters
    ----------
    tile
        Shape ``(dimension, n_pixels)``; vectors that come as rows are given transposed.
    mean
        Shape ``(dimension,)``.
    out
        Shape of `tile`, contiguous along pixels.
    """
    # Rows of an odd number of cache lines: at powers of two, all numbers of one component would
    # compete for the same few places in the cache.
    if abs(tile.strides[0]) >= abs(tile.strides[1]):
        np.subtract(tile, mean[:, np.newaxis], out=out)
        return
    lines = -(-len(tile) // _LINE_NUMBERS) | 1
    rows = np.empty((_TRANSPOSED_PIXELS, lines * _LINE_NUMBERS), dtype=np.float32)
    for start in range(0, tile.shape[1], _TRANSPOSED_PIXELS):
        some = tile[:, start : start + _TRANSPOSED_PIXELS].T
        centred = rows[: len(some), : len(tile)]
        np.subtract(some, mean, out=centred)
        out[:, start : start + len(some)] = centred.T
