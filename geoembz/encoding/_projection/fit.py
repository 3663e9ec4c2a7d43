"""Fit projections to moments: PCA, truncated SVD, random and selected features, rotations.

Projection, soft whitening and rotation are all linear, so encoding stays ``z = A @ x + b`` and
decoding ``x = B @ z + c`` whatever was chosen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding._projection.itq import fit_itq_rotation
from geoembz.encoding._projection.linear import Projection
from geoembz.encoding._projection.moments import Moments
from geoembz.errors import InvalidConfigError, NoValidPixelsError

type Matrix = NDArray[np.float64]
type Scores = Callable[[Projection], NDArray[np.float32]]
"""What a sample's components are by a projection, shape ``(n_components, n_pixels)``."""

KINDS = ("pca", "svd", "random", "select")
"""Names of the projections, as recipes spell them."""

_ROTATION_STREAM = 1
"""Added to the seed, so that a rotation is not the random projection of the same seed."""


@dataclass(frozen=True)
class LinearMap:
    """``z = matrix @ (x - mean)`` and ``x = inverse @ z + mean``, in float64 until the end.

    Parameters
    ----------
    matrix
        Float, shape ``(n_components, dimension)``.
    inverse
        Float, shape ``(dimension, n_components)``, with ``matrix @ inverse`` the identity.
    mean
        Float, shape ``(dimension,)``; zeros for an uncentred map.
    """

    matrix: Matrix
    inverse: Matrix
    mean: NDArray[np.float64]

    @classmethod
    def orthonormal(cls, matrix: NDArray[np.floating], mean: NDArray[np.floating]) -> Self:
        """Start from a matrix with orthonormal rows (PCA, SVD, random, selection)."""
        rows = np.asarray(matrix, dtype=np.float64)
        return cls(rows, rows.T, np.asarray(mean, dtype=np.float64))

    def then(self, matrix: NDArray[np.floating], inverse: NDArray[np.floating]) -> Self:
        """Apply a square `matrix` to the components; `inverse` undoes it exactly.

        Examples
        --------
        >>> whiten = soft_whitening(np.array([4.0, 1.0]), 0.5)
        >>> rotate = random_projection(2, 2, seed=0).astype(np.float64)
        >>> start = LinearMap.orthonormal(np.eye(2, 3), np.ones(3))
        >>> full = start.then(*whiten).then(rotate, rotate.T)
        >>> (full.matrix @ full.inverse).round(6) + 0.0
        array([[1., 0.],
               [0., 1.]])
        """
        forward, back = np.asarray(matrix, np.float64), np.asarray(inverse, np.float64)
        return type(self)(forward @ self.matrix, self.inverse @ back, self.mean)

    def rotated(self, rotation: NDArray[np.float32]) -> Self:
        """Rotate the components, by an orthonormal matrix."""
        return self.then(rotation, rotation.T)

    def rounded(self, kind: str, whiten: float, rotation: NDArray[np.float32] | None) -> Projection:
        """Round to what is stored; `rotation`, where there was one, is among what the map does."""
        matrix = np.ascontiguousarray(self.inverse.T, dtype=np.float32)
        analysis = np.ascontiguousarray(self.matrix, dtype=np.float32)
        return Projection(
            kind,
            matrix.shape[1],
            matrix,
            self.mean.astype(np.float32),
            None if whiten == 0 else analysis,
            rotated=rotation is not None,
            whiten=whiten,
            rotation=None if kind == "none" else rotation,
        )


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
    itq: Scores | None = None,
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
    itq
        Gives a sample's components: the random rotation is then turned on, to where their signs
        lose least (`fit_itq_rotation`).
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
    rotation = _rotation(linear, whiten, itq, seed) if rotate else None
    if rotation is not None:
        linear = linear.rotated(rotation)
    return FittedProjection(linear.rounded(kind or "none", whiten, rotation), kept, explained)


def _rotation(
    linear: LinearMap, whiten: float, itq: Scores | None, seed: int
) -> NDArray[np.float32]:
    """Return a random rotation of the components, or the one that `itq` leads to from there."""
    count = len(linear.matrix)
    drawn = random_projection(count, count, seed + _ROTATION_STREAM)
    if itq is None:
        return drawn
    components = itq(linear.rotated(drawn).rounded("none", whiten, drawn))
    fitted = fit_itq_rotation(components, seed) @ drawn.astype(np.float64)
    return fitted.astype(np.float32)


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


def random_projection(dimension: int, n_components: int, seed: int) -> NDArray[np.float32]:
    """Return orthonormal rows that span a uniformly random subspace; all of them: a rotation.

    A rotation spreads variance evenly over the components, so that one bit or one codebook suits
    them all.

    Parameters
    ----------
    dimension
        Length of the original vectors.
    n_components
        Rows, 1 to `dimension`.
    seed
        Of the PCG64 generator. Store the matrix: other NumPy versions may draw other numbers.

    Returns
    -------
    matrix
        float32, shape ``(n_components, dimension)``.

    References
    ----------
    F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices AMS
    54 (2007), for the sign that makes the factorization unique;
    W. Johnson and J. Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space" (1984).

    Examples
    --------
    >>> random_projection(8, 2, seed=0).shape
    (2, 8)
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    gaussian = generator.standard_normal((n_components, dimension))
    with single_threaded_blas():
        columns, triangle = np.linalg.qr(gaussian.T)
    signs = np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    return np.ascontiguousarray((columns * signs).T, dtype=np.float32)


def select_top_variance(variance: NDArray[np.floating], n_components: int) -> NDArray[np.float32]:
    """Return the matrix that picks the features of largest variance, largest first.

    Parameters
    ----------
    variance
        Of each feature, shape ``(dimension,)``.
    n_components
        How many to pick; of equal ones the first.

    Returns
    -------
    matrix
        One 1 in each row, float32, shape ``(n_components, dimension)``.

    References
    ----------
    The seed article's feature selection (Robinson & Corley 2026).

    Examples
    --------
    >>> select_top_variance(np.array([1.0, 5.0, 3.0]), 2)
    array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    order = np.argsort(-np.asarray(variance), kind="stable")
    return np.eye(len(variance), dtype=np.float32)[order[:n_components]]


def soft_whitening(std: NDArray[np.floating], w: float) -> tuple[Matrix, Matrix]:
    """Return the diagonal matrix that divides component j by ``std[j] ** w``, and its inverse.

    Parameters
    ----------
    std
        Standard deviation of each component, >= 0; a component that never varies is left as it is.
    w
        0 (nothing) to 1 (unit variance).

    Returns
    -------
    matrix, inverse
        float64, shape ``(n_components, n_components)`` each.

    Raises
    ------
    InvalidConfigError
        If `w` is not in 0 to 1, or a standard deviation is negative or not finite.

    References
    ----------
    DESIGN.md §3; spec/codecs/projection.

    Examples
    --------
    >>> soft_whitening(np.array([4.0, 1.0]), 0.5)[0]
    array([[0.5, 0. ],
           [0. , 1. ]])
    """
    deviation = np.asarray(std, dtype=np.float64)
    if not 0 <= w <= 1:
        raise InvalidConfigError(f"whitening: w = {w}; expected 0 (none) to 1 (full)")
    if not np.isfinite(deviation).all() or (deviation < 0).any():
        raise InvalidConfigError(
            "whitening: a standard deviation is negative or not finite; fit on valid pixels"
        )
    # Directions of rounding noise must not be blown up; 1e-6 is what float32 data can resolve.
    varies = deviation > 1e-6 * deviation.max(initial=0.0)
    weight = np.where(varies, deviation, 1.0) ** w
    return np.diag(1 / weight), np.diag(weight)
