"""Loops compiled by numba (extra ``accel``); NumPy finds the same without them.

Import this module only where `has_accelerator` says so: numba takes longer to load than small
searches take. All loops are in one file, since numba notices a change of a loop's own file only.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from geoembz._util.compiling import compiled


@compiled
def keep_nearest(
    distances: NDArray[Any],
    positions: NDArray[np.int64],
    valid: NDArray[np.bool_],
    farthest: Any,
    heap_distances: NDArray[Any],
    heap_positions: NDArray[np.int64],
) -> None:
    """Take the nearest of a block into the heap of each query.

    Parameters
    ----------
    distances
        Shape ``(n_queries, n)``; NaN is never near.
    positions
        Shape ``(n,)``.
    valid
        Shape ``(n,)``, or empty where all pixels count.
    farthest
        The distance of places that are still free; what is as far is not kept.
    heap_distances, heap_positions
        Shape ``(n_queries, k)``, each row a max-heap by distance, then position.
    """
    for query in range(len(distances)):
        row, heap = distances[query], heap_distances[query]
        limit, near = heap[0], False
        for pixel in range(len(row)):  # no branch inside: vector registers compare
            near |= row[pixel] <= limit
        if near:
            keep_row(row, positions, valid, farthest, heap, heap_positions[query])


@compiled
def keep_row(
    distances: NDArray[Any],
    positions: NDArray[np.int64],
    valid: NDArray[np.bool_],
    farthest: Any,
    heap_distances: NDArray[Any],
    heap_positions: NDArray[np.int64],
) -> None:
    """Take the nearest of one query; arguments as of `keep_nearest`, without the first axis."""
    for pixel in range(len(distances)):
        distance = distances[pixel]
        if distance <= heap_distances[0] and distance < farthest:
            if len(valid) > 0 and not valid[pixel]:
                continue
            position = positions[pixel]
            if distance < heap_distances[0] or position < heap_positions[0]:
                _replace_worst(heap_distances, heap_positions, distance, position)


@compiled
def _replace_worst(
    distances: NDArray[Any], positions: NDArray[np.int64], distance: Any, position: int
) -> None:
    """Put a nearer one into a max-heap, in place of its first."""
    place, size = 0, len(distances)
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            distances[other] > distances[child]
            or (distances[other] == distances[child] and positions[other] > positions[child])
        ):
            child = other
        if distances[child] < distance or (
            distances[child] == distance and positions[child] <= position
        ):
            break
        distances[place], positions[place] = distances[child], positions[child]
        place = child
    distances[place], positions[place] = distance, position


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
        As of `keep_nearest`.
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


@compiled
def squared_lengths(
    numbers: NDArray[np.float32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write ``((numbers * scale + offset) ** 2).sum(axis=0)``, added up in the order of rows.

    Parameters
    ----------
    numbers
        Shape ``(n_components, n_pixels)``.
    scale, offset
        Shape ``(n_components,)``.
    out
        Shape ``(n_pixels,)``.
    """
    out[:] = 0
    for component in range(len(numbers)):
        row, factor, addend = numbers[component], scale[component], offset[component]
        for pixel in range(len(row)):
            value = row[pixel] * factor + addend
            out[pixel] += value * value
