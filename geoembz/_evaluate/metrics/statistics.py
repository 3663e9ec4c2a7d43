"""Bootstrap intervals over rows or groups, and paired comparisons of two scores.

Both scores of a comparison come from the same test rows, so everything here is paired. Rows that
belong together (a polygon, a spatial block) carry less information than their number says; then
whole groups are resampled and their interval decides, because McNemar's test takes every row for
independent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

_CELLS = 4_000_000
"""Multinomial counts drawn at once: 32 MB."""

type Verdict = Literal["no difference found", "loss", "gain"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap standard error and 95 % interval, over `n_units` units."""

    estimate: float
    ci95: tuple[float, float]
    standard_error: float
    n_units: int


@dataclass(frozen=True)
class Comparison:
    """A compressed against an uncompressed score on the same rows; `delta` < 0 means a loss.

    `mcnemar_p` is known for accuracies, `n_groups` where groups of rows were resampled.
    """

    delta: float
    ci95: tuple[float, float]
    n_rows: int
    n_groups: int | None
    mcnemar_p: float | None = None

    @property
    def verdict(self) -> Verdict:
        """What the deciding test says at 5 %: McNemar for single rows, else the interval."""
        if self.mcnemar_p is not None and self.n_groups is None:
            differs = self.mcnemar_p < 0.05
        else:
            differs = self.ci95[0] > 0 or self.ci95[1] < 0
        if not differs:
            return "no difference found"
        return "loss" if self.delta < 0 else "gain"

    @property
    def warning(self) -> str | None:
        """Why McNemar's p is not to be trusted; None where it is, or there is none."""
        if self.mcnemar_p is None or self.n_groups is None:
            return None
        return (
            "McNemar's p takes the rows of a group for independent and is too small; the interval "
            f"over {self.n_groups} resampled groups decides"
        )

    def to_text(self) -> str:
        """Return the verdict with its interval; accuracies in percentage points."""
        low, high = self.ci95
        if self.mcnemar_p is None:
            change = f"{self.delta:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
        else:
            low, high = 100 * low, 100 * high
            change = f"{100 * self.delta:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}"
        return f"{self.verdict} ({change})"

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        p = {} if self.mcnemar_p is None else {"mcnemar_p": self.mcnemar_p}
        return {
            "delta": self.delta,
            "ci95": list(self.ci95),
            **p,
            "verdict": self.verdict,
            "text": self.to_text(),
            "n_test": self.n_rows,
            "n_groups": self.n_groups,
            "warning": self.warning,
        }


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
    # few kinds of unit occur (a paired difference is -1, 0 or 1): draw how often each comes
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


def compare_accuracy(
    baseline_correct: ArrayLike,
    compressed_correct: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare the accuracy of compressed with that of uncompressed vectors, row by row.

    Parameters
    ----------
    baseline_correct, compressed_correct
        Bool, shape ``(n,)``, for the same test rows.
    groups, resamples, seed
        As in `bootstrap_mean`; with groups their interval decides.

    Examples
    --------
    >>> baseline = np.ones(100, bool)
    >>> compare_accuracy(baseline, np.arange(100) >= 20).to_text()
    'loss (-20.00 points, 95 % interval -28.00 to -12.00)'
    """
    p = mcnemar_p(baseline_correct, compressed_correct)
    difference = np.asarray(compressed_correct, np.int8) - np.asarray(baseline_correct, np.int8)
    interval = bootstrap_mean(difference, groups=groups, resamples=resamples, seed=seed)
    return compare_interval(interval, len(difference), groups, p)


def compare_interval(
    interval: Interval, n_rows: int, groups: ArrayLike | None, p: float | None = None
) -> Comparison:
    """Turn the interval of a difference into a comparison; `p` is McNemar's, of accuracies."""
    n_groups = None if groups is None else interval.n_units
    return Comparison(interval.estimate, interval.ci95, n_rows, n_groups, p)


def mcnemar_p(first_correct: ArrayLike, second_correct: ArrayLike) -> float:
    """Return the p-value of McNemar's exact test that two classifiers err equally often.

    Parameters
    ----------
    first_correct, second_correct
        Bool, shape ``(n,)``, for the same rows.

    Raises
    ------
    InvalidConfigError
        If the shapes differ.

    References
    ----------
    McNemar (1947), Psychometrika 12; Agresti (1990), Categorical Data Analysis, section 10.1.

    Examples
    --------
    >>> first = np.repeat([True, False], [9, 2])
    >>> round(mcnemar_p(first, ~first), 5)
    0.06543
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first_correct, bool), np.asarray(second_correct, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise InvalidConfigError(
            f"mcnemar: got {first.shape} and {second.shape}; expected the same rows, (n,) twice"
        )
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


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
    return Interval(estimate, (float(low), float(high)), float(samples.std(ddof=1)), n_units)


def _expanded_tails(n_units: int) -> tuple[float, float]:
    """Return the quantiles of a 95 % percentile interval, widened for few units."""
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, 0.025)))
    return tail, 1 - tail
