"""Give a score its bootstrap interval, drawing rows or whole groups of rows with replacement."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

_CELLS = 4_000_000
"""Multinomial counts drawn at once: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap standard error and 95 % interval, over `n_units` units."""

    estimate: float
    low: float
    high: float
    standard_error: float
    n_units: int

    @property
    def ci95(self) -> tuple[float, float]:
        """Lower and upper end."""
        return self.low, self.high


def bootstrap_mean(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Return the mean of `values` with its 95 % bootstrap interval.

    Rows, or whole groups of rows, are drawn with replacement; the mean of a resample of groups is
    the sum of its values over its number of rows. Equal units are drawn together (a multinomial
    count is the same bootstrap, faster). The percentile interval is expanded for few units.

    Parameters
    ----------
    values
        Shape ``(n,)``; for a paired comparison, the difference of each row.
    groups
        Shape ``(n,)``: rows with one value stay together.
    resamples, seed
        Number of bootstrap samples, and what they are drawn with.

    Raises
    ------
    InvalidConfigError
        If there are fewer than two units to resample, or shapes differ.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap. Expanded percentile interval:
    Hesterberg (2015), The American Statistician 69(4), section 5. Groups: Field and Welsh (2007),
    J. R. Statist. Soc. B 69(3).

    Examples
    --------
    >>> mouse_survival_days = [94, 197, 16, 38, 99, 141, 23]
    >>> round(bootstrap_mean(mouse_survival_days, resamples=100_000).standard_error, 1)
    23.4
    """
    sums, sizes = _units(np.asarray(values, np.float64), groups)
    n_units = _require_two(len(sums))
    kinds, counts = np.unique(np.stack([sums, sizes], axis=1), axis=0, return_counts=True)
    means = _resampled_means(kinds, counts / n_units, n_units, resamples, seed)
    return _interval(float(sums.sum() / sizes.sum()), means, n_units)


def bootstrap_statistic(
    statistic: Callable[[NDArray[np.int64]], float],
    n_rows: int,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return any statistic of rows with its 95 % bootstrap interval.

    For what is not a mean (macro-F1, mIoU, ROC-AUC) and for differences of such; resampled as in
    `bootstrap_mean`.

    Parameters
    ----------
    statistic
        Takes row numbers, with repetitions, and returns the statistic of those rows. A resample
        for which it returns nan (a class is missing) is left out.
    n_rows, groups, resamples, seed
        Number of rows; the rest as in `bootstrap_mean`.

    Raises
    ------
    InvalidConfigError
        If there are fewer than two units, or half of the resamples have no value.

    Examples
    --------
    >>> x = np.arange(9.0)
    >>> bootstrap_statistic(lambda rows: float(np.median(x[rows])), 9).estimate
    4.0
    """
    codes = np.arange(n_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    n_units = _require_two(len(members))
    generator = np.random.default_rng(seed)
    draws = (generator.integers(0, n_units, n_units) for _ in range(resamples))
    samples = np.array([statistic(np.concatenate([members[i] for i in draw])) for draw in draws])
    samples = samples[~np.isnan(samples)]
    if len(samples) <= resamples / 2:
        raise InvalidConfigError(
            f"bootstrap: the statistic exists in only {len(samples)} of {resamples} resamples; "
            "give more rows or groups per class"
        )
    return _interval(float(statistic(np.arange(n_rows))), samples, n_units)


def _require_two(n_units: int) -> int:
    if n_units < 2:
        raise InvalidConfigError(
            f"bootstrap: got {n_units} rows or groups to resample; an interval needs at least 2"
        )
    return n_units


def _units(
    values: NDArray[np.float64], groups: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sum and size of each unit to resample."""
    if groups is None:
        return values, np.ones_like(values)
    if np.shape(groups) != values.shape:
        raise InvalidConfigError(
            f"bootstrap: got {values.shape} values and {np.shape(groups)} groups; expected one "
            "group per row"
        )
    _, codes, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return np.bincount(codes, weights=values), sizes.astype(np.float64)


def _resampled_means(
    kinds: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    n_units: int,
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // len(kinds))
    totals = [
        generator.multinomial(n_units, probabilities, min(step, resamples - start)) @ kinds
        for start in range(0, resamples, step)
    ]
    sums, sizes = np.concatenate(totals).T
    return np.asarray(sums / sizes)


def _interval(estimate: float, samples: NDArray[np.float64], n_units: int) -> Interval:
    low, high = np.quantile(samples, _expanded_tails(n_units))
    return Interval(estimate, float(low), float(high), float(samples.std(ddof=1)), n_units)


def _expanded_tails(n_units: int) -> tuple[float, float]:
    """Return the quantiles of a 95 % percentile interval, widened for few units."""
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, 0.025)))
    return tail, 1 - tail
