"""Fit a ridge regression from vectors to a quantity, its penalty tuned on training rows only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics.splits import fold_ids
from geoembz.errors import InvalidConfigError

ALPHA_GRID = tuple(10.0**power for power in range(-6, 4))
"""Penalties, as multiples of the mean eigenvalue of the features' covariance."""


@dataclass(frozen=True)
class RidgeProbe:
    """A fitted regression ``x @ weights + intercept``; `mse_by_alpha` chose `alpha`."""

    alpha: float
    mse_by_alpha: dict[float, float]
    weights: NDArray[np.float64]
    intercept: float

    def predict(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Return the quantity for each row of `vectors`, shape ``(n, D)``."""
        return np.asarray(np.asarray(vectors) @ self.weights + self.intercept, np.float64)


@dataclass(frozen=True)
class RegressionScores:
    """`r2` is nan where the truth is constant; `rmse` is in units of the quantity."""

    r2: float
    rmse: float


def fit_ridge(
    vectors: ArrayLike,
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    grid: Sequence[float] = ALPHA_GRID,
    n_folds: int = 5,
    seed: int = 0,
) -> RidgeProbe:
    """Tune and fit a ridge regression on training rows.

    One eigendecomposition per fold serves every penalty. As in the linear probe the features are
    centred, not standardised, so a rotation of them changes nothing.

    Parameters
    ----------
    vectors, values
        Training rows only, shapes ``(n, D)`` and ``(n,)``, finite.
    groups
        Shape ``(n,)``: rows with one value are never on both sides of a fold.
    grid, n_folds, seed
        How the penalty is tuned.

    Raises
    ------
    InvalidConfigError
        If shapes differ, a value is not finite, or a fold cannot be made.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> probe = fit_ridge(x, 2 * x[:, 0] + 5)
    >>> np.round(probe.predict([[1, 0, 0], [0, 0, 0]]), 2)
    array([7., 5.])
    """
    x, y = np.asarray(vectors, np.float64), np.asarray(values, np.float64)
    if x.ndim != 2 or y.shape != (len(x),) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidConfigError(
            f"ridge: got vectors {x.shape} and values {y.shape}; expected finite (n, D) and (n,)"
        )
    folds = fold_ids(np.zeros(len(x)), n_folds, groups=groups, seed=seed)
    errors = np.zeros(len(grid))
    for fold in range(n_folds):
        held_out = folds == fold
        weights, intercepts = _solve(x[~held_out], y[~held_out], grid)
        residuals = x[held_out] @ weights + intercepts - y[held_out, np.newaxis]
        errors += (residuals**2).sum(axis=0) / len(x)
    best = float(grid[int(errors.argmin())])
    weights, intercepts = _solve(x, y, [best])
    mse_by_alpha = dict(zip(grid, errors.tolist(), strict=True))
    return RidgeProbe(best, mse_by_alpha, weights[:, 0], float(intercepts[0]))


def score_regression(values: ArrayLike, predicted: ArrayLike) -> RegressionScores:
    """Return R² and RMSE.

    Examples
    --------
    >>> score_regression([1.0, 2.0, 3.0], [1.0, 2.0, 5.0])
    RegressionScores(r2=-1.0, rmse=1.154...)
    """
    truth, guess = np.asarray(values, np.float64), np.asarray(predicted, np.float64)
    if truth.shape != guess.shape or not truth.size:
        raise InvalidConfigError(f"regression: got {truth.shape} values, {guess.shape} predictions")
    squared, total = float(np.sum((truth - guess) ** 2)), float(np.sum((truth - truth.mean()) ** 2))
    r2 = 1 - squared / total if total else float("nan")
    return RegressionScores(r2=r2, rmse=float(np.sqrt(squared / truth.size)))


def _solve(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights ``(D, n_alphas)`` and intercepts ``(n_alphas,)`` for all penalties at once."""
    x_mean, y_mean = x.mean(axis=0), float(y.mean())
    centred = x - x_mean
    variances, axes = np.linalg.eigh(centred.T @ centred)
    variances = np.maximum(variances, 0)
    penalties = np.asarray(grid) * (variances.mean() or 1.0)
    along = axes.T @ (centred.T @ (y - y_mean))
    weights = axes @ (along[:, np.newaxis] / (variances[:, np.newaxis] + penalties))
    return weights, y_mean - x_mean @ weights
