"""The k nearest of many pixels in bounded memory, whatever the distance. Knows only NumPy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError

type Distances = Callable[[slice, slice], NDArray[np.float32] | NDArray[np.uint32]]
"""Distances of some queries (first slice) to some pixels (second), ``(n_queries, n_pixels)``."""

_BLOCK_QUERIES = 256
_GROUP = 128
"""Columns that are looked at together when most of them can be ruled out."""
_BYTES_PER_PAIR = 32
"""A distance, its 64-bit sort key and their temporaries."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest pixels of each query, nearest first; of equal distances the lower index first.

    Parameters
    ----------
    index
        int64, shape ``(n_queries, k)``.
    distance
        float32 or uint32, shape ``(n_queries, k)``.
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float32] | NDArray[np.uint32]


def nearest(
    distances: Distances, n_queries: int, n_pixels: int, k: int, max_bytes: int = 1 << 26
) -> Neighbours:
    """Return the `k` nearest pixels of each query, computing distances block by block.

    Ties go to the lower index, so the result does not depend on the blocks.

    Parameters
    ----------
    distances
        Called with slices of queries and pixels; float32 (no NaN) or uint32, smaller is nearer.
    n_queries, n_pixels
        How many there are; at most ``2**32`` pixels.
    k
        Neighbours per query, 1 to `n_pixels`.
    max_bytes
        Rough bound on working memory, in bytes.

    Returns
    -------
    neighbours
        Indices and distances, nearest first.

    Raises
    ------
    InvalidConfigError
        If `k` is not in 1 to `n_pixels`, or there are more than ``2**32`` pixels.

    References
    ----------
    DESIGN.md §2, "codes".

    Examples
    --------
    >>> points = np.array([0.0, 5.0, 1.0], dtype=np.float32)
    >>> def away(queries: slice, pixels: slice) -> NDArray[np.float32]:
    ...     return np.abs(points[queries, np.newaxis] - points[pixels])
    >>> nearest(away, 3, 3, k=2).index
    array([[0, 2],
           [1, 2],
           [2, 0]])
    """
    if not 1 <= k <= n_pixels or n_pixels > 2**32:
        raise InvalidConfigError(
            f"neighbours: k = {k} of {n_pixels} pixels; expected 1 to the number of pixels, "
            "and at most 2**32 pixels"
        )
    width = max(k, max_bytes // (_BLOCK_QUERIES * _BYTES_PER_PAIR))
    found = [
        _nearest_of_block(
            distances, slice(start, min(start + _BLOCK_QUERIES, n_queries)), n_pixels, k, width
        )
        for start in range(0, n_queries, _BLOCK_QUERIES)
    ]
    kind = found[0][1] if found else np.dtype(np.float32)
    keys = np.concatenate([keys for keys, _ in found]) if found else np.empty((0, k), np.uint64)
    index = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return Neighbours(index, _from_sortable((keys >> np.uint64(32)).astype(np.uint32), kind))


def _nearest_of_block(
    distances: Distances, queries: slice, n_pixels: int, k: int, width: int
) -> tuple[NDArray[np.uint64], np.dtype[np.generic]]:
    """Smallest `k` keys (distance above, index below) of some queries, in order."""
    best = np.empty((queries.stop - queries.start, 0), dtype=np.uint64)
    kind: np.dtype[np.generic] = np.dtype(np.float32)
    for start in range(0, n_pixels, width):
        pixels = slice(start, min(start + width, n_pixels))
        block = distances(queries, pixels)
        kind = block.dtype
        keys = _smallest_keys(block, pixels.start, k)
        best = np.sort(np.concatenate([best, keys], axis=1), axis=1)[:, :k]
    return best, kind


def _smallest_keys(
    block: NDArray[np.float32] | NDArray[np.uint32], first_index: int, k: int
) -> NDArray[np.uint64]:
    """Keys of at least the `k` smallest values of each row, without sorting the row.

    The k smallest lie in the k groups of columns whose smallest values are smallest.
    """
    n_queries, n_pixels = block.shape
    n_groups = n_pixels // _GROUP
    if n_groups <= k:
        return _keys(block, np.arange(first_index, first_index + n_pixels))
    grouped: NDArray[Any] = block[:, : n_groups * _GROUP].reshape(n_queries, n_groups, _GROUP)
    smallest: NDArray[Any] = grouped.min(axis=2)
    minima = _keys(smallest, np.arange(n_groups))
    groups = np.partition(minima, k - 1, axis=1)[:, :k] & np.uint64(0xFFFFFFFF)
    columns = (groups[:, :, np.newaxis] * np.uint64(_GROUP)).astype(np.int64) + np.arange(_GROUP)
    columns = columns.reshape(n_queries, -1)
    keys = _keys(np.take_along_axis(block, columns, axis=1), columns + first_index)
    tail = np.arange(n_groups * _GROUP, n_pixels)
    return np.concatenate([keys, _keys(block[:, tail], tail + first_index)], axis=1)


def _keys(values: NDArray[Any], index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Put the value above and the index below, 32 bits each: no two keys are equal."""
    return (_to_sortable(values).astype(np.uint64) << np.uint64(32)) | index.astype(np.uint64)


def _to_sortable(values: NDArray[Any]) -> NDArray[np.uint32]:
    """Map float32 to integers of the same order; integers stay."""
    if values.dtype == np.uint32:
        return values.view(np.uint32)
    bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 turns -0 into 0
    return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))


def _from_sortable(
    integers: NDArray[np.uint32], kind: np.dtype[np.generic]
) -> NDArray[np.float32] | NDArray[np.uint32]:
    """Undo `_to_sortable`."""
    if kind == np.uint32:
        return integers
    bits = np.where(integers >> 31, integers & np.uint32(0x7FFFFFFF), ~integers)
    return bits.view(np.float32)
