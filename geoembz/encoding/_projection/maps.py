"""Matrices that stand before a quantizer, and their composition into one matrix.

Projection, soft whitening and rotation are all linear, so encoding stays ``z = A @ x + b`` and
decoding ``x = B @ z + c`` whatever was chosen. Knows only NumPy.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.errors import InvalidConfigError

type Matrix = NDArray[np.float64]


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
        >>> rotate = random_rotation(2, seed=0).astype(np.float64)
        >>> start = LinearMap.orthonormal(np.eye(2, 3), np.ones(3))
        >>> full = start.then(*whiten).then(rotate, rotate.T)
        >>> (full.matrix @ full.inverse).round(6) + 0.0
        array([[1., 0.],
               [0., 1.]])
        """
        forward, back = np.asarray(matrix, np.float64), np.asarray(inverse, np.float64)
        return type(self)(forward @ self.matrix, self.inverse @ back, self.mean)

    @property
    def encoder(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``A`` and ``b`` of ``z = A @ x + b``, float32, shapes ``(k, D)`` and ``(k, 1)``."""
        shift = -(self.matrix @ self.mean)
        return self.matrix.astype(np.float32), shift.astype(np.float32)[:, np.newaxis]

    @property
    def decoder(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``B`` and ``c`` of ``x = B @ z + c``, float32, shapes ``(D, k)`` and ``(D, 1)``."""
        return self.inverse.astype(np.float32), self.mean.astype(np.float32)[:, np.newaxis]


def random_rotation(n_components: int, seed: int) -> NDArray[np.float32]:
    """Return a uniformly random orthogonal matrix.

    It spreads variance evenly over the components, so that one bit or one codebook suits them all.

    Parameters
    ----------
    n_components
        Rows and columns.
    seed
        Of the PCG64 generator. Store the matrix: other NumPy versions may draw other numbers.

    Returns
    -------
    rotation
        Orthogonal, float32, shape ``(n_components, n_components)``.

    Raises
    ------
    InvalidConfigError
        If `n_components` is less than 1.

    References
    ----------
    F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices AMS
    54 (2007), for the sign that makes the factorization unique.

    Examples
    --------
    >>> rotation = random_rotation(3, seed=1)
    >>> np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    True
    """
    return random_projection(n_components, n_components, seed)


def random_projection(dimension: int, n_components: int, seed: int) -> NDArray[np.float32]:
    """Return orthonormal rows that span a uniformly random subspace.

    Parameters
    ----------
    dimension
        Length of the original vectors.
    n_components
        Rows, 1 to `dimension`.
    seed
        Of the PCG64 generator.

    Returns
    -------
    matrix
        float32, shape ``(n_components, dimension)``.

    Raises
    ------
    InvalidConfigError
        If `n_components` is not in 1 to `dimension`.

    References
    ----------
    W. Johnson and J. Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space" (1984).

    Examples
    --------
    >>> random_projection(8, 2, seed=0).shape
    (2, 8)
    """
    _check_components("random projection", n_components, dimension)
    generator = np.random.Generator(np.random.PCG64(seed))
    gaussian = generator.standard_normal((n_components, dimension))
    with single_threaded_blas():
        columns, triangle = np.linalg.qr(gaussian.T)
    signs = np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    return np.ascontiguousarray((columns * signs).T, dtype=np.float32)


def select_features(features: NDArray[np.integer], dimension: int) -> NDArray[np.float32]:
    """Return the matrix that picks the given features, in that order.

    Raises
    ------
    InvalidConfigError
        If a feature is repeated or not in 0 to ``dimension - 1``, or there are none.

    Examples
    --------
    >>> select_features(np.array([2, 0]), dimension=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    chosen = np.asarray(features)
    _check_components("selection", len(chosen), dimension)
    if chosen.min() < 0 or chosen.max() >= dimension or len(np.unique(chosen)) < len(chosen):
        raise InvalidConfigError(
            f"selection: features from {chosen.min()} to {chosen.max()}; expected different "
            f"ones from 0 to {dimension - 1}"
        )
    matrix = np.zeros((len(chosen), dimension), dtype=np.float32)
    matrix[np.arange(len(chosen)), chosen] = 1
    return matrix


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

    Raises
    ------
    InvalidConfigError
        If `n_components` is not in 1 to the dimension.

    References
    ----------
    The seed article's feature selection (Robinson & Corley 2026).

    Examples
    --------
    >>> select_top_variance(np.array([1.0, 5.0, 3.0]), 2)
    array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    _check_components("selection", n_components, len(variance))
    order = np.argsort(-np.asarray(variance), kind="stable")
    return select_features(order[:n_components], len(variance))


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


def _check_components(what: str, n_components: int, dimension: int) -> None:
    if not 1 <= n_components <= dimension:
        raise InvalidConfigError(
            f"{what}: {n_components} components of {dimension}-dimensional vectors; "
            f"expected 1 to {dimension}"
        )
