"""What every task has in common: it answers for test rows, is scored, and is compared.

A task is fitted on the training rows of one fold and answers for its test rows. Answers of several
folds are joined; scores and comparisons are made on the joined answers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.division import Fold
from geoembz._evaluate.metrics.bootstrap import Interval, bootstrap_mean, bootstrap_statistic
from geoembz._evaluate.metrics.statistics import Comparison
from geoembz._evaluate.sample import Sample
from geoembz._evaluate.views import Views

RESAMPLES = 500
"""Bootstrap samples of statistics that are no means."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is known when a task is solved: the rows, the fold, and the seed."""

    sample: Sample
    fold: Fold
    groups: NDArray[Any] | None
    seed: int

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of all rows; tasks are run only where there are some."""
        labels = self.sample.labels
        return np.empty(0) if labels is None else labels

    @property
    def train_labels(self) -> NDArray[Any]:
        """Labels of the training rows."""
        return self.labels[self.fold.train]

    @property
    def train_groups(self) -> NDArray[Any] | None:
        """Groups of the training rows."""
        return None if self.groups is None else self.groups[self.fold.train]


@dataclass(frozen=True, eq=False)
class Answer:
    """One value, or row of values, per test row; `notes` say how it was come by."""

    values: NDArray[Any]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Truth:
    """What answers are held against: labels and groups of the test rows, fold by fold."""

    labels: NDArray[Any]
    groups: NDArray[Any] | None
    seed: int


class Task(Protocol):
    """One task; see the module's docstring."""

    name: ClassVar[str]
    metric: ClassVar[str]
    """The score that decides."""
    baseline: ClassVar[str]
    """Task whose uncompressed answer this one is compared with: its own, mostly."""

    def applies(self, views: Views) -> bool:
        """Whether the task can be run on these views."""
        ...

    def solve(self, problem: Problem, views: Views) -> Answer:
        """Fit on training rows, answer for test rows."""
        ...

    def score(self, truth: Truth, answer: Answer) -> dict[str, Any]:
        """Return the scores, JSON values."""
        ...

    def compare(self, truth: Truth, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Return the scores of `answer` and what was lost: `delta`, `ci95`, `verdict`."""
        ...


def joined(answers: list[Answer]) -> Answer:
    """Return the answers of several folds as one; notes become lists where there are several."""
    if len(answers) == 1:
        return answers[0]
    notes = {name: [answer.notes[name] for answer in answers] for name in answers[0].notes}
    return Answer(np.concatenate([answer.values for answer in answers]), notes)


def judged(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison of accuracies as JSON values."""
    return {
        "delta": comparison.delta,
        "ci95": list(comparison.ci95),
        "mcnemar_p": comparison.mcnemar_p,
        "verdict": comparison.verdict,
        "text": comparison.to_text(),
        "n_test": comparison.n_rows,
        "n_groups": comparison.n_groups,
        "warning": comparison.warning,
    }


def judged_mean(differences: NDArray[np.float64], truth: Truth) -> dict[str, Any]:
    """Judge a difference of means, one difference per row; `truth.groups` are resampled."""
    interval = bootstrap_mean(differences, groups=truth.groups, seed=truth.seed)
    return _judged(interval, len(differences), truth)


def judged_statistic(
    difference: Callable[[NDArray[np.int64]], float], n_rows: int, truth: Truth
) -> dict[str, Any]:
    """Judge a difference that is no mean, given as a function of row numbers."""
    interval = bootstrap_statistic(
        difference, n_rows, groups=truth.groups, resamples=RESAMPLES, seed=truth.seed
    )
    return _judged(interval, n_rows, truth)


def _judged(interval: Interval, n_rows: int, truth: Truth) -> dict[str, Any]:
    low, high = interval.ci95
    verdict = "no difference found"
    if low > 0 or high < 0:
        verdict = "loss" if interval.estimate < 0 else "gain"
    return {
        "delta": interval.estimate,
        "ci95": [low, high],
        "verdict": verdict,
        "text": f"{verdict} ({interval.estimate:+.4f}, 95 % interval {low:+.4f} to {high:+.4f})",
        "n_test": n_rows,
        "n_groups": None if truth.groups is None else interval.n_units,
        "warning": None,
    }
