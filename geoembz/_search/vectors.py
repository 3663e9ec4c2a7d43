"""Cosine, dot product and Euclidean distance between queries and codes.

A query as it is, is compared with the vector that a code decodes to (asymmetric): the code alone is
compressed.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._search.linear_fold import (
    LinearFold,
    Way,
    choose,
    components_of_bytes,
    first_components,
)
from geoembz._search.scorer import Scorer
from geoembz.encoding import Encoding, MetricName
from geoembz.encoding._quantization import Codes, LinearQuantizer, Quantizer, ResidualQuantizer


@dataclass(frozen=True, eq=False)
class SquaredNorms:
    """``|x - shift|**2`` of decoded vectors x.

    With an orthonormal basis the squares of components add up, so that stored bytes can be looked
    up; otherwise components pass through the triangle that has the basis' lengths and angles.

    Parameters
    ----------
    quantizer
        Of the codes.
    offset
        Added to components, float64, shape ``(n_components,)``.
    residual
        Square of the part outside the subspace, which all vectors share.
    triangle
        float32, shape ``(n, n_components + 1)``: its product with components and a one has the
        length of the vector. None for an orthonormal basis.
    """

    quantizer: Quantizer
    offset: NDArray[np.float64]
    residual: float
    triangle: NDArray[np.float32] | None = None
    _fold: LinearFold = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Choose how components are decoded."""
        count = self.quantizer.n_components
        way = choose(self.quantizer, 1)
        fold = LinearFold(self.quantizer, np.zeros((1, count)), np.zeros(1), way)
        if way == "tables" and self.triangle is not None:
            fold = LinearFold(self.quantizer, fold.weights, fold.bias, "values")
        object.__setattr__(self, "_fold", fold)
        if fold.way == "tables":
            squares = np.square(components_of_bytes(self.quantizer) + self.offset[:, np.newaxis])
            sums = np.add.reduceat(squares, first_components(self.quantizer))
            fold.__dict__["tables"] = sums[..., np.newaxis].astype(np.float32)

    @classmethod
    def of(cls, encoding: Encoding, shift: NDArray[Any] | None = None) -> Self:
        """Prepare the norms of an encoding's vectors, `shift` subtracted from them."""
        return cls(encoding.quantizer, *measure_basis(encoding, shift))

    @property
    def way(self) -> Way:
        """What `of_numbers` takes: the numbers of a `LinearFold` of this way."""
        return self._fold.way

    def __call__(self, codes: Codes) -> NDArray[np.float32]:
        """Return squared lengths, float32, shape ``(n_pixels,)``."""
        if self.way == "tables":
            squares: NDArray[np.float32] = self._fold(codes)[0]
            squares += np.float32(self.residual)
            return squares
        squares = np.empty(codes.shape[1], dtype=np.float32)
        values = self._fold.scratch()
        step = self._fold.tile_pixels
        for start in range(0, codes.shape[1], step):
            tile = codes[:, start : start + step]
            numbers = self._fold.numbers(tile, values)
            squares[start : start + step] = self.of_numbers(numbers)[: tile.shape[1]]
        return squares

    def of_numbers(
        self, numbers: NDArray[np.float32], *, accelerate: bool = False
    ) -> NDArray[np.float32]:
        """Return the squared lengths of a tile, whose `numbers` may be overwritten."""
        if accelerate and self.triangle is None:
            from geoembz._search.compiled import squared_lengths

            squares = np.empty(numbers.shape[1], dtype=np.float32)
            squared_lengths(numbers, *self._affine, squares)
            return squares + np.float32(self.residual)
        scale, offset = self._affine
        numbers *= scale[:, np.newaxis]
        numbers += offset[:, np.newaxis]
        if self.triangle is not None:
            numbers = self.triangle[:, :-1] @ numbers
            numbers += self.triangle[:, -1:]
        np.square(numbers, out=numbers)
        return np.asarray(numbers.sum(axis=0, dtype=np.float32) + np.float32(self.residual))

    @cached_property
    def _affine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scale and offset that make components, shifted, of `numbers`."""
        if self.way == "codes" and isinstance(self.quantizer, LinearQuantizer):
            return self.quantizer.scale, (self.offset + self.quantizer.offset).astype(np.float32)
        return np.ones(len(self.offset), dtype=np.float32), self.offset.astype(np.float32)


def measure_basis(
    encoding: Encoding, shift: NDArray[Any] | None = None
) -> tuple[NDArray[np.float64], float, NDArray[np.float32] | None]:
    """Return how components give the lengths of vectors, `shift` subtracted from them.

    Returns
    -------
    offset, residual, triangle
        As `SquaredNorms` has them.
    """
    projection = encoding.projection
    if projection.matrix is None or projection.mean is None:
        constant = np.zeros(encoding.dimension)
        return constant if shift is None else constant - shift, 0.0, None
    mean = projection.mean.astype(np.float64)
    constant = mean if shift is None else mean - shift
    matrix = projection.matrix.astype(np.float64)
    if projection.inverse is not None:
        triangle = np.linalg.qr(np.column_stack([matrix.T, constant]), mode="r")
        return np.zeros(len(matrix)), 0.0, triangle.astype(np.float32)
    inside = matrix @ constant
    outside = constant - matrix.T @ inside
    return inside, float(outside @ outside), None


@dataclass(frozen=True, eq=False)
class NormsOfSums:
    """``|x - shift|**2`` of decoded vectors x that are sums of codewords, as of `rq`.

    The square of a sum is the sum of the products of all pairs: each pair of stages has a table of
    256 x 256 products, whatever the basis.

    Parameters
    ----------
    single
        What a codeword adds by itself, float32, shape ``(n_stages, 256)``.
    pairs
        What two add together, float32, shape ``(65536,)``, by stage and earlier stage.
    residual
        What all vectors share.
    """

    single: NDArray[np.float32]
    pairs: dict[tuple[int, int], NDArray[np.float32]]
    residual: float

    @classmethod
    def of(cls, encoding: Encoding, shift: NDArray[Any] | None = None) -> Self:
        """Prepare the norms of an encoding's vectors, `shift` subtracted from them."""
        quantizer, projection = encoding.quantizer, encoding.projection
        assert isinstance(quantizer, ResidualQuantizer)  # noqa: S101 - see `squared_norms`
        constant = np.zeros(encoding.dimension)
        if projection.mean is not None:
            constant = constant + projection.mean
        if shift is not None:
            constant = constant - shift
        words = quantizer.codebook.astype(np.float64)
        others = words  # what codewords are multiplied with: their lengths are those of vectors
        if projection.matrix is not None:
            matrix = projection.matrix.astype(np.float64)
            others, inside = words @ (matrix @ matrix.T), matrix @ constant
        else:
            inside = constant
        single = np.einsum("mik,mik->mi", words, others) + 2 * (words @ inside)
        pairs = {
            (stage, earlier): (2 * words[earlier] @ others[stage].T).astype(np.float32).reshape(-1)
            for stage in range(len(words))
            for earlier in range(stage)
        }
        return cls(single.astype(np.float32), pairs, float(constant @ constant))

    def __call__(self, codes: Codes) -> NDArray[np.float32]:
        """Return squared lengths, float32, shape ``(n_pixels,)``."""
        squares = np.full(codes.shape[1], self.residual)
        for alone, chosen in zip(self.single, codes, strict=True):
            squares += np.take(alone, chosen)
        for (stage, earlier), together in self.pairs.items():
            squares += np.take(together, codes[earlier].astype(np.int32) * 256 + codes[stage])
        return np.asarray(np.maximum(squares, 0), dtype=np.float32)


def squared_norms(
    encoding: Encoding, shift: NDArray[Any] | None = None
) -> SquaredNorms | NormsOfSums:
    """Prepare the squared lengths of decoded vectors, `shift` subtracted from them."""
    is_sum = isinstance(encoding.quantizer, ResidualQuantizer)
    return NormsOfSums.of(encoding, shift) if is_sum else SquaredNorms.of(encoding, shift)


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
        metric: MetricName,
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
        self._norms = None if metric == "dot" else squared_norms(encoding, shift)

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
        self, codes: Codes, norms: SquaredNorms | NormsOfSums
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return outputs and squared lengths; codes are converted once where both can use them."""
        if isinstance(norms, NormsOfSums) or not norms.way == self._fold.way != "tables":
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
