"""Streamed fitting: exact moments of every vector seen, and a seeded sample for the quantizer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding.recipe import Recipe
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.projection import FittedProjection, Moments, fit_pca, keep_all
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
        if recipe.pca is not None and recipe.pca > dimension:
            raise InvalidConfigError(
                f"recipe {recipe}: {recipe.pca} components of {dimension}-dimensional vectors; "
                f"expected at most {dimension}"
            )
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
        sample = self._reservoir.vectors
        with single_threaded_blas():
            pca = self.recipe.pca
            fitted = keep_all(self._moments) if pca is None else fit_pca(self._moments, pca)
            projection = fitted.projection
            if projection.matrix is not None and projection.mean is not None:
                sample = projection.matrix @ (sample - projection.mean[:, np.newaxis])
            quantizer = fit_quantizer(self.recipe.quantizer, sample)
        report = FitReport(self._moments.count, self.seed, fitted.explained_variance)
        return fitted, quantizer, report


class _Reservoir:
    """A uniform sample without replacement: the vectors with the smallest seeded random keys."""

    def __init__(self, dimension: int, seed: int) -> None:
        self.vectors = np.empty((dimension, 0), dtype=np.float32)
        self._keys = np.empty(0)
        self._rng = np.random.default_rng(seed)

    def add(self, values: NDArray[np.float32]) -> None:
        keys = np.concatenate([self._keys, self._rng.random(values.shape[1])])
        vectors = np.concatenate([self.vectors, values], axis=1)
        if len(keys) > RESERVOIR_VECTORS:
            kept = np.sort(np.argpartition(keys, RESERVOIR_VECTORS)[:RESERVOIR_VECTORS])
            keys, vectors = keys[kept], vectors[:, kept]
        self._keys, self.vectors = keys, vectors
