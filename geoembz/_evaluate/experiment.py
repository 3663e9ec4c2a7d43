"""One experiment under `evaluate` and `plan`: recipes × views × tasks × folds.

Everything is fitted on training rows. One recipe is encoded, decoded and judged at a time, fold by
fold, so that memory holds the uncompressed rows and one decoded copy of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.cross_validation import Division
from geoembz._evaluate.evaluation import Evaluation, RecipeResult
from geoembz._evaluate.fidelity import Fidelity
from geoembz._evaluate.metrics.splits import Fold
from geoembz._evaluate.sample import Sample
from geoembz._evaluate.task import Answer, Problem, Task, Views, join_answers
from geoembz._util.progress import Progress
from geoembz._version import __version__
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError


@dataclass(frozen=True, eq=False)
class Experiment:
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
    def problem(self) -> Problem:
        """What the tasks are put to."""
        return Problem(self.sample, self.division, self.seed)

    @cached_property
    def fidelity(self) -> Fidelity:
        """What is measured without labels, on the first fold."""
        return Fidelity(self.sample.vectors, self.division.folds[0], self.seed)

    @cached_property
    def baseline_answers(self) -> dict[str, Answer]:
        """Answers of the uncompressed vectors, by task."""
        return self._answer([Views.of(self.sample)] * len(self.division.folds))

    @cached_property
    def baseline_scores(self) -> dict[str, dict[str, Any]]:
        """Scores of the uncompressed vectors, by task."""
        answers = self.baseline_answers
        return {
            task.name: task.score(self.problem, answers[task.name])
            for task in self.tasks
            if task.name in answers
        }

    def fit(self, recipe: str | Recipe | Encoding) -> list[Encoding]:
        """Fit a recipe to each fold's training rows, both dates where there are two."""
        recipe = Recipe.parse(recipe) if isinstance(recipe, str) else recipe
        folds = self.division.folds
        if isinstance(recipe, Encoding):
            return [recipe] * len(folds)
        return [Encoding.fit(self._training_vectors(fold), recipe, self.seed) for fold in folds]

    def judge(self, encodings: Sequence[Encoding], *, with_fidelity: bool = True) -> RecipeResult:
        """Judge one recipe, given as one encoding per fold."""
        views = [Views.of(self.sample, encoding) for encoding in encodings]
        answers, full = self._answer(views), self.baseline_answers
        tasks = {
            task.name: task.compare(
                self.problem, full[task.baseline or task.name], answers[task.name]
            )
            for task in self.tasks
            if task.name in answers
        }
        measured = self.fidelity.measure(encodings[0], views[0]) if with_fidelity else {}
        return RecipeResult(views[0].name, views[0].bytes_per_vector, tasks, measured)

    def measure_fidelity(self, encoding: Encoding) -> dict[str, Any]:
        """Return the fidelity of one encoding, without the tasks."""
        return self.fidelity.measure(encoding, Views.of(self.sample, encoding))

    def run(
        self, recipes: Sequence[str | Recipe | Encoding], progress: Progress | None = None
    ) -> Evaluation:
        """Judge recipes one by one and put the results together.

        Raises
        ------
        InvalidConfigError
            If a recipe does not suit the vectors.
        """
        chosen = [_check_recipe(recipe, self.sample.dimension) for recipe in recipes]
        results = []
        for done, recipe in enumerate(chosen):
            if progress is not None:
                progress(done, len(chosen))
            results.append(self.judge(self.fit(recipe)))
        return self._summarise(results)

    def _summarise(self, results: Sequence[RecipeResult]) -> Evaluation:
        sample, division = self.sample, self.division
        groups = division.tested_groups
        used = [task for task in self.tasks if any(task.name in r.tasks for r in results)]
        return Evaluation(
            name=sample.name,
            software=f"geoembz {__version__}",
            dimension=sample.dimension,
            n_rows=len(sample),
            seed=self.seed,
            split={
                "kind": division.kind,
                "folds": len(division.folds),
                "n_train": len(division.folds[0].train),
                "n_test": len(division.tested),
                "n_groups": None if groups is None else len(np.unique(groups)),
            },
            exclusions={**sample.exclusions, **division.exclusions},
            messages=(*sample.messages, *division.messages),
            metrics={task.name: task.metric for task in used},
            baseline={
                "bytes": Views.of(sample).bytes_per_vector,
                "tasks": self.baseline_scores,
                "fidelity": self.fidelity.baseline(),
            },
            recipes=tuple(results),
        )

    def _answer(self, views_by_fold: Sequence[Views]) -> dict[str, Answer]:
        """Solve every task that applies, fold by fold; return joined answers by task."""
        folds = list(zip(self.division.folds, views_by_fold, strict=True))
        return {
            task.name: join_answers(
                [task.solve(self.problem, fold, views) for fold, views in folds]
            )
            for task in self.tasks
            if task.applies(views_by_fold[0])
        }

    def _training_vectors(self, fold: Fold) -> NDArray[np.float32]:
        rows, after = np.sort(fold.train), self.sample.after
        vectors = self.sample.vectors[rows]
        return vectors if after is None else np.concatenate([vectors, after[rows]])


def _check_recipe(recipe: str | Recipe | Encoding, dimension: int) -> Recipe | Encoding:
    """Return a recipe or encoding that suits vectors of this dimension."""
    if isinstance(recipe, str):
        return Recipe.parse(recipe)
    if isinstance(recipe, Encoding) and recipe.dimension != dimension:
        raise InvalidConfigError(
            f"encoding {recipe.recipe}: made for vectors of {recipe.dimension} numbers; the "
            f"sample has {dimension}"
        )
    return recipe
