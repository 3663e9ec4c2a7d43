"""Search equal references once, so that they get one distance, and rank them by row number.

BLAS may round a product by the place of its column: on some processors copies of one vector get
distances that differ in the last bit, and the order among copies would depend on the processor.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics._topk import QUERY_BLOCK, Keys, key_rows

_ROWS = np.uint64(2**32 - 1)
_LARGEST = np.uint64(2**64 - 1)


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
        order = np.argsort(self.of_row, kind="stable")
        counts = np.bincount(self.of_row)
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = rank < most
        table = np.full((len(counts), min(most, int(counts.max()))), _LARGEST, np.uint64)
        table[self.of_row[order[kept]], rank[kept]] = order[kept].astype(np.uint64)
        return table


def expanded(
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
        wide = (keys[block] & ~_ROWS)[:, :, np.newaxis] | rows
        hidden = rows == _LARGEST
        if own_row is not None:
            hidden |= rows == own_row[block, np.newaxis, np.newaxis].astype(np.uint64)
        wide[hidden] = _LARGEST
        wide = wide.reshape(len(wide), -1)
        found[block] = np.sort(np.partition(wide, k - 1, axis=1)[:, :k], axis=1)
    return found
