"""Classification: nearest neighbours by cosine, by Hamming distance, and a linear probe."""

from dataclasses import dataclass
from typing import Any, ClassVar

from geoembz._evaluate.metrics.classification import class_drops, score_classes
from geoembz._evaluate.metrics.neighbours import (
    cosine_neighbours,
    hamming_neighbours,
    majority_vote,
)
from geoembz._evaluate.metrics.probe import fit_probe
from geoembz._evaluate.metrics.statistics import compare_paired
from geoembz._evaluate.tasks.base import Answer, Problem, Truth, judged
from geoembz._evaluate.views import Views
from geoembz.errors import InvalidConfigError

NEIGHBOURS = 5


class Classification:
    """Scores and comparison that all classifiers share."""

    metric: ClassVar[str] = "accuracy"

    def applies(self, views: Views) -> bool:
        """Whether the task can be run on these views."""
        del views
        return True

    def score(self, truth: Truth, answer: Answer) -> dict[str, Any]:
        """Return accuracy, macro-F1 and F1 per class."""
        scores = score_classes(truth.labels, answer.values)
        return {
            "accuracy": scores.accuracy,
            "macro_f1": scores.macro_f1,
            "f1": {str(name): f1 for name, f1 in scores.f1.items()},
            "support": {str(name): count for name, count in scores.support.items()},
            **answer.notes,
        }

    def compare(self, truth: Truth, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare accuracies row by row, and F1 class by class."""
        labels = truth.labels
        comparison = compare_paired(
            baseline.values == labels,
            answer.values == labels,
            groups=truth.groups,
            seed=truth.seed,
        )
        full, less = score_classes(labels, baseline.values), score_classes(labels, answer.values)
        drops = class_drops(full, less)
        return {
            **self.score(truth, answer),
            **judged(comparison),
            "macro_f1_delta": less.macro_f1 - full.macro_f1,
            "f1_drop": {str(name): drop for name, drop in drops.drops.items()},
            "worst_class": str(drops.worst_class),
            "worst_drop": drops.drops[drops.worst_class],
        }


@dataclass(frozen=True)
class Knn(Classification):
    """k nearest neighbours by cosine distance."""

    name: ClassVar[str] = "knn"
    baseline: ClassVar[str] = "knn"

    k: int = NEIGHBOURS

    def solve(self, problem: Problem, views: Views) -> Answer:
        """Let the nearest training rows vote."""
        fold, vectors = problem.fold, views.reduced
        found = cosine_neighbours(vectors[fold.test], vectors[fold.train], _k(self.k, problem))
        return Answer(majority_vote(problem.train_labels, found.indices))


@dataclass(frozen=True)
class Hamming(Classification):
    """k nearest neighbours by the number of differing bits, against cosine on uncompressed."""

    name: ClassVar[str] = "hamming"
    baseline: ClassVar[str] = "knn"

    k: int = NEIGHBOURS

    def applies(self, views: Views) -> bool:
        """Whether the codes are bits."""
        return views.packed_bits is not None

    def solve(self, problem: Problem, views: Views) -> Answer:
        """Let the nearest training rows vote."""
        fold, bits = problem.fold, views.packed_bits
        if bits is None:
            raise InvalidConfigError(f"hamming: the codes of {views.name} are no bits")
        found = hamming_neighbours(bits[fold.test], bits[fold.train], _k(self.k, problem))
        return Answer(majority_vote(problem.train_labels, found.indices))


@dataclass(frozen=True)
class Probe(Classification):
    """A linear probe, C tuned by cross-validation on training rows."""

    name: ClassVar[str] = "probe"
    baseline: ClassVar[str] = "probe"

    def solve(self, problem: Problem, views: Views) -> Answer:
        """Tune and fit on training rows."""
        fold, vectors = problem.fold, views.reduced
        probe = fit_probe(
            vectors[fold.train],
            problem.train_labels,
            groups=problem.train_groups,
            seed=problem.seed,
        )
        notes = {"c": probe.c, "converged": probe.converged}
        return Answer(probe.predict(vectors[fold.test]), notes)


def _k(k: int, problem: Problem) -> int:
    return min(k, len(problem.fold.train))
