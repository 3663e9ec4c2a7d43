"""Streamed fitting: exact moments of every vector seen, and a seeded sample for the quantizer."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding.recipe import Recipe
from geoembz.errors import EncodingError, InvalidConfigError, NoValidPixelsError
from geoembz.projection import FittedProjection, Moments, fit_projection, normalized
from geoembz.quantization import Quantizer, fit_quantizer
from geoembz.threads import single_threaded_blas

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
    """

    def __init__(self, recipe: Recipe, dimension: int, seed: int = 0) -> None:
        recipe.check_dimension("fit", dimension)
        self.recipe, self.dimension, self.seed = recipe, dimension, seed
        self._moments: Moments | None = None
        self._reservoir = _Reservoir(dimension, seed)

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
            scores = fitted.projection.transform(self._reservoir.vectors)
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

    def __init__(self, dimension: int, seed: int) -> None:
        self._blocks = [np.empty((dimension, 0), dtype=np.float32)]
        self._keys: list[NDArray[np.float64]] = [np.empty(0)]
        self._count = 0
        self._rng = np.random.default_rng(seed)

    def add(self, values: NDArray[np.float32]) -> None:
        self._blocks.append(values.copy())  # the caller may use its memory again
        self._keys.append(self._rng.random((values.shape[1],)))
        self._count += values.shape[1]
        if self._count > RESERVOIR_VECTORS:
            self._join()

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The sample, float32 ``(dimension, n)``, in the order of arrival."""
        self._join()
        return self._blocks[0]

    def _join(self) -> None:
        """Make one block of all, with no more than there is room for."""
        keys, vectors = np.concatenate(self._keys), np.concatenate(self._blocks, axis=1)
        if len(keys) > RESERVOIR_VECTORS:
            kept = np.sort(np.argpartition(keys, RESERVOIR_VECTORS)[:RESERVOIR_VECTORS])
            keys, vectors = keys[kept], vectors[:, kept]
        self._keys, self._blocks, self._count = [keys], [vectors], len(keys)
