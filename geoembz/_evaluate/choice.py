"""Choose a recipe on one split and confirm it on another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geoembz._evaluate.division import Division, Fold, base_division
from geoembz._evaluate.metrics.splits import fold_ids
from geoembz._evaluate.run import Trial
from geoembz._evaluate.sample import Sample
from geoembz._evaluate.tasks import TASKS
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError

UNLABELLED = {"cosine": "centred cosine", "rank": "rank correlation of distances"}
"""Measures that need no labels: mean over the test rows, and Spearman over pairs of them."""

_FOLDS = 5


@dataclass(frozen=True)
class Loss:
    """What a recipe loses on one split: `loss` > 0 is worse; `ci95` bounds it where known.

    `by` is the task that it was measured with: of bits, ``knn`` or ``hamming``.
    """

    by: str
    score: float
    baseline: float
    loss: float
    ci95: tuple[float, float] | None = None
    verdict: str | None = None

    @classmethod
    def of(cls, by: str, scores: Mapping[str, Any], metric: str, baseline: float) -> "Loss":
        """Turn a task's comparison into a loss."""
        low, high = scores["ci95"]
        return cls(by, scores[metric], baseline, -scores["delta"], (-high, -low), scores["verdict"])


@dataclass(frozen=True)
class Option:
    """One recipe of the ladder.

    Parameters
    ----------
    recipe, bytes
        Name and nominal size of a vector.
    selection
        Loss on the split that the choice is made on.
    confirmation
        Loss on the other split, for recipes that were considered there.
    on_frontier
        Whether no cheaper or equally dear recipe scores as well.
    """

    recipe: str
    bytes: int
    selection: Loss
    confirmation: Loss | None = None
    on_frontier: bool = False


@dataclass(frozen=True, eq=False)
class Arena:
    """Two trials with the same training rows: one to choose on, one to confirm on."""

    task: str
    selection: Trial
    confirmation: Trial

    @property
    def metric(self) -> str:
        """Name of the score."""
        return UNLABELLED[self.task] if self.task in UNLABELLED else TASKS[self.task].metric

    def fit(self, recipe: str) -> Encoding:
        """Fit a recipe to the training rows."""
        from geoembz.encoding import Recipe

        return self.selection.encodings(Recipe.parse(recipe))[0]

    def measure(self, encoding: Encoding, trial: Trial, by: str | None = None) -> tuple[int, Loss]:
        """Return size and loss of a fitted recipe on one split.

        Bits can be searched by cosine or by Hamming distance: the better one counts, unless `by`
        names one.
        """
        if self.task in UNLABELLED:
            size, measured = trial.measure_fidelity(encoding)
            score = _unlabelled_score(self.task, measured)
            return size, Loss(self.task, score, 1.0, 1.0 - score)
        result = trial.judge([encoding], with_fidelity=False)
        losses = []
        for name, scores in result.tasks.items():
            task = TASKS[name]
            baseline = trial.baseline_scores[task.baseline][task.metric]
            losses.append(Loss.of(name, scores, task.metric, baseline))
        eligible = [loss for loss in losses if by in {None, loss.by}]
        return result.bytes, min(eligible, key=lambda loss: loss.loss)


def make_arena(
    sample: Sample,
    task: str | None,
    *,
    split: str | None = None,
    block_size: float | None = None,
    seed: int = 0,
) -> Arena:
    """Divide a sample into training, selection and confirmation rows.

    Raises
    ------
    InvalidConfigError
        If the task does not suit the labels, or there are too few rows or groups.
    """
    task = task or _usual_task(sample)
    division = base_division(sample, split, block_size)
    tasks = _tasks(sample, task)
    selection, confirmation = (
        Trial(sample, replace(division, folds=(fold,)), tasks, seed)
        for fold in _folds(sample, division, seed)
    )
    return Arena(task, selection, confirmation)


def frontier(options: Sequence[Option]) -> tuple[Option, ...]:
    """Mark what lies on the Pareto frontier, and sort by size, dear ones first."""
    by_size = sorted(options, key=lambda option: (option.bytes, option.selection.loss))
    best, marked = np.inf, []
    for option in by_size:
        marked.append(replace(option, on_frontier=option.selection.loss < best))
        best = min(best, option.selection.loss)
    return tuple(reversed(marked))


def _usual_task(sample: Sample) -> str:
    if sample.labels is None:
        return "cosine"
    if sample.after is not None:
        return "change"
    return "knn" if sample.has_classes else "regression"


def _unlabelled_score(task: str, measured: Mapping[str, Any]) -> float:
    if task == "cosine":
        return float(measured["cosine_centred"]["mean"])
    return float(max(measured["spearman"], measured.get("hamming_spearman", -1.0)))


def _tasks(sample: Sample, task: str) -> tuple[Any, ...]:
    from geoembz._evaluate.tasks import choose_tasks

    if task in UNLABELLED:
        return ()
    return choose_tasks(sample, ["knn", "hamming"] if task == "knn" else [task])


def _folds(sample: Sample, division: Division, seed: int) -> tuple[Fold, Fold]:
    """Return the selection and the confirmation fold; they share their training rows."""
    classes = sample.labels if sample.has_classes else None
    balance = np.zeros(len(sample)) if classes is None else classes
    groups = division.groups if division.kind in {"grouped", "blocked"} else None
    if division.kind == "given" and sample.is_train is not None:
        rows = np.flatnonzero(~sample.is_train)
        kept = None if division.groups is None else division.groups[rows]
        parts = np.full(len(sample), 2)
        parts[rows] = fold_ids(balance[rows], 2, groups=kept, seed=seed)
    else:
        if groups is not None and (count := len(np.unique(groups))) < 2 * _FOLDS:
            raise InvalidConfigError(
                f"{sample.name}: plan needs {2 * _FOLDS} groups or blocks, two each to choose and "
                f"to confirm on, but there are {count}; use smaller blocks (--block-size) or other "
                "groups, or --split stratified"
            )
        parts = fold_ids(balance, _FOLDS, groups=groups, seed=seed)
    train = np.random.default_rng(seed).permutation(np.flatnonzero(parts >= 2))
    tested = [np.flatnonzero(parts == part) for part in (1, 0)]
    if classes is not None:
        tested = [rows[np.isin(classes[rows], classes[train])] for rows in tested]
    if len(train) < 2 or min(map(len, tested)) < 2:
        raise InvalidConfigError(f"{sample.name}: too few rows to train, choose and confirm on")
    return Fold(train, tested[0]), Fold(train, tested[1])
