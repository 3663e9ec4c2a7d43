"""What searches ask of queries, whatever their metric, and the k nearest that they keep.

Order is by distance, then by position, so the result does not depend on how the stream was cut or
on which thread saw which part of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geoembz._util.compiling import has_accelerator
from geoembz.encoding._projection import MOST_PIXELS
from geoembz.encoding._quantization import Codes, Quantizer

NOWHERE = np.int64(2**63 - 1)
"""Position of a place that is still free."""

ALL_VALID: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
"""What compiled loops take for a mask where all pixels count."""


class BestK:
    """The k nearest positions of each query so far.

    Parameters
    ----------
    n_queries, k
        What to keep.
    dtype
        Type of the distances: float32, or an unsigned integer.
    accelerate
        Use numba.

    Attributes
    ----------
    farthest
        The distance of pixels that do not count, and of places that are still free.
    heap_distances, heap_positions
        Shape ``(n_queries, k)``: each row is a max-heap, the worst that is kept stands first.

    Examples
    --------
    >>> best = BestK(1, 2, np.dtype(np.float32))
    >>> best.update(np.array([[3.0, 1.0, 1.0]], dtype=np.float32), np.array([5, 6, 9]))
    >>> best.positions
    array([[6, 9]])
    """

    def __init__(
        self, n_queries: int, k: int, dtype: np.dtype[Any], *, accelerate: bool = False
    ) -> None:
        self.farthest = dtype.type(np.inf if dtype.kind == "f" else np.iinfo(dtype).max)
        self.heap_distances: NDArray[Any] = np.full((n_queries, k), self.farthest, dtype)
        self.heap_positions = np.full((n_queries, k), NOWHERE, np.int64)
        self._accelerate = accelerate

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.heap_distances.nbytes + self.heap_positions.nbytes

    @property
    def distances(self) -> NDArray[Any]:
        """Ascending, shape ``(n_queries, k)``; `farthest` where nothing was found."""
        return np.sort(self.heap_distances, axis=1)

    @property
    def positions(self) -> NDArray[np.int64]:
        """int64, shape ``(n_queries, k)``, nearest first; `NOWHERE` where nothing was found."""
        order = np.lexsort((self.heap_positions, self.heap_distances), axis=1)
        return np.take_along_axis(self.heap_positions, order, axis=1)

    def update(
        self,
        distances: NDArray[Any],
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in a block.

        Parameters
        ----------
        distances
            Shape ``(n_queries, n)``; `farthest` or NaN where a pixel does not count.
        positions
            Ascending, int64, shape ``(n,)``.
        valid
            bool, shape ``(n,)``; None where all pixels count.
        """
        if self._accelerate:
            from geoembz._search.compiled import keep_nearest

            mask = ALL_VALID if valid is None else valid
            heaps = self.heap_distances, self.heap_positions
            keep_nearest(distances, positions, mask, self.farthest, *heaps)
        elif len(positions):
            self._update(distances, positions, valid)

    def _update(
        self,
        distances: NDArray[Any],
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None,
    ) -> None:
        k = self.heap_distances.shape[1]
        smallest = np.fmin.reduce(distances, axis=1)  # past NaN
        for query in np.flatnonzero(smallest <= self.heap_distances[:, 0]):
            row = distances[query]
            near = (row <= self.heap_distances[query, 0]) & (row < self.farthest)
            if valid is not None:
                near &= valid
            found = np.flatnonzero(near)
            if len(found) > k:
                found = found[row[found] <= np.partition(row[found], k - 1)[k - 1]]
            self._add(slice(query, query + 1), row[np.newaxis, found], positions[np.newaxis, found])

    def merge(self, other: "BestK") -> None:
        """Take in what another stream found."""
        self._add(slice(None), other.heap_distances, other.heap_positions)

    def _add(self, rows: slice, distances: NDArray[Any], positions: NDArray[np.int64]) -> None:
        """Keep the best of both; what is sorted in descending order is a max-heap."""
        k = self.heap_distances.shape[1]
        all_distances = np.concatenate([self.heap_distances[rows], distances], axis=1)
        all_positions = np.concatenate([self.heap_positions[rows], positions], axis=1)
        order = np.lexsort((all_positions, all_distances), axis=1)[:, k - 1 :: -1]
        self.heap_distances[rows] = np.take_along_axis(all_distances, order, axis=1)
        self.heap_positions[rows] = np.take_along_axis(all_positions, order, axis=1)


class Scorer(ABC):
    """Queries in one metric.

    Parameters
    ----------
    accelerate
        Use numba; None for where it is installed.
    """

    dtype: ClassVar[np.dtype[Any]]
    """Type of the distances."""

    def __init__(self, *, accelerate: bool | None) -> None:
        self._accelerate = has_accelerator() if accelerate is None else accelerate

    @property
    @abstractmethod
    def n_queries(self) -> int:
        """Number of queries."""

    @property
    def step_pixels(self) -> int:
        """Pixels whose distances are made at once."""
        return MOST_PIXELS

    def best(self, k: int) -> BestK:
        """Return what `search` fills; threads have one each."""
        return BestK(self.n_queries, k, self.dtype, accelerate=self._accelerate)

    def search(
        self,
        best: BestK,
        codes: Codes,
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take the nearest of a block into `best`.

        Parameters
        ----------
        best
            What was found so far.
        codes
            As stored, shape ``(code_length, n_pixels)``.
        positions
            Ascending, int64, shape ``(n_pixels,)``.
        valid
            bool, shape ``(n_pixels,)``; None where all pixels count.
        """
        for step in self.steps(codes, positions, valid):
            best.update(*step)

    def steps(
        self,
        codes: Codes,
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None,
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.bool_] | None]]:
        """Yield the distances of a block piece by piece, as `BestK.update` takes them."""
        for start in range(0, codes.shape[1], self.step_pixels):
            columns = slice(start, start + self.step_pixels)
            some = None if valid is None else valid[columns]
            yield self.distances(codes[:, columns]), positions[columns], some

    @abstractmethod
    def distances(self, codes: Codes) -> NDArray[Any]:
        """Return all distances, shape ``(n_queries, n_pixels)``."""

    @abstractmethod
    def scores(self, distances: NDArray[Any]) -> NDArray[Any]:
        """Return distances as users know the metric."""


def valid_codes(
    quantizer: Quantizer, codes: Codes, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_] | None:
    """Return which columns hold an embedding; None where all do.

    Parameters
    ----------
    quantizer
        Of the codes.
    codes
        As stored, shape ``(code_length, n_pixels)``.
    mask
        Validity beside the codes, where there is one; bool, shape ``(n_pixels,)``.
    """
    valid = mask
    if quantizer.nodata is not None:
        known = ~quantizer.is_nodata(codes[0])
        valid = known if mask is None else known & mask
    return None if valid is None or valid.all() else valid
