"""What searches ask of queries, whatever their metric."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geoembz._search.scoring.accelerated import has_accelerator
from geoembz._search.scoring.topk import BestK
from geoembz.encoding._projection import MOST_PIXELS
from geoembz.encoding._quantization import Codes


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
        for start in range(0, codes.shape[1], self.step_pixels):
            columns = slice(start, start + self.step_pixels)
            some = None if valid is None else valid[columns]
            best.update(self.distances(codes[:, columns]), positions[columns], some)

    @abstractmethod
    def distances(self, codes: Codes) -> NDArray[Any]:
        """Return all distances, shape ``(n_queries, n_pixels)``."""

    @abstractmethod
    def scores(self, distances: NDArray[Any]) -> NDArray[Any]:
        """Return distances as users know the metric."""
