"""Choose a recipe on one split and confirm it on another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geoembz._evaluate.cross_validation import divide_for_choice
from geoembz._evaluate.experiment import Experiment
from geoembz._evaluate.planned import UNLABELLED, Loss, Option
from geoembz._evaluate.sample import DEFAULTS, ExperimentOptions, Sample
from geoembz._evaluate.tasks import TASKS, choose_tasks
from geoembz._util.progress import Progress
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError, NoValidPixelsError

USES: dict[str, tuple[str, ...]] = {
    "search": (
        *("knn_float_query", "knn_float_query_slightly_whitened"),
        "knn_float_query_whitened",
    ),
    "knn": ("knn", "knn_slightly_whitened", "knn_whitened", "hamming"),
}
"""What vectors are used for, and the tasks that measure it, of which the best counts; other uses
are named like their one task."""

_BY_DIRECTION = {"search", "knn", "retrieval", "change"}
"""Uses that compare vectors by cosine, whatever their lengths."""

_SAME_LENGTH = 0.02
"""Spread of lengths, over their mean, up to which vectors count as of one length."""

_COMPONENTS = (8, 16, 32, 64, 128, 256)
_WHOLE = ("int8", "int4-lloyd", "rot-binary", "binary")
_PROJECTED = ("int8", "int4-lloyd", "rot-int4-lloyd")
_FEW_BYTES = (
    "pca256w0.5-rot-int2-lloyd",
    "pca128w0.5-rot-pq32x8",
    "pca256w0.5-rot-binary",
    "pca64-rq16x8",
    "pca64-int2-lloyd",
    "pca64w0.5-rot-int2-lloyd",
    "pca64w0.5-rot-pq16x8",
    "pca128w0.5-itq-binary",
    "pca64-rq8x8",
    "pca64w0.5-itq-binary",
    "pca32w0.5-rot-int2-lloyd",
    "pca32-rot-pq8x8",
    "pca32w0.5-rot-pq8x8",
    "pca64-rq4x8",
    "pca32-rot-pq4x8",
    "pca16-rot-pq2x8",
)
_DIRECTIONS = (
    "l2-pca128-rot-int4-lloyd",
    "l2-pca256w0.5-rot-int2-lloyd",
    "l2-pca64-int4-lloyd",
    "l2-pca256w0.5-rot-binary",
    "l2-pca64w0.5-rot-pq32x8",
    "l2-pca128w0.5-rot-pq32x8",
    "l2-pca128-rq16x8",
    "l2-pca64w0.5-rot-int2-lloyd",
    "l2-pca32-int4-lloyd",
    "l2-pca64-rq8x8",
    "l2-pca32w0.5-rot-pq8x8",
    "l2-pca128-rq4x8",
    "l2-pca32-rot-pq4x8",
)
"""Those that won their size in docs/explanation/codec-family.md; they keep no lengths."""


@dataclass(frozen=True)
class Goal:
    """A limit on the loss, or a budget in bytes per vector: exactly one of them.

    Raises
    ------
    InvalidConfigError
        If both are given, or one cannot be met by anything.
    """

    max_loss: float | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        """Refuse two goals, and impossible ones."""
        if self.max_loss is not None and self.budget is not None:
            raise InvalidConfigError("plan: --max-loss and --bytes exclude each other; give one")
        if self.max_loss is not None and not 0 <= self.max_loss < 1:
            hint = f"; did you mean {self.max_loss:g}%?" if 1 <= self.max_loss <= 100 else ""
            raise InvalidConfigError(
                f"plan: a loss of at most {self.max_loss}; expected less than 1, for example 1% "
                f"or 0.01{hint}"
            )
        if self.budget is not None and self.budget < 1:
            raise InvalidConfigError(f"plan: {self.budget} bytes; expected 1 or more")

    def candidates(self, options: Sequence[Option]) -> list[Option]:
        """Return what meets the goal on the selection split, the best first.

        Under a loss limit that is the cheapest, within a budget the one that loses least.
        """
        if self.budget is not None:
            fitting = [option for option in options if option.bytes <= self.budget]
            return sorted(fitting, key=lambda option: (option.selection.loss, option.bytes))
        limit = self.max_loss or 0.0
        fitting = [option for option in options if option.selection.loss <= limit]
        return sorted(fitting, key=lambda option: (option.bytes, option.selection.loss))

    def confirms(self, loss: Loss) -> bool:
        """Whether the confirmation split agrees; a budget needs no agreement."""
        return self.max_loss is None or loss.loss <= self.max_loss


class Selection:
    """Recipes fitted once, and measured on two splits: one to choose on, one to confirm on.

    Parameters
    ----------
    sample
        Cleaned rows.
    use
        What the vectors are for; None for what suits the labels.
    options
        How rows are divided; see `divide_for_choice`.

    Raises
    ------
    InvalidConfigError
        If the use does not suit the labels, or there are too few rows or groups.
    """

    def __init__(
        self, sample: Sample, use: str | None, options: ExperimentOptions = DEFAULTS
    ) -> None:
        self.sample, self.use = sample, use or _usual_use(sample)
        if self.use not in {*UNLABELLED, *USES, *TASKS}:
            known = [*UNLABELLED, *dict.fromkeys([*USES, *TASKS])]
            raise InvalidConfigError(f"use {self.use!r}; expected one of {', '.join(known)}")
        self._names = () if self.use in UNLABELLED else USES.get(self.use, (self.use,))
        tasks = choose_tasks(sample, self._names)
        divisions = divide_for_choice(sample, options)
        self.choice, self.confirmation = (
            Experiment(sample, division, tasks, options.seed) for division in divisions
        )
        self.options: list[Option] = []
        self.messages: list[str] = []
        self._encodings: dict[str, Encoding] = {}

    @property
    def metric(self) -> str:
        """Name of the score."""
        return UNLABELLED[self.use] if self.use in UNLABELLED else TASKS[self._names[0]].metric

    def try_recipes(self, recipes: Sequence[str] | None, progress: Progress | None) -> None:
        """Fit and measure recipes; of the ladder, those are left out that the sample cannot fit."""
        names = tuple(recipes or ())
        if recipes is None:
            directions = self.use in _BY_DIRECTION and _lengths_differ(self.sample)
            names = ladder(self.sample.dimension, directions=directions)
        for done, name in enumerate(names):
            if progress is not None:
                progress(done, len(names))
            try:
                self.options.append(self._try_recipe(name))
            except (InvalidConfigError, NoValidPixelsError) as error:
                if recipes is not None:
                    raise
                self.messages.append(f"not tried: {name} ({error})")

    def confirm(self, goal: Goal) -> tuple[list[Option], Option]:
        """Confirm candidates in turn until one holds; return all that were considered, and it."""
        considered: list[Option] = []
        for candidate in goal.candidates(self.options):
            considered.append(self._confirm_option(candidate))
            loss = considered[-1].confirmation
            if loss is not None and goal.confirms(loss):
                return considered, considered[-1]
        if goal.budget is not None:
            smallest = min(self.options, key=lambda option: option.bytes)
            raise InvalidConfigError(
                f"plan: no recipe of at most {goal.budget} bytes; the smallest tried is "
                f"{smallest.recipe} with {smallest.bytes}; raise --bytes or name --recipes"
            )
        return considered, self._confirm_option(self._try_recipe("float32"))

    def _try_recipe(self, name: str) -> Option:
        (encoding,) = self.choice.fit(name)
        self._encodings[name] = encoding
        return Option(name, encoding.bytes_per_vector, self._measure(encoding, self.choice))

    def _confirm_option(self, option: Option) -> Option:
        encoding, by = self._encodings[option.recipe], option.selection.by
        return replace(option, confirmation=self._measure(encoding, self.confirmation, by))

    def _measure(self, encoding: Encoding, experiment: Experiment, by: str | None = None) -> Loss:
        """Return the loss of a fitted recipe on one split.

        Vectors can be compared by several metrics: the best one counts, unless `by` names a task.
        """
        if self.use in UNLABELLED:
            score = _unlabelled_score(self.use, experiment.measure_fidelity(encoding))
            return Loss(self.use, score, 1.0, 1.0 - score)
        losses = []
        for name, scores in experiment.judge([encoding], with_fidelity=False).tasks.items():
            if name not in self._names:
                continue  # measured for comparison only
            task = TASKS[name]
            full = experiment.baseline_scores[task.baseline or name][task.metric]
            losses.append(Loss.of(name, scores, task.metric, full))
        return min((loss for loss in losses if by in {None, loss.by}), key=lambda loss: loss.loss)


def ladder(dimension: int, *, directions: bool = False) -> tuple[str, ...]:
    """Return names of recipes worth trying on vectors of a dimension, largest first.

    Parameters
    ----------
    dimension
        Length of a vector.
    directions
        Also those that keep directions only, where lengths differ and the task asks for none.

    Examples
    --------
    >>> "pca16-int8" in ladder(64), "pca64-int8" in ladder(64)
    (True, False)
    """
    names = [f"pca{k}-{quantizer}" for k in reversed(_COMPONENTS) for quantizer in _PROJECTED]
    names += [*_FEW_BYTES, *(_DIRECTIONS if directions else ())]
    return (*_WHOLE, *(n for n in names if (Recipe.parse(n).n_components or 0) < dimension))


def _usual_use(sample: Sample) -> str:
    if sample.labels is None:
        return "cosine"
    if sample.after is not None:
        return "change"
    return "knn" if sample.has_classes else "regression"


def _unlabelled_score(use: str, measured: Mapping[str, Any]) -> float:
    if use == "cosine":
        return float(measured["cosine_centred"]["mean"])
    return float(max(measured["spearman"], measured.get("hamming_spearman", -1.0)))


def _lengths_differ(sample: Sample) -> bool:
    """Whether scaling vectors to one length changes them noticeably."""
    lengths = np.linalg.norm(sample.vectors, axis=1)
    return bool(lengths.std() > _SAME_LENGTH * lengths.mean())
