"""Iterative quantization: the rotation whose components lose least when only signs are kept.

A random rotation spreads the variance evenly, so that each bit says as much as the others; whether
vectors lie near the corners of the cube that signs stand for, it leaves to chance. Here two steps
alternate: the corner of each vector, and the rotation that brings all vectors nearest to their
corners (a Procrustes problem). Neither can raise the error.
"""

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError

MAX_SAMPLES = 32_768
"""Vectors that are rotated; twice as many gain nothing measurable."""

N_ITERATIONS = 50
"""As in the paper: the error has settled."""


def fit_itq_rotation(
    components: NDArray[np.float32], seed: int = 0, n_iterations: int = N_ITERATIONS
) -> NDArray[np.float64]:
    """Return the rotation that turns vectors towards the corners of a cube.

    Starts from the components as they are: rotate them at random first. Call it with BLAS on one
    thread: the same data then give the same bits.

    Parameters
    ----------
    components
        Finite float32, shape ``(n_components, n_pixels)``; of more than 32,768 pixels a seeded
        choice is used. Signs are those of the differences from the means, which bits have as
        thresholds.
    seed
        Of that choice.
    n_iterations
        How often corners and rotation are found anew.

    Returns
    -------
    rotation
        Orthonormal, float64, shape ``(n_components, n_components)``: ``rotation @ components`` are
        the rotated ones.

    Raises
    ------
    InvalidConfigError
        If a component is not finite.

    References
    ----------
    Y. Gong, S. Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes",
    CVPR 2011; P. Schönemann, "A generalized solution of the orthogonal Procrustes problem",
    Psychometrika 31 (1966).

    Examples
    --------
    >>> corners = np.array([[1.0, 1, -1, -1], [1, -1, 1, -1]], dtype=np.float32)
    >>> turn = np.array([[0.8, -0.6], [0.6, 0.8]], dtype=np.float32)
    >>> rotation = fit_itq_rotation(turn @ corners)
    >>> np.abs(rotation @ turn @ corners).round(6)
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.]])
    """
    points = _centred(_choose(components, seed))
    rotation = np.eye(len(points))
    for _ in range(n_iterations):
        rotated = rotation.astype(np.float32) @ points
        corners = np.where(rotated > 0, np.float32(1), np.float32(-1))
        left, _, right = np.linalg.svd((corners @ points.T).astype(np.float64))
        rotation = left @ right
    return rotation


def sign_error(components: NDArray[np.floating]) -> float:
    """Return the share of the energy that signs lose, 0 to 1, at the best common length.

    Of vectors on the corners of a cube it is 0, of Gaussian ones ``1 - 2 / pi``.

    Examples
    --------
    >>> sign_error(np.array([[2.0, -2.0], [-2.0, -2.0]]))
    0.0
    """
    magnitudes = np.abs(components, dtype=np.float64)
    energy = np.square(magnitudes).mean()
    return float(1 - magnitudes.mean() ** 2 / energy) if energy > 0 else 0.0


def _choose(components: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    n_pixels = components.shape[1]
    if n_pixels <= MAX_SAMPLES:
        return components
    chosen = np.random.default_rng(seed).choice(n_pixels, MAX_SAMPLES, replace=False)
    return components[:, np.sort(chosen)]


def _centred(components: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return components less their means, in a unit in which sums of squares cannot overflow."""
    if not np.isfinite(components).all():
        raise InvalidConfigError("itq: the sample holds NaN or infinity; pass valid pixels only")
    mean = components.mean(axis=1, dtype=np.float64, keepdims=True)
    largest = float(np.abs(components).max(initial=0.0)) or 1.0
    return ((components - mean) / largest).astype(np.float32)
