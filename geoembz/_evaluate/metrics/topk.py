"""Search blocks of queries against blocks of references, keeping the k nearest of each query.

A distance and the reference's row number share one 64-bit integer, distance in the upper half.
Such keys are unique and ordered by distance, then row, so ties need no further care, and NumPy's
vectorised partition works on them directly. Only the first block of references is sorted that way:
of later ones, few distances are below the k-th smallest so far, and only those become keys. Memory
is one key block per worker, whatever the data.

Equal references can be searched once (`Copies`), so that they get one distance. BLAS may round a
product by the place of its column: on some processors copies of one vector get distances that
differ in the last bit, and the order among copies would depend on the processor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.splits import rank_within
from geoembz._util.threads import for_each, single_threaded_blas, worker_count
from geoembz.errors import InvalidConfigError

QUERY_BLOCK, REFERENCE_BLOCK = 256, 2048
"""Rows of one product: 2 MB of distances stay in a core's cache while the nearest are picked."""

type Keys = NDArray[np.uint64]
type BlockDistances = Callable[[slice, slice], NDArray[np.generic]]
"""Rows of queries and of references to distances: non-negative float32, or uint32."""

_ROW_BITS = np.uint64(32)
_ROW_MASK = np.uint64(2**32 - 1)
_LARGEST = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Neighbours:
    """The k nearest references of each query, nearest first, ties by row number.

    `indices` (int64) and `distances` have shape ``(n_queries, k)``; distances are float32 cosine
    distances in [0, 2], or uint32 counts of differing bits.
    """

    indices: NDArray[np.int64]
    distances: NDArray[Any]

    @classmethod
    def from_keys(cls, keys: Keys, dtype: type[np.generic]) -> Self:
        """Take row numbers and distances of `dtype`, four bytes wide, out of sort keys."""
        distances = (keys >> _ROW_BITS).astype(np.uint32).view(dtype)
        return cls(indices=key_rows(keys), distances=distances)


def nearest(
    distances: BlockDistances,
    n_queries: int,
    n_references: int,
    k: int,
    own_row: NDArray[np.integer] | None,
) -> Keys:
    """Return the sorted keys of the k smallest distances, one thread per block of queries."""
    require_enough(k, n_references, own_row)

    def search(start: int) -> Keys:
        queries = slice(start, min(start + QUERY_BLOCK, n_queries))
        return _search_block(distances, queries, n_references, k, own_row)

    with single_threaded_blas():
        found = for_each(range(0, n_queries, QUERY_BLOCK), search, worker_count())
    return np.concatenate(found) if found else np.empty((0, k), np.uint64)


def require_enough(k: int, n_references: int, own_row: NDArray[np.integer] | None) -> None:
    """Refuse a `k` that there are not enough references for."""
    available = n_references - (own_row is not None)
    if not 1 <= k <= available:
        raise InvalidConfigError(
            f"neighbours: k={k} with {available} references to choose from; expected 1 ≤ k ≤ "
            f"{available}"
        )


def sort_keys(distances: NDArray[np.generic], first_row: int = 0) -> Keys:
    """Join distances and column numbers into sortable keys.

    A non-negative float32 keeps its order when its bits are read as an integer.
    """
    keys = np.ascontiguousarray(distances).view(np.uint32).astype(np.uint64)
    keys <<= _ROW_BITS
    keys |= np.arange(first_row, first_row + distances.shape[1], dtype=np.uint64)
    return keys


def key_rows(keys: Keys) -> NDArray[np.int64]:
    """Return the row numbers inside sort keys."""
    return (keys & _ROW_MASK).astype(np.int64)


def _search_block(
    distances: BlockDistances,
    queries: slice,
    n_references: int,
    k: int,
    own_row: NDArray[np.integer] | None,
) -> Keys:
    best = np.empty((queries.stop - queries.start, 0), np.uint64)
    for start in range(0, n_references, REFERENCE_BLOCK):
        references = slice(start, min(start + REFERENCE_BLOCK, n_references))
        # the bits of a non-negative float32 rank as the number does, in integer comparisons
        bits = np.ascontiguousarray(distances(queries, references)).view(np.uint32)
        if own_row is not None:
            _hide(bits, own_row[queries] - start)
        keys = sort_keys(bits, start) if best.shape[1] < k else _nearer_keys(bits, best, start)
        best = _smallest(np.concatenate([best, keys], axis=1), k)
    return np.sort(best, axis=1)


def _nearer_keys(bits: NDArray[np.uint32], best: Keys, first_row: int) -> Keys:
    """Return the keys below each query's largest one in `best`, padded with the largest integer.

    Rows come in ascending order, so that an equal distance is a larger key.
    """
    farthest = (best.max(axis=1) >> _ROW_BITS).astype(np.uint32)
    queries, columns = np.nonzero(bits < farthest[:, np.newaxis])
    counts = np.bincount(queries, minlength=len(bits))
    place = np.arange(len(queries)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.full((len(bits), counts.max()), _LARGEST, np.uint64)
    rows = columns.astype(np.uint64) + np.uint64(first_row)
    keys[queries, place] = bits[queries, columns].astype(np.uint64) << _ROW_BITS | rows
    return keys


def _hide(bits: NDArray[np.uint32], columns: NDArray[np.integer]) -> None:
    """Put each query's own row behind every other reference, in place."""
    here = np.flatnonzero((columns >= 0) & (columns < bits.shape[1]))
    bits[here, columns[here]] = np.iinfo(np.uint32).max


def _smallest(keys: Keys, k: int) -> Keys:
    return keys if keys.shape[1] <= k else np.partition(keys, k - 1, axis=1)[:, :k]


@dataclass(frozen=True)
class Copies:
    """Which references are equal.

    Parameters
    ----------
    first
        Row of the first copy of each different reference, ascending, shape ``(n_different,)``.
    of_row
        Position in `first` of every row's vector, shape ``(n,)``.
    """

    first: NDArray[np.int64]
    of_row: NDArray[np.int64]

    @classmethod
    def among(cls, vectors: NDArray[np.float32]) -> Self:
        """Compare rows by a digest of their bytes, both zeros alike."""
        known: dict[bytes, int] = {}
        of_row = np.empty(len(vectors), np.int64)
        first: list[int] = []
        for row, vector in enumerate(vectors):
            digest = blake2b((vector + np.float32(0)).tobytes(), digest_size=16).digest()
            number = known.setdefault(digest, len(known))
            of_row[row] = number
            if number == len(first):
                first.append(row)
        return cls(np.array(first, np.int64), of_row)

    def members(self, most: int) -> NDArray[np.uint64]:
        """Return the first `most` rows of each different reference, padded with the largest."""
        counts, rank = np.bincount(self.of_row), rank_within(self.of_row)
        kept = rank < most
        table = np.full((len(counts), min(most, int(counts.max()))), _LARGEST, np.uint64)
        table[self.of_row[kept], rank[kept]] = np.flatnonzero(kept)
        return table


def expand_copies(
    keys: Keys, copies: Copies, k: int, own_row: NDArray[np.integer] | None
) -> NDArray[np.uint64]:
    """Turn keys of different references into the k smallest keys of rows, without the own row.

    Parameters
    ----------
    keys
        Sorted keys whose rows are positions in ``copies.first``; ``min(k + 1, n_different)`` of
        each query, so that k rows are left without its own.
    copies
        Which references are equal.
    k
        Neighbours per query.
    own_row
        Row of each query among the references, which is left out.
    """
    table = copies.members(k + 1)
    found = np.empty((len(keys), k), np.uint64)
    for start in range(0, len(keys), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        rows = table[key_rows(keys[block])]
        wide = (keys[block] & ~_ROW_MASK)[:, :, np.newaxis] | rows
        hidden = rows == _LARGEST
        if own_row is not None:
            hidden |= rows == own_row[block, np.newaxis, np.newaxis].astype(np.uint64)
        wide[hidden] = _LARGEST
        wide = wide.reshape(len(wide), -1)
        found[block] = np.sort(np.partition(wide, k - 1, axis=1)[:, :k], axis=1)
    return found
