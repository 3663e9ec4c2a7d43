"""Choose recipe and metric for a byte budget from training rows alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.family_pipeline import Problem, training_splits

BUDGETS = (4, 8, 16, 32, 64)
"""Bytes per vector."""

WHITEN = (0.0, 0.25, 0.5)
"""Reading metrics that are tried."""

FINALISTS = 6
LARGEST = 256
"""Most components that are tried."""

PQ_ROWS, PQ_ITERATIONS = 8192, 10
"""Effort of a `pq` codebook while choosing; those tested are fitted in full."""


@dataclass(frozen=True, order=True)
class Choice:
    """A recipe and the metric that its reduced vectors are compared by."""

    size_bytes: int
    recipe: str
    whiten: float


@dataclass(frozen=True)
class Ranking:
    """Accuracies of one choice, a number per training split."""

    choice: Choice
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy, in percent."""
        return float(np.mean(self.scores))


def candidates(budget: int) -> list[str]:
    """Recipes of exactly `budget` bytes that are worth a try; bits are read by Hamming."""
    k8, k4, k2, k1 = budget, 2 * budget, 4 * budget, 8 * budget
    plain = [f"pca{k8}-int8", f"pca{k4}-int4", f"pca{k4}-int4-lloyd", f"pca{k4}-rot-int4-lloyd"]
    if k2 <= LARGEST:
        plain += [f"pca{k2}-int2-lloyd", f"pca{k2}w0.5-rot-int2-lloyd", f"pca{k2}-ternary"]
    if k1 <= LARGEST:
        plain += [f"pca{k1}-binary", f"pca{k1}-rot-binary", f"pca{k1}w0.5-rot-binary"]
    widths = {4: (16, 32), 8: (32, 64), 16: (64,), 32: (64,), 64: ()}[budget]
    plain += [f"pca{k}{w}-rot-pq{budget}x8" for k in widths for w in ("", "w0.5")]
    return plain + [f"l2-{name}" for name in plain]


def rivals(budget: int) -> list[str]:
    """Name the article's recipes of `budget` bytes: PCA with min/max codes or mean bits."""
    names = [f"pca{budget}-int8", f"pca{2 * budget}-int4"]
    return names + ([f"pca{8 * budget}-binary"] if 8 * budget <= LARGEST else [])


def rank(problem: Problem) -> tuple[list[Ranking], list[Ranking]]:
    """Rank the best candidates, and the article's, by five splits of the training rows.

    All candidates run on the first split, the best few of every budget on the others too.

    Returns
    -------
    finalists, rivals
        Best first.
    """
    splits = training_splits(problem)
    first = next(splits)
    wanted = [(budget, name) for budget in BUDGETS for name in candidates(budget)]
    scores = {
        Choice(budget, name, whiten): [accuracy]
        for budget, name in wanted
        for whiten, accuracy in try_metrics(first, name, WHITEN, seed=0)
    }
    finalists = [choice for budget in BUDGETS for choice in _best_of(scores, budget)]
    older = [Choice(budget, name, 0.0) for budget in BUDGETS for name in rivals(budget)]
    for seed, part in enumerate(splits, start=1):
        for choice, accuracy in _try_all(part, {*finalists, *older}, seed):
            scores[choice].append(accuracy)
    return _ranked(scores, finalists), _ranked(scores, older)


def best(rankings: Iterable[Ranking], budget: int) -> Choice:
    """Return the first of a budget."""
    return next(ranking.choice for ranking in rankings if ranking.choice.size_bytes == budget)


def try_metrics(
    part: Problem, name: str, metrics: Iterable[float], seed: int
) -> Iterator[tuple[float, float]]:
    """Accuracy of one recipe by each reading metric."""
    coded = part.code(part.fit_again(name, seed, PQ_ROWS, PQ_ITERATIONS))
    for whiten in metrics:
        if not (whiten and coded.is_binary):
            yield whiten, float(100 * part.hits(coded, whiten).mean())


def _try_all(part: Problem, choices: set[Choice], seed: int) -> Iterator[tuple[Choice, float]]:
    sizes = {choice.recipe: choice.size_bytes for choice in sorted(choices)}
    for name, size in sizes.items():
        metrics = sorted(choice.whiten for choice in choices if choice.recipe == name)
        for whiten, accuracy in try_metrics(part, name, metrics, seed):
            yield Choice(size, name, whiten), accuracy


def _best_of(scores: dict[Choice, list[float]], budget: int) -> list[Choice]:
    of_budget = [choice for choice in scores if choice.size_bytes == budget]
    return sorted(of_budget, key=lambda choice: -scores[choice][0])[:FINALISTS]


def _ranked(scores: dict[Choice, list[float]], choices: list[Choice]) -> list[Ranking]:
    rankings = [Ranking(choice, tuple(scores[choice])) for choice in choices]
    return sorted(rankings, key=lambda ranking: (ranking.choice.size_bytes, -ranking.mean))
