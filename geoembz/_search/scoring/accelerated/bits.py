"""Count differing bits and keep the nearest, without writing distances to memory.

LLVM turns `popcount` over uint8 into table look-ups inside vector registers (AVX2's ``vpshufb``, or
better), which counts 32 bytes at once; NumPy makes three passes over memory for the same.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from geoembz._search.scoring.accelerated.compiled import compiled
from geoembz._search.scoring.accelerated.heaps import keep_row

_TILE_PIXELS = 4096
"""Pixels whose bytes stay in cache while all queries pass over them."""

_ROWS_PER_BYTE = 28
"""Bytes, taken four at a time, whose differing bits (224 at most) add up in one uint8."""


def _type_popcount(_context: Any, _value: Any) -> Any:
    """Count the set bits of a uint8: its type, and what is generated for it."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint8(types.uint8), generate


_popcount: Any = intrinsic(_type_popcount)


@compiled
def keep_nearest_bits(
    queries: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    positions: NDArray[np.int64],
    valid: NDArray[np.bool_],
    heap_distances: NDArray[np.uint16],
    heap_positions: NDArray[np.int64],
) -> None:
    """Take the pixels that differ in fewest bits into the heap of each query.

    Parameters
    ----------
    queries
        Shape ``(n_queries, n_bytes)``.
    codes
        Shape ``(n_bytes, n_pixels)``; pixels lie side by side in memory.
    positions
        Shape ``(n_pixels,)``.
    valid
        Shape ``(n_pixels,)``, or empty where all pixels count.
    heap_distances, heap_positions
        As of `geoembz._search.scoring.accelerated.heaps.keep_nearest`.
    """
    n_bytes, n_pixels = codes.shape
    sums, totals = np.empty(_TILE_PIXELS, np.uint8), np.empty(_TILE_PIXELS, np.uint16)
    for left in range(0, n_pixels, _TILE_PIXELS):
        right = min(left + _TILE_PIXELS, n_pixels)
        tile, where, some = codes[:, left:right], positions[left:right], valid[left:right]
        sums_here, totals_here = sums[: right - left], totals[: right - left]
        for query in range(len(queries)):
            bits, heap = queries[query], heap_distances[query]
            _count(bits, tile, 0, min(n_bytes, _ROWS_PER_BYTE), sums_here)
            if n_bytes <= _ROWS_PER_BYTE:
                if _smallest(sums_here) <= heap[0]:
                    keep_row(sums_here, where, some, 65535, heap, heap_positions[query])
                continue
            totals_here[:] = sums_here
            for start in range(_ROWS_PER_BYTE, n_bytes, _ROWS_PER_BYTE):
                _count(bits, tile, start, min(start + _ROWS_PER_BYTE, n_bytes), sums_here)
                for pixel in range(len(sums_here)):
                    totals_here[pixel] += sums_here[pixel]
            if _smallest(totals_here) <= heap[0]:
                keep_row(totals_here, where, some, 65535, heap, heap_positions[query])


@compiled
def _count(
    bits: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    start: int,
    stop: int,
    sums: NDArray[np.uint8],
) -> None:
    """Write the number of differing bits in some bytes of each pixel."""
    sums[:] = 0
    row = start
    while row + 4 <= stop:
        one, two, three, four = codes[row], codes[row + 1], codes[row + 2], codes[row + 3]
        a, b, c, d = bits[row], bits[row + 1], bits[row + 2], bits[row + 3]
        for pixel in range(len(sums)):
            sums[pixel] += (
                _popcount(a ^ one[pixel])
                + _popcount(b ^ two[pixel])
                + _popcount(c ^ three[pixel])
                + _popcount(d ^ four[pixel])
            )
        row += 4
    while row < stop:
        one, a = codes[row], bits[row]
        for pixel in range(len(sums)):
            sums[pixel] += _popcount(a ^ one[pixel])
        row += 1


@compiled
def _smallest(values: NDArray[Any]) -> Any:
    smallest = values[0]
    for pixel in range(len(values)):
        smallest = min(smallest, values[pixel])
    return smallest
