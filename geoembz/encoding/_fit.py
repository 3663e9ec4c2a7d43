"""Streamed fitting: exact moments of every vector seen, and a seeded sample for the quantizer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding._projection import (
    MOST_PIXELS,
    FittedProjection,
    Moments,
    Projection,
    fit_projection,
    normalized,
)
from geoembz.encoding._quantization import Quantizer, fit_quantizer
from geoembz.encoding._recipe import Recipe
from geoembz.errors import EncodingError, InvalidConfigError, NoValidPixelsError

RESERVOIR_VECTORS = 131_072
"""Vectors kept for fitting the quantizer, whatever the number seen."""


@dataclass(frozen=True)
class FitReport:
    """What an encoding was fitted on, and how much it keeps.

    Parameters
    ----------
    n_samples
        Vectors that entered the fit.
    seed
        Seed of every random choice.
    explained_variance
        Share of the sample's variance that the components keep, 0 to 1.
    """

    n_samples: int = 0
    seed: int = 0
    explained_variance: float = 1.0

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a stored report; members that later versions may add are ignored.

        Raises
        ------
        EncodingError
            If a member is not a number.
        """
        known = {item.name: document[item.name] for item in fields(cls) if item.name in document}
        if not all(isinstance(value, int | float) for value in known.values()):
            raise EncodingError(f"fit report {dict(document)!r}: expected numbers")
        return cls(**known)


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
            values = normalized(values)
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
                rotate=recipe.rotate,
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
        if self.recipe.power is not None:
            exponent, factor = self.recipe.power
            return {"exponent": exponent, "factor": factor}
        return {}


class _Reservoir:
    """A uniform sample without replacement: the vectors with the smallest seeded random keys."""

    def __init__(self, dimension: int, seed: int, *, borrows: bool) -> None:
        self._borrows = borrows
        self._blocks = [np.empty((dimension, 0), dtype=np.float32)]
        self._keys: list[NDArray[np.float64]] = [np.empty(0)]
        self._rng = np.random.default_rng(seed)

    def add(self, values: NDArray[np.float32]) -> None:
        # The caller may use its memory again, unless it says that it does not.
        self._blocks.append(values if self._borrows else values.copy())
        self._keys.append(self._rng.random((values.shape[1],)))
        if sum(map(len, self._keys)) > RESERVOIR_VECTORS:
            self._thin_out()

    def scores(self, projection: Projection) -> NDArray[np.float32]:
        """Return the scores of the sample, float32 ``(n_components, n)``, in order of arrival.

        Whole tiles at a time, as all vectors at once would be transformed: their second copy is
        half a gigabyte where they have thousands of components.
        """
        count = sum(map(len, self._keys))
        scores = np.empty((projection.n_components, count), dtype=np.float32)
        start = 0
        for tile in _regrouped(self._blocks, MOST_PIXELS):
            projection.transform(tile, scores[:, start : start + tile.shape[1]])
            start += tile.shape[1]
        return scores

    def _thin_out(self) -> None:
        """Keep no more than there is room for, block by block: at once it would take twice that."""
        keys = np.concatenate(self._keys)
        kept = np.zeros(len(keys), dtype=np.bool_)
        kept[np.argpartition(keys, RESERVOIR_VECTORS)[:RESERVOIR_VECTORS]] = True
        start = 0
        for number, block in enumerate(self._blocks):
            here = kept[start : start + block.shape[1]]
            start += block.shape[1]
            self._keys[number], self._blocks[number] = self._keys[number][here], block[:, here]


def _regrouped(blocks: Sequence[NDArray[np.float32]], width: int) -> Iterator[NDArray[np.float32]]:
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
