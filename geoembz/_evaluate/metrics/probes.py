"""Fit linear models whose penalty is tuned on training rows only: logistic and ridge regression.

Features are centred and divided by one common scale, not by one per feature: then the penalty,
and so the result, is the same for vectors and for any rotation of them (PCA scores and their
reconstruction), and a compression is not credited with a whitening that it did not do.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics.splits import fold_ids, stratified_sample
from geoembz._util.threads import single_threaded_blas
from geoembz.errors import InvalidConfigError

C_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0)
"""Inverse penalties tried; features are scaled to a mean square of 1, so one grid serves all."""

MAX_ITERATIONS = 300
"""Of the solver; a probe says whether they were enough."""

ALPHA_GRID = tuple(10.0**power for power in range(-6, 4))
"""Penalties of ridge, as multiples of the mean eigenvalue of the features' covariance."""


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe; `loss_by_c` is the cross-validated log loss that chose `c`."""

    c: float
    loss_by_c: dict[float, float]
    converged: bool
    centre: NDArray[np.float32]
    scale: float
    model: Any

    def predict(self, vectors: ArrayLike) -> NDArray[np.generic]:
        """Return the class of each row of `vectors`, shape ``(n, D)``."""
        scaled = (np.asarray(vectors, np.float32) - self.centre) / np.float32(self.scale)
        return np.asarray(self.model.predict(scaled))


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


def fit_probe(
    vectors: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    grid: Sequence[float] = C_GRID,
    tuning_rows: int = 4000,
    n_folds: int = 3,
    seed: int = 0,
) -> LinearProbe:
    """Tune and fit a linear probe on training rows.

    C is chosen from `grid` by cross-validation on a stratified sample of at most `tuning_rows`
    rows, and the probe is then fitted on all rows. The criterion is the log loss: accuracy is so
    flat around its maximum that rounding would choose. The products are thin, so one BLAS thread
    is faster than two, and the result does not depend on the machine's cores.

    Parameters
    ----------
    vectors
        Training rows only, shape ``(n, D)``, finite.
    labels
        Shape ``(n,)``, two classes or more.
    groups
        Shape ``(n,)``: rows with one value are never on both sides of a fold.
    grid, tuning_rows, n_folds, seed
        How C is tuned.

    Raises
    ------
    InvalidConfigError
        If there is only one class, or a fold cannot be made.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 4))
    >>> probe = fit_probe(x, x[:, 0] > 0)
    >>> bool((probe.predict([[3, 0, 0, 0], [-3, 0, 0, 0]]) == [True, False]).all())
    True
    """
    features, classes = np.asarray(vectors, np.float32), np.asarray(labels)
    if len(np.unique(classes)) < 2:
        raise InvalidConfigError(
            f"linear probe: all {len(classes)} training rows have one class; give labels of two"
        )
    centre = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    features = features - centre
    scale = float(np.sqrt(np.mean(features**2, dtype=np.float64))) or 1.0
    features /= np.float32(scale)
    rows = stratified_sample(classes, tuning_rows, seed=seed)
    chosen_groups = None if groups is None else np.asarray(groups)[rows]
    folds = fold_ids(classes[rows], n_folds, groups=chosen_groups, seed=seed)
    with single_threaded_blas():
        losses = _cross_validate(features[rows], classes[rows], folds, sorted(grid))
        best = min(losses, key=lambda c: losses[c])
        model = _regression(best)
        _fit(model, features, classes)
    converged = bool(np.max(model.n_iter_) < MAX_ITERATIONS)
    return LinearProbe(best, losses, converged, centre, scale, model)


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
        weights, intercepts = _solve_ridge(x[~held_out], y[~held_out], grid)
        residuals = x[held_out] @ weights + intercepts - y[held_out, np.newaxis]
        errors += (residuals**2).sum(axis=0) / len(x)
    best = float(grid[int(errors.argmin())])
    weights, intercepts = _solve_ridge(x, y, [best])
    mse_by_alpha = dict(zip(grid, errors.tolist(), strict=True))
    return RidgeProbe(best, mse_by_alpha, weights[:, 0], float(intercepts[0]))


def _cross_validate(
    features: NDArray[np.float32],
    classes: NDArray[np.generic],
    folds: NDArray[np.int64],
    grid: Sequence[float],
) -> dict[float, float]:
    """Return the held-out log loss of each C, rising; stop when it got worse twice in a row.

    Each fit starts from the one before, which halves the iterations.
    """
    models = {int(fold): _regression(grid[0]) for fold in np.unique(folds)}
    losses: dict[float, float] = {}
    for c in grid:
        held_out_losses = []
        for fold, model in models.items():
            held_out = folds == fold
            model.set_params(C=c)
            _fit(model, features[~held_out], classes[~held_out])
            held_out_losses.append(_log_losses(model, features[held_out], classes[held_out]))
        losses[c] = float(np.concatenate(held_out_losses).mean())
        if len(losses) > 2 and sorted(last := list(losses.values())[-3:]) == last:
            break
    return losses


def _log_losses(
    model: Any, features: NDArray[np.float32], classes: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Return the log loss of each row whose class the model has seen."""
    seen = np.isin(classes, model.classes_)
    columns = np.searchsorted(model.classes_, classes[seen])
    probabilities = model.predict_proba(features)[seen, columns]
    # one row that is surely wrong must not outweigh all others
    return np.asarray(-np.log(np.maximum(probabilities, 1e-12)), dtype=np.float64)


def _regression(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=MAX_ITERATIONS, warm_start=True)


def _fit(model: Any, features: NDArray[np.float32], classes: NDArray[np.generic]) -> None:
    """Fit, silencing the one warning that `LinearProbe.converged` replaces."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, classes)


def _solve_ridge(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights ``(D, n_alphas)`` and intercepts ``(n_alphas,)`` for all penalties at once."""
    x_mean, y_mean = x.mean(axis=0), float(y.mean())
    centred = x - x_mean
    variances, axes = np.linalg.eigh(centred.T @ centred)
    variances = np.maximum(variances, 0)  # rounding makes tiny ones negative
    penalties = np.asarray(grid) * (variances.mean() or 1.0)
    along = axes.T @ (centred.T @ (y - y_mean))
    weights = axes @ (along[:, np.newaxis] / (variances[:, np.newaxis] + penalties))
    return weights, y_mean - x_mean @ weights
