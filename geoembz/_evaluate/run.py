"""Evaluate recipes on a sample: one protocol for every recipe, everything fitted on training rows.

One recipe is encoded, decoded and judged at a time, fold by fold, so that memory holds the
uncompressed rows and one decoded copy of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from geoembz._evaluate.division import Division, Fold, divide
from geoembz._evaluate.fidelity import FidelityTrial
from geoembz._evaluate.result import Evaluation, RecipeResult
from geoembz._evaluate.sample import Sample
from geoembz._evaluate.tasks import Answer, Problem, Task, Truth, choose_tasks, joined
from geoembz._evaluate.views import Compressed, Uncompressed, Views
from geoembz._version import __version__
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError

type Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Trial:
    """A sample, its division and its tasks: everything but the recipe.

    Parameters
    ----------
    sample
        Cleaned rows.
    division
        Training and test rows.
    tasks
        What the vectors are put to.
    seed
        Seed of every random choice.
    """

    sample: Sample
    division: Division
    tasks: tuple[Task, ...]
    seed: int

    @cached_property
    def truth(self) -> Truth:
        """What answers are held against."""
        labels, rows = self.sample.labels, self.division.tested
        known = np.empty(len(rows)) if labels is None else labels[rows]
        return Truth(known, self.division.tested_groups, self.seed)

    @cached_property
    def fidelity(self) -> FidelityTrial:
        """What is measured without labels, on the first fold."""
        return FidelityTrial(self.sample.vectors, self.division.folds[0], self.seed)

    @cached_property
    def baseline_answers(self) -> dict[str, Answer]:
        """Answers of the uncompressed vectors, by task."""
        sample = self.sample
        after = None if sample.after is None else Uncompressed(sample.after)
        views = Uncompressed(sample.vectors, after)
        return self.answers([views] * len(self.division.folds))

    def answers(self, views_by_fold: Sequence[Views]) -> dict[str, Answer]:
        """Solve every task that applies, fold by fold; return joined answers by task."""
        folds = list(zip(self.division.folds, views_by_fold, strict=True))
        return {
            task.name: joined([task.solve(self._problem(fold), views) for fold, views in folds])
            for task in self.tasks
            if task.applies(views_by_fold[0])
        }

    @cached_property
    def baseline_scores(self) -> dict[str, dict[str, Any]]:
        """Scores of the uncompressed vectors, by task."""
        answers = self.baseline_answers
        return {t.name: t.score(self.truth, answers[t.name]) for t in self._answered(answers)}

    def baseline(self) -> dict[str, Any]:
        """Return what is known of the uncompressed vectors."""
        size = Uncompressed(self.sample.vectors).bytes_per_vector
        return {"bytes": size, "tasks": self.baseline_scores, "fidelity": self.fidelity.baseline()}

    def measure_fidelity(self, encoding: Encoding) -> tuple[int, dict[str, Any]]:
        """Return size and fidelity of one encoding, without the tasks."""
        views = Compressed.of(encoding, self.sample)
        return views.bytes_per_vector, self.fidelity.measure(views)

    def judge(self, encodings: Sequence[Encoding], *, with_fidelity: bool = True) -> RecipeResult:
        """Judge one recipe, given as one encoding per fold."""
        views = [Compressed.of(encoding, self.sample) for encoding in encodings]
        answers = self.answers(views)
        tasks = {
            task.name: task.compare(
                self.truth, self.baseline_answers[task.baseline], answers[task.name]
            )
            for task in self._answered(answers)
        }
        measured = self.fidelity.measure(views[0]) if with_fidelity else {}
        return RecipeResult(views[0].name, views[0].bytes_per_vector, tasks, measured)

    def encodings(self, recipe: Recipe | Encoding) -> list[Encoding]:
        """Fit a recipe to each fold's training rows, both dates where there are two."""
        folds = self.division.folds
        if isinstance(recipe, Encoding):
            return [recipe] * len(folds)
        return [Encoding.fit(self._training(fold), recipe, self.seed) for fold in folds]

    def _training(self, fold: Fold) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows, after = np.sort(fold.train), self.sample.after
        vectors = self.sample.vectors[rows]
        return vectors if after is None else np.concatenate([vectors, after[rows]])

    def _answered(self, answers: Mapping[str, Answer]) -> list[Task]:
        return [task for task in self.tasks if task.name in answers]

    def _problem(self, fold: Fold) -> Problem:
        return Problem(self.sample, fold, self.division.groups, self.seed)


def evaluate_sample(
    sample: Sample,
    recipes: Sequence[str | Recipe | Encoding],
    *,
    tasks: Sequence[str] | None = None,
    split: str | None = None,
    block_size: float | None = None,
    n_folds: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate recipes on a sample.

    Parameters
    ----------
    sample
        Cleaned rows.
    recipes
        Recipes to fit on training rows, by name, or encodings that are fitted already.
    tasks
        Names of tasks; those that suit the labels by default.
    split, block_size, n_folds
        See `divide`.
    seed
        Seed of every random choice.
    progress
        Called with the numbers of finished and of all recipes.

    Returns
    -------
    evaluation
        Scores and comparisons.

    Raises
    ------
    InvalidConfigError
        If a recipe, task or split cannot work on this sample.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 100)
    >>> vectors = (rng.normal(size=(200, 16)) + 2 * labels[:, None]).astype("float32")
    >>> evaluation = evaluate_sample(Sample(vectors, labels), ["pca4-int8"], tasks=["knn"])
    >>> evaluation.recipes[0].tasks["knn"]["verdict"]
    'no difference found'
    """
    chosen = [_checked(recipe, sample.dimension) for recipe in recipes]
    if not chosen:
        raise InvalidConfigError("evaluate: no recipe; expected one or more, such as pca64-int8")
    division = divide(sample, kind=split, block_size=block_size, n_folds=n_folds, seed=seed)
    trial = Trial(sample, division, choose_tasks(sample, tasks), seed)
    results = []
    for done, recipe in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        results.append(trial.judge(trial.encodings(recipe)))
    return summarise(trial, results)


def summarise(trial: Trial, results: Sequence[RecipeResult]) -> Evaluation:
    """Put the results of several recipes together."""
    sample, division = trial.sample, trial.division
    baseline = trial.baseline()
    groups = division.tested_groups
    split = {
        "kind": division.kind,
        "folds": len(division.folds),
        "n_train": len(division.folds[0].train),
        "n_test": len(division.tested),
        "n_groups": None if groups is None else len(np.unique(groups)),
    }
    used = [task for task in trial.tasks if any(task.name in r.tasks for r in results)]
    return Evaluation(
        name=sample.name,
        dimension=sample.dimension,
        n_rows=len(sample),
        seed=trial.seed,
        baseline=baseline,
        recipes=tuple(results),
        metrics={task.name: task.metric for task in used},
        split=split,
        exclusions={**sample.exclusions, **division.exclusions},
        messages=(*sample.messages, *division.messages),
        software=f"geoembz {__version__}",
    )


def _checked(recipe: str | Recipe | Encoding, dimension: int) -> Recipe | Encoding:
    """Return a recipe or encoding that suits vectors of this dimension."""
    if isinstance(recipe, Encoding):
        if recipe.dimension != dimension:
            raise InvalidConfigError(
                f"encoding {recipe.recipe}: made for vectors of {recipe.dimension} numbers; the "
                f"sample has {dimension}"
            )
        return recipe
    return Recipe.parse(recipe) if isinstance(recipe, str) else recipe
