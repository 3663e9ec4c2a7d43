"""Keep the k nearest of each query while blocks of distances stream by.

Order is by distance, then by position, so the result does not depend on how the stream was cut or
on which thread saw which part of it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NOWHERE = np.int64(2**63 - 1)
"""Position of a place that is still free."""


class BestK:
    """The k nearest positions of each query so far.

    Parameters
    ----------
    n_queries, k
        What to keep.
    dtype
        Type of the distances: float32, or an unsigned integer.

    Attributes
    ----------
    distances
        Ascending, shape ``(n_queries, k)``; `farthest` where nothing was found yet.
    positions
        int64, shape ``(n_queries, k)``; `NOWHERE` where nothing was found yet.
    farthest
        The distance of pixels that do not count.

    Examples
    --------
    >>> best = BestK(1, 2, np.dtype(np.float32))
    >>> best.update(np.array([[3.0, 1.0, 1.0]], dtype=np.float32), np.array([5, 6, 9]))
    >>> best.positions
    array([[6, 9]])
    """

    def __init__(self, n_queries: int, k: int, dtype: np.dtype[Any]) -> None:
        self.farthest = np.inf if dtype.kind == "f" else np.iinfo(dtype).max
        self.distances: NDArray[Any] = np.full((n_queries, k), self.farthest, dtype)
        self.positions = np.full((n_queries, k), NOWHERE, np.int64)

    def update(
        self,
        distances: NDArray[Any],
        positions: NDArray[np.int64],
        nearest: NDArray[Any] | None = None,
    ) -> None:
        """Take in a block.

        Parameters
        ----------
        distances
            Shape ``(n_queries, n)``; `farthest` where a pixel does not count.
        positions
            Ascending, int64, shape ``(n,)``.
        nearest
            The smallest distance of each query in this block, where that is known already.
        """
        if not len(positions):
            return
        smallest = distances.min(axis=1) if nearest is None else nearest
        limit, last = self.distances[:, -1], self.positions[:, -1]
        wanted = (smallest < limit) | ((smallest == limit) & (positions[0] < last))
        for query in np.flatnonzero(wanted):
            row = distances[query]
            found = np.flatnonzero((row <= limit[query]) & (row < self.farthest))
            if len(found) > len(self.distances[query]):
                place = self.distances.shape[1] - 1
                found = found[row[found] <= np.partition(row[found], place)[place]]
            self._add(int(query), row[found], positions[found])

    def merge(self, other: "BestK") -> None:
        """Take in what another stream found."""
        for query, (distances, positions) in enumerate(
            zip(other.distances, other.positions, strict=True)
        ):
            self._add(query, distances, positions)

    def _add(self, query: int, distances: NDArray[Any], positions: NDArray[np.int64]) -> None:
        k = self.distances.shape[1]
        all_distances = np.concatenate([self.distances[query], distances])
        all_positions = np.concatenate([self.positions[query], positions])
        order = np.lexsort((all_positions, all_distances))[:k]
        self.distances[query] = all_distances[order]
        self.positions[query] = all_positions[order]
