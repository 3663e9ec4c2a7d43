"""Judge whether a compression changed a score, or whether chance explains the difference.

Both scores come from the same test rows, so everything here is paired. Rows that belong together
(a polygon, a spatial block) carry less information than their number says; then whole groups are
resampled and their interval decides, because McNemar's test takes every row for independent.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from geoembz._evaluate.metrics.bootstrap import bootstrap_mean
from geoembz.errors import InvalidConfigError

type Verdict = Literal["no difference found", "loss", "gain"]


@dataclass(frozen=True)
class McNemar:
    """Exact McNemar test: `only_first` and `only_second` count rows that one side got right."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """A compressed against an uncompressed score on the same rows; `delta` < 0 means a loss."""

    delta: float
    ci95: tuple[float, float]
    mcnemar_p: float
    n_rows: int
    n_groups: int | None
    warning: str | None

    @property
    def verdict(self) -> Verdict:
        """What the deciding test says at 5 %: McNemar for single rows, the interval for groups."""
        if self.n_groups is None:
            differs = self.mcnemar_p < 0.05
        else:
            differs = self.ci95[0] > 0 or self.ci95[1] < 0
        if not differs:
            return "no difference found"
        return "loss" if self.delta < 0 else "gain"

    def to_text(self) -> str:
        """Return the verdict with its interval, in percentage points."""
        low, high = (100 * end for end in self.ci95)
        interval = f"{100 * self.delta:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}"
        return f"{self.verdict} ({interval})"


def mcnemar_exact(first_correct: ArrayLike, second_correct: ArrayLike) -> McNemar:
    """Test whether two classifiers err equally often on the same rows.

    Parameters
    ----------
    first_correct, second_correct
        Bool, shape ``(n,)``.

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
    >>> round(mcnemar_exact(first, ~first).p, 5)
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
    p = float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    return McNemar(only_first, only_second, p)


def compare_paired(
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
    >>> compare_paired(baseline, np.arange(100) >= 20).to_text()
    'loss (-20.00 points, 95 % interval -28.00 to -12.00)'
    """
    test = mcnemar_exact(baseline_correct, compressed_correct)
    difference = np.asarray(compressed_correct, np.int8) - np.asarray(baseline_correct, np.int8)
    interval = bootstrap_mean(difference, groups=groups, resamples=resamples, seed=seed)
    warning = None
    if groups is not None:
        warning = (
            "McNemar's p takes the rows of a group for independent and is too small; the interval "
            f"over {interval.n_units} resampled groups decides"
        )
    return Comparison(
        delta=interval.estimate,
        ci95=interval.ci95,
        mcnemar_p=test.p,
        n_rows=len(difference),
        n_groups=None if groups is None else interval.n_units,
        warning=warning,
    )
