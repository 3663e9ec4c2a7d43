"""Fit recipes to streamed vectors, and measure how well a fit suits others.

Of every vector seen a fit has the exact moments, and a seeded sample for the quantizer.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding._projection import (
    MOST_PIXELS,
    FittedProjection,
    Moments,
    Projection,
    fit_projection,
    scale_to_unit,
)
from geoembz.encoding._quantization import Quantizer, fit_quantizer
from geoembz.encoding._recipe import Recipe
from geoembz.encoding._state import FitReport
from geoembz.errors import InvalidConfigError, NoValidPixelsError

if TYPE_CHECKING:
    from geoembz.encoding._model import Encoding

RESERVOIR_VECTORS = 131_072
"""Vectors kept for fitting the quantizer, whatever the number seen."""

_SURPLUS = RESERVOIR_VECTORS // 8
"""Vectors that may be kept beyond those, for a while."""

TOLERATED_LOSS = 0.05
"""Share of the variance that may be lost beyond what the fit itself lost."""

TOLERATED_CLIPPING = 0.01
"""Share of components that may lie outside the quantizer's range."""


class EncodingFitter:
    """Fit a recipe to blocks of vectors that need not fit into memory together.

    Parameters
    ----------
    recipe
        What to fit.
    dimension
        Length of the vectors.
    seed
        Chooses the vectors that the quantizer sees.
    borrows
        The caller keeps all blocks as they are until the fit ends, so that none is copied.
    """

    def __init__(
        self, recipe: Recipe, dimension: int, seed: int = 0, *, borrows: bool = False
    ) -> None:
        recipe.check_dimension("fit", dimension)
        self.recipe, self.dimension, self.seed = recipe, dimension, seed
        self._moments: Moments | None = None
        self._reservoir = _Reservoir(dimension, seed, borrows=borrows)

    @property
    def n_vectors(self) -> int:
        """Finite vectors seen so far."""
        return 0 if self._moments is None else self._moments.count

    def update(self, block: NDArray[Any]) -> None:
        """Take in columns ``(dimension, n_pixels)``; those that are not finite are left out."""
        if block.ndim != 2 or block.shape[0] != self.dimension:
            raise InvalidConfigError(
                f"fit: block of shape {block.shape}; expected ({self.dimension}, n_pixels)"
            )
        values = block.astype(np.float32, copy=False)
        finite = np.isfinite(values).all(axis=0)
        if not finite.all():
            values = values[:, finite]
        if not values.shape[1]:
            return
        shift = None if self._moments is None else self._moments.shift
        if self.recipe.normalize:
            values = scale_to_unit(values)
        with single_threaded_blas():
            moments = Moments.of(values, shift)
        self._moments = moments if self._moments is None else self._moments.merge(moments)
        self._reservoir.add(values)

    def finish(self) -> tuple[FittedProjection, Quantizer, FitReport]:
        """Fit projection and quantizer to what was seen.

        Raises
        ------
        NoValidPixelsError
            If too few finite vectors were seen.
        """
        if self._moments is None:
            raise NoValidPixelsError(
                "fit: no valid pixel was found; every one is nodata, NaN or infinite"
            )
        recipe = self.recipe
        with single_threaded_blas():
            fitted = fit_projection(
                self._moments,
                recipe.projection,
                recipe.n_components,
                whiten=recipe.whiten,
                rotate=recipe.is_rotated,
                itq=self._reservoir.scores if recipe.itq else None,
                seed=self.seed,
            )
            scores = self._reservoir.scores(fitted.projection)
            quantizer = fit_quantizer(
                recipe.quantizer, scores, recipe.method, **self._quantizer_options()
            )
        report = FitReport(self._moments.count, self.seed, fitted.explained_variance)
        return fitted, quantizer, report

    def _quantizer_options(self) -> dict[str, Any]:
        """Return what the recipe says of its quantizer beside kind and method."""
        if self.recipe.n_subquantizers is not None:
            return {"n_subquantizers": self.recipe.n_subquantizers, "seed": self.seed}
        if self.recipe.n_stages is not None:
            return {"n_stages": self.recipe.n_stages, "seed": self.seed}
        if self.recipe.power is not None:
            exponent, factor = self.recipe.power
            return {"exponent": exponent, "factor": factor}
        return {}


class _Reservoir:
    """A uniform sample without replacement: the vectors with the smallest seeded random keys.

    It takes in some more than there is room for before it is thinned out, and what comes with too
    large a key not at all: a model's output may come in 10⁵ batches.
    """

    def __init__(self, dimension: int, seed: int, *, borrows: bool) -> None:
        self._borrows = borrows
        self._blocks = [np.empty((dimension, 0), dtype=np.float32)]
        self._keys: list[NDArray[np.float64]] = [np.empty(0)]
        self._rng = np.random.default_rng(seed)
        self._count, self._limit = 0, 1.0

    def add(self, values: NDArray[np.float32]) -> None:
        keys = self._rng.random((values.shape[1],))
        near = keys <= self._limit
        if not near.all():
            values, keys = values[:, near], keys[near]
        elif not self._borrows:  # the caller may use its memory again
            values = values.copy()
        self._blocks.append(values)
        self._keys.append(keys)
        self._count += len(keys)
        if self._count > RESERVOIR_VECTORS + _SURPLUS:
            self._thin_out()

    def scores(self, projection: Projection) -> NDArray[np.float32]:
        """Return the scores of the sample, float32 ``(n_components, n)``, in order of arrival.

        Whole tiles at a time, as all vectors at once would be transformed: their second copy is
        half a gigabyte where they have thousands of components.
        """
        self._thin_out()
        scores = np.empty((projection.n_components, self._count), dtype=np.float32)
        start = 0
        for tile in _regroup(self._blocks, MOST_PIXELS):
            projection.transform(tile, scores[:, start : start + tile.shape[1]])
            start += tile.shape[1]
        return scores

    def _thin_out(self) -> None:
        """Keep no more than there is room for, block by block: at once it would take twice that."""
        if self._count <= RESERVOIR_VECTORS:
            return
        keys = np.concatenate(self._keys)
        chosen = np.argpartition(keys, RESERVOIR_VECTORS)[:RESERVOIR_VECTORS]
        kept = np.zeros(len(keys), dtype=np.bool_)
        kept[chosen] = True
        self._keys, self._count, self._limit = [keys[kept]], len(chosen), float(keys[chosen].max())
        self._blocks = list(_regroup(self._take(kept), MOST_PIXELS))

    def _take(self, kept: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
        """Yield some columns of each block, and let go of the block."""
        blocks, start = deque(self._blocks), 0
        self._blocks.clear()
        while blocks:
            block = blocks.popleft()
            yield block[:, kept[start : start + block.shape[1]]]
            start += block.shape[1]


def _regroup(blocks: Iterable[NDArray[np.float32]], width: int) -> Iterator[NDArray[np.float32]]:
    """Yield the columns of blocks again in blocks of one width, but for the last."""
    waiting: list[NDArray[np.float32]] = []
    missing = width
    for block in blocks:
        start = 0
        while start < block.shape[1]:
            part = block[:, start : start + missing]
            waiting.append(part)
            start, missing = start + part.shape[1], missing - part.shape[1]
            if not missing:
                yield np.concatenate(waiting, axis=1)
                waiting, missing = [], width
    if waiting:
        yield np.concatenate(waiting, axis=1)


@dataclass(frozen=True)
class Coverage:
    """What an encoding keeps of vectors that it was not fitted on.

    Parameters
    ----------
    captured_variance
        Share of the vectors' variance that the projection rebuilds, at most 1; negative where they
        lie so far off the basis that their own mean would do better.
    clipped_share
        Share of components outside the quantizer's range, 0 to 1.
    expected_variance
        Share that the projection kept of the vectors it was fitted on.
    """

    captured_variance: float
    clipped_share: float
    expected_variance: float

    @property
    def is_sufficient(self) -> bool:
        """Whether the vectors lie within the basis, by the tolerances of this module."""
        enough = self.captured_variance >= self.expected_variance - TOLERATED_LOSS
        return enough and self.clipped_share <= TOLERATED_CLIPPING

    def __str__(self) -> str:
        """Say it in numbers."""
        return (
            f"captures {max(self.captured_variance, 0.0):.1%} of the variance (its own sample: "
            f"{self.expected_variance:.1%}) and clips {self.clipped_share:.2%} of the components"
        )


def coverage(encoding: "Encoding", vectors: NDArray[np.float32]) -> Coverage:
    """Measure how well an encoding suits vectors.

    Parameters
    ----------
    encoding
        Fitted elsewhere.
    vectors
        Finite, shape ``(dimension, n_pixels)``.

    References
    ----------
    rslearn's study: a PCA of one region captured 69.5 % of the variance there and 3.0 % on another
    continent. spec/encoding.md, "Reuse".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> plane = np.zeros((4, 100), dtype=np.float32)
    >>> plane[:2] = rng.normal(size=(2, 100))
    >>> from geoembz import Encoding
    >>> encoding = Encoding.fit(plane.T, "pca2-int8")
    >>> coverage(encoding, plane[::-1].copy()).is_sufficient
    False
    """
    target = encoding.target(vectors)
    scores = encoding.projection.transform(target)
    rebuilt = encoding.projection.inverse_transform(scores)
    centred = target.astype(np.float64) - target.mean(axis=1, dtype=np.float64, keepdims=True)
    total = float(np.square(centred).sum())
    lost = float(np.square(target.astype(np.float64) - rebuilt).sum())
    low, high = _bounds(encoding)
    outside = (scores < low) | (scores > high)
    return Coverage(
        captured_variance=1.0 - lost / total if total else 1.0,
        clipped_share=float(outside.mean()) if np.isfinite(low).any() else 0.0,
        expected_variance=encoding.report.explained_variance,
    )


def _bounds(encoding: "Encoding") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the smallest and largest value of each component's codes, half a step wider.

    Infinite for quantizers whose codes have no outermost value: one bit, groups, floats.
    """
    quantizer = encoding.quantizer
    if not quantizer.kind.startswith("int"):
        unbounded = np.full((quantizer.n_components, 1), np.inf, dtype=np.float32)
        return -unbounded, unbounded
    first, last = (-127, 127) if quantizer.bits == 8 else (0, 2**quantizer.bits - 1)
    ends = np.array([first, first + 1, last - 1, last], dtype=quantizer.dtype)
    values = quantizer.dequantize(np.tile(ends, (quantizer.n_components, 1)))
    low, next_low, next_high, high = (values[:, column : column + 1] for column in range(4))
    lower, upper = low - (next_low - low) / 2, high + (high - next_high) / 2
    return lower.astype(np.float32), upper.astype(np.float32)
