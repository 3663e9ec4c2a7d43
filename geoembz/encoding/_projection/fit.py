"""Fit projections to moments: PCA, truncated SVD, random and selected features, rotations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._projection.linear import Projection
from geoembz.encoding._projection.maps import (
    LinearMap,
    random_projection,
    random_rotation,
    select_top_variance,
    soft_whitening,
)
from geoembz.encoding._projection.moments import Moments
from geoembz.errors import InvalidConfigError, NoValidPixelsError

KINDS = ("pca", "svd", "random", "select")
"""Names of the projections, as recipes spell them."""

_ROTATION_STREAM = 1
"""Added to the seed, so that a rotation is not the random projection of the same seed."""


@dataclass(frozen=True)
class FittedProjection:
    """A projection with what the fit learned about its components.

    Parameters
    ----------
    projection
        The map.
    variance
        Variance of each component before whitening and rotation, float64, shape
        ``(n_components,)``; of uncentred maps the mean square.
    explained_variance
        Share of the total variance (of uncentred maps, of the total energy) that the components
        keep, 0 to 1.
    """

    projection: Projection
    variance: NDArray[np.float64]
    explained_variance: float


def fit_projection(
    moments: Moments,
    kind: str | None,
    n_components: int | None = None,
    *,
    whiten: float = 0.0,
    rotate: bool = False,
    seed: int = 0,
) -> FittedProjection:
    """Fit a projection to moments; optionally whiten its components softly, and rotate them.

    Projection, whitening and rotation become one matrix. Call it with BLAS on one thread: the same
    data then give the same bits.

    Parameters
    ----------
    moments
        Sums over the sample.
    kind
        ``pca``, ``svd`` (uncentred), ``random`` (Gaussian, orthonormalised), ``select`` (features
        of the largest variance), or None for the vectors as they are.
    n_components
        How many components to keep, 1 to the dimension; all with `kind` None.
    whiten
        Divide each component by this power of its standard deviation, 0 to 1; decoding undoes it.
    rotate
        Rotate the components at random: bits and codebooks then share the variance evenly.
    seed
        Of the random projection and the rotation.

    Returns
    -------
    fitted
        The projection and what it keeps.

    Raises
    ------
    InvalidConfigError
        If the kind is unknown or `n_components` is not 1 to the dimension.
    NoValidPixelsError
        If there are fewer vectors than components, or fewer than two.

    References
    ----------
    spec/encoding.md, "Fitting"; I. Jolliffe, *Principal Component Analysis*, 2nd ed., 2002.

    Examples
    --------
    >>> line = np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]], dtype=np.float32)
    >>> fitted = fit_projection(Moments.of(line), "pca", 1)
    >>> fitted.projection.matrix.round(3)
    array([[0.447, 0.894]], dtype=float32)
    >>> round(fitted.explained_variance, 6)
    1.0
    """
    if kind is None and not rotate:
        variance = np.maximum(np.diagonal(moments.covariance).copy(), 0.0)
        return FittedProjection(Projection("none", len(moments.shift)), variance, 1.0)
    linear, spread, total = _start(moments, kind, n_components, seed)
    kept = np.maximum(np.einsum("ij,jk,ik->i", linear.matrix, spread, linear.matrix), 0.0)
    explained = float(min(kept.sum() / total, 1.0)) if total > 0 else 1.0
    if whiten:
        linear = linear.then(*soft_whitening(np.sqrt(kept), whiten))
    rotation = random_rotation(len(linear.matrix), seed + _ROTATION_STREAM) if rotate else None
    if rotation is not None:
        turn = rotation.astype(np.float64)
        linear = linear.then(turn, turn.T)
    projection = Projection.of(kind or "none", linear, whiten=whiten, rotation=rotation)
    return FittedProjection(projection, kept, explained)


def _start(
    moments: Moments, kind: str | None, n_components: int | None, seed: int
) -> tuple[LinearMap, NDArray[np.float64], float]:
    """Return the orthonormal map, the moments that its components spread by, their trace."""
    dimension = len(moments.shift)
    count = dimension if n_components is None else n_components
    _check(kind or "rotation", count, dimension, moments.count)
    spread = moments.second_moment if kind == "svd" else moments.covariance
    mean = np.zeros(dimension) if kind == "svd" else moments.mean
    if kind in {"pca", "svd"}:
        axes = moments.second_moment_axes if kind == "svd" else moments.covariance_axes
        rows = axes[:count]
    elif kind == "random":
        rows = random_projection(dimension, count, seed).astype(np.float64)
    elif kind == "select":
        rows = select_top_variance(np.diagonal(spread), count).astype(np.float64)
    elif kind is None:
        rows = np.eye(dimension)
    else:
        raise InvalidConfigError(f"projection {kind!r}; expected one of {', '.join(KINDS)}")
    return LinearMap.orthonormal(rows, mean), spread, float(np.trace(spread))


def _check(name: str, n_components: int, dimension: int, n_vectors: int) -> None:
    if not 1 <= n_components <= dimension:
        raise InvalidConfigError(
            f"{name}: {n_components} components of {dimension}-dimensional vectors; "
            f"expected 1 to {dimension}"
        )
    if n_vectors < max(n_components, 2):
        raise NoValidPixelsError(
            f"{name}: {n_components} components from {n_vectors} valid pixels; expected at least "
            f"{max(n_components, 2)} pixels; ask for fewer components or a larger sample"
        )
