"""Distances between two vectors of one encoding, from the codes of both.

Components suffice: with an orthonormal basis lengths and differences are those of the vectors but
for the part that all share; otherwise components pass through the triangle that has the basis'
lengths and angles, as in `SquaredNorms`.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._search.linear_fold import LinearFold
from geoembz._search.vectors import measure_basis
from geoembz.encoding import Encoding, Metric
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError

PAIR_METRICS = ("cosine", "euclidean")
"""Names of the metrics that are distances between two vectors as they are decoded."""


@dataclass(frozen=True, eq=False)
class PairDistances:
    """``1 - cosine``, or the Euclidean distance, of vectors that two codes stand for.

    Parameters
    ----------
    fold
        Decodes components.
    metric
        ``cosine`` or ``euclidean``, of components as they are or weighed.
    offset
        Added to components, float32, shape ``(n_components, 1)``.
    residual
        Square of the part outside the subspace, which all vectors share.
    triangle
        float32, shape ``(n, n_components + 1)``; None for an orthonormal basis.
    """

    fold: LinearFold
    metric: Metric
    offset: NDArray[np.float32]
    residual: np.float32
    triangle: NDArray[np.float32] | None

    @classmethod
    def of(cls, encoding: Encoding, metric: Metric | str) -> Self:
        """Prepare distances between codes of an encoding.

        Parameters
        ----------
        encoding
            Of both codes.
        metric
            ``cosine`` or ``euclidean``; ``cosine-w0.5`` and the like weigh components first.

        Raises
        ------
        InvalidConfigError
            If the metric is none of these, or nothing says how components are to be weighed.

        Examples
        --------
        >>> samples = np.random.default_rng(0).normal(size=(500, 8)).astype("float32")
        >>> encoding = Encoding.fit(samples, "pca4-int8")
        >>> codes = encoding.encode(samples).T
        >>> distances = PairDistances.of(encoding, "euclidean")(codes[:, :2], codes[:, [0, 5]])
        >>> float(distances[0]), bool(distances[1] > 0)
        (0.0, True)
        """
        metric = Metric.parse(metric) if isinstance(metric, str) else metric
        if metric.name not in PAIR_METRICS:
            raise InvalidConfigError(
                f"metric '{metric}': no distance between two decoded vectors; expected "
                f"{' or '.join(PAIR_METRICS)}"
            )
        if metric.whiten:
            encoding.check_metric(metric)
            encoding = encoding.in_reduced_space(metric.whiten)
        wide, residual, triangle = measure_basis(encoding)
        count = encoding.quantizer.n_components
        fold = LinearFold(encoding.quantizer, np.zeros((1, count)), np.zeros(1), "values")
        offset = wide.astype(np.float32)[:, np.newaxis]
        if metric.name == "euclidean":  # what all vectors share falls out, with the digits it costs
            offset = np.zeros_like(offset)
            triangle = None if triangle is None else triangle * (np.arange(count + 1) < count)
        return cls(fold, metric, offset, np.float32(residual), triangle)

    def __call__(self, one: Codes, two: Codes) -> NDArray[np.float32]:
        """Return distances, float32, shape ``(n_pixels,)``.

        Parameters
        ----------
        one, two
            As stored, shape ``(code_length, n_pixels)``.
        """
        out = np.empty(one.shape[1], dtype=np.float32)
        first, second = self.fold.scratch(), self.fold.scratch()
        sums = np.empty((3, self.fold.tile_pixels), dtype=np.float32)
        step = self.fold.tile_pixels
        for start in range(0, one.shape[1], step):
            columns = slice(start, start + step)
            left = self.fold.numbers(one[:, columns], first)
            right = self.fold.numbers(two[:, columns], second)
            part = out[columns]
            part[:] = self._of_components(left, right, sums)[: len(part)]
        return out

    def _of_components(
        self, one: NDArray[np.float32], two: NDArray[np.float32], sums: NDArray[np.float32]
    ) -> NDArray[Any]:
        if self.triangle is not None:
            one, two = (self._turn(components) for components in (one, two))
        else:
            one += self.offset
            two += self.offset
        for values, sum_ in zip((one - two, one, two), sums, strict=True):
            np.sum(np.square(values), axis=0, out=sum_)
        apart, first, second = sums
        if self.metric.name == "euclidean":
            return np.asarray(np.sqrt(apart))
        # 1 - cosine, from the difference: exactly 0 for equal codes, no digits lost for near ones.
        first, second = np.sqrt(first + self.residual), np.sqrt(second + self.residual)
        product = first * second
        twice = np.maximum(apart - np.square(first - second), 0)
        return np.asarray(np.divide(twice, 2 * product, out=np.ones_like(twice), where=product > 0))

    def _turn(self, components: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self.triangle is not None  # noqa: S101 - what the caller has looked at
        return np.asarray(self.triangle[:, :-1] @ components + self.triangle[:, -1:])
