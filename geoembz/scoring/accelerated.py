"""The loop of `geoembz.scoring.hamming`, compiled by numba: four rows of bytes in each pass.

LLVM turns `popcount` over uint8 into table look-ups inside vector registers (AVX2's ``vpshufb``, or
better), which counts 32 bytes at once; NumPy makes three passes over memory for the same.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray


def _type_popcount(_context: Any, _value: Any) -> Any:
    """Count the set bits of a uint8: its type, and what is generated for it."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint8(types.uint8), generate


_popcount: Any = intrinsic(_type_popcount)


_TILE_PIXELS = 2048
"""Pixels whose bytes stay in cache while all queries pass over them."""


@njit(nogil=True, cache=True)
def count_differing_bits(
    queries: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    out: NDArray[np.uint16],
    nearest: NDArray[np.uint16],
) -> None:
    """Write all distances into `out` and the smallest of each query into `nearest`.

    Parameters
    ----------
    queries
        Shape ``(n_queries, n_bytes)``.
    codes
        Shape ``(n_bytes, n_pixels)``; pixels lie side by side in memory.
    out
        Shape ``(n_queries, n_pixels)``.
    nearest
        Shape ``(n_queries,)``.
    """
    n_bytes, n_pixels = codes.shape
    sums = np.empty(_TILE_PIXELS, np.uint8)
    nearest[:] = 65535
    for left in range(0, n_pixels, _TILE_PIXELS):
        width = min(_TILE_PIXELS, n_pixels - left)
        for query in range(len(queries)):
            bits, total = queries[query], out[query, left : left + width]
            total[:] = 0
            for start in range(0, n_bytes, 28):  # they differ in 224 bits at most: fits uint8
                stop = min(start + 28, n_bytes)
                sums[:] = 0
                row = start
                while row + 4 <= stop:
                    one = codes[row, left : left + width]
                    two = codes[row + 1, left : left + width]
                    three = codes[row + 2, left : left + width]
                    four = codes[row + 3, left : left + width]
                    a, b, c, d = bits[row], bits[row + 1], bits[row + 2], bits[row + 3]
                    for pixel in range(width):
                        sums[pixel] += (
                            _popcount(a ^ one[pixel])
                            + _popcount(b ^ two[pixel])
                            + _popcount(c ^ three[pixel])
                            + _popcount(d ^ four[pixel])
                        )
                    row += 4
                while row < stop:
                    one, a = codes[row, left : left + width], bits[row]
                    for pixel in range(width):
                        sums[pixel] += _popcount(a ^ one[pixel])
                    row += 1
                for pixel in range(width):
                    total[pixel] += sums[pixel]
            smallest = nearest[query]
            for pixel in range(width):
                smallest = min(smallest, total[pixel])
            nearest[query] = smallest
