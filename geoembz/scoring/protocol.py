"""What searches ask of queries, whatever their metric."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz.quantization import Codes
from geoembz.scoring.topk import BestK


class Scorer(Protocol):
    """Queries in one metric."""

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        ...

    def best(self, k: int) -> BestK:
        """Return what `search` fills; threads have one each."""
        ...

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
        ...

    def distances(self, codes: Codes) -> NDArray[Any]:
        """Return all distances, shape ``(n_queries, n_pixels)``, as NumPy computes them."""
        ...

    def scores(self, distances: NDArray[Any]) -> NDArray[Any]:
        """Return distances as users know the metric."""
        ...


def search_in_steps(
    scorer: Scorer,
    best: BestK,
    codes: Codes,
    positions: NDArray[np.int64],
    valid: NDArray[np.bool_] | None,
    step: int,
) -> None:
    """Compute distances of `step` pixels at a time, and keep the nearest."""
    for start in range(0, codes.shape[1], step):
        columns = slice(start, start + step)
        some = None if valid is None else valid[columns]
        best.update(scorer.distances(codes[:, columns]), positions[columns], some)
