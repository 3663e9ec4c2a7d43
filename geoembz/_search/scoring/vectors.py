"""Cosine, dot product and Euclidean distance between queries and codes.

A query as it is, is compared with the vector that a code decodes to (asymmetric): the code alone is
compressed.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoembz._search.scoring.base import Scorer
from geoembz._search.scoring.fold import LinearFold
from geoembz._search.scoring.norms import SquaredNorms
from geoembz.encoding import Encoding
from geoembz.encoding._quantization import Codes

type VectorMetric = Literal["cosine", "dot", "euclidean"]


class VectorScorer(Scorer):
    """Cosine, dot product or Euclidean distance to the vectors that codes stand for.

    Parameters
    ----------
    encoding
        Of the codes.
    queries
        Finite, shape ``(n_queries, dimension)``.
    metric
        ``cosine``, ``dot`` or ``euclidean``.
    accelerate
        Use numba; None for where it is installed.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        encoding: Encoding,
        queries: NDArray[np.float32],
        metric: VectorMetric,
        *,
        accelerate: bool | None = None,
    ) -> None:
        super().__init__(accelerate=accelerate)
        wide, self._metric = queries.astype(np.float64), metric
        lengths = np.linalg.norm(wide, axis=1)
        shift = None
        if metric == "cosine":
            weights = wide / np.where(lengths > 0, lengths, 1)[:, np.newaxis]
        elif metric == "euclidean":  # around the mean, where squares cancel least
            shift = encoding.projection.mean
            wide = wide if shift is None else wide - shift
            lengths, weights = np.linalg.norm(wide, axis=1), -2 * wide
        else:
            weights = -wide
        self._squares = np.square(lengths).astype(np.float32)[:, np.newaxis]
        self._fold = LinearFold.of(encoding, weights, shift=shift)
        self._norms = None if metric == "dot" else SquaredNorms.of(encoding, shift)

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return self._fold.n_outputs

    def distances(self, codes: Codes) -> NDArray[np.float32]:
        """Return ``-cosine``, ``-dot`` or the squared distance, shape ``(n_queries, n_pixels)``."""
        if self._norms is None:
            return self._fold(codes)
        out, squares = self._with_squares(codes, self._norms)
        if self._metric == "cosine":
            lengths = np.sqrt(squares)
            out *= np.divide(-1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        else:
            out += squares
            out += self._squares
            np.maximum(out, 0, out=out)
        return out

    def _with_squares(
        self, codes: Codes, norms: SquaredNorms
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return outputs and squared lengths; codes are converted once where both can use them."""
        if self._fold.way == "tables" or norms.way != self._fold.way:
            return self._fold(codes), norms(codes)
        out = np.empty((self.n_queries, codes.shape[1]), dtype=np.float32)
        squares = np.empty(codes.shape[1], dtype=np.float32)
        values = self._fold.scratch()
        step = self._fold.tile_pixels
        for start in range(0, codes.shape[1], step):
            columns = slice(start, start + step)
            numbers = self._fold.numbers(codes[:, columns], values)
            self._fold.multiply(numbers, out[:, columns])
            lengths = norms.of_numbers(numbers, accelerate=self._accelerate)
            squares[columns] = lengths[: len(squares[columns])]
        return out, squares

    def scores(self, distances: NDArray[Any]) -> NDArray[np.float32]:
        """Return cosines and products (largest first), or distances (smallest first)."""
        if self._metric == "euclidean":
            return np.sqrt(distances)
        return np.negative(distances)
