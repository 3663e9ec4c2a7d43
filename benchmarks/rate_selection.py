"""Choose recipe and metric for every number of bytes from training rows alone.

The rule, the same for every seed and every data set: five stratified folds of the training rows;
each candidate is fitted on four of them, and the rows of the fifth look for their neighbours there.
After each fold, candidates that are worse than the leader by more than two standard errors of the
paired difference drop out. Of those that remain in the end the most accurate one is chosen,
unless one of the seed article's recipes (PCA with min/max codes or bits) is not significantly worse
(exact McNemar test on all training rows, p >= 0.05): then the best of these is, as it is simpler.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.rate_pipeline import Hits, Problem, split
from benchmarks.rate_recipes import LARGEST_CHOICE, Choice, article, candidates
from geoembz._evaluate.metrics.splits import fold_ids
from geoembz._evaluate.metrics.statistics import mcnemar_p

N_FOLDS = 5

DROP_ERRORS = 2.0
"""Standard errors of the paired difference to the leader beyond which a candidate drops out."""

SIGNIFICANT = 0.05
"""A recipe that is not the article's must differ from the article's best with a smaller p."""

PQ_ROWS, PQ_ITERATIONS = 8192, 10
"""Effort of a `pq` codebook while choosing; those tested are fitted in full."""


@dataclass(frozen=True)
class Ranking:
    """What one seed's folds say about one number of bytes.

    Parameters
    ----------
    chosen
        By the rule.
    leader
        Of the highest accuracy.
    p
        McNemar's p of leader against the article's best; 1 where they are the same, 0 where all of
        the article's recipes dropped out.
    accuracies
        Of each candidate that saw all folds, in percent.
    """

    chosen: Choice
    leader: Choice
    p: float
    accuracies: dict[Choice, float]


def rank(problem: Problem, budgets: Iterable[int], seed: int) -> list[Ranking]:
    """Rank the candidates of each number of bytes by the training rows of `problem`."""
    dimension = problem.dimension
    racing = [
        dict.fromkeys(candidates(budget, dimension), np.empty(0, dtype=np.bool_))
        for budget in budgets
        if budget <= LARGEST_CHOICE
    ]
    for part in folds(problem, seed):
        for race in racing:
            for choice, hits in try_all(part, race, seed):
                race[choice] = np.concatenate([race[choice], hits])
            drop_losers(race)
    simple = {
        Choice(budget, name)
        for budget in (next(iter(race)).size_bytes for race in racing)
        for name in article(budget, dimension)
    }
    return [judge(race, simple) for race in racing]


def folds(problem: Problem, seed: int) -> Iterator[Problem]:
    """Hold out each fold of the training rows in turn; the other rows are not involved."""
    fold = fold_ids(problem.train_y, N_FOLDS, groups=problem.train_groups, seed=seed)
    for held in range(N_FOLDS):
        yield split(problem.train, problem.train_y, fold == held)


def try_all(part: Problem, choices: Iterable[Choice], seed: int) -> Iterator[tuple[Choice, Hits]]:
    """Yield which held-out rows each choice gets right; each recipe is fitted once."""
    metrics: dict[str, list[Choice]] = {}
    for choice in choices:
        metrics.setdefault(choice.recipe, []).append(choice)
    for name, same in metrics.items():
        coded = part.code(part.fit(name, seed, PQ_ROWS, PQ_ITERATIONS))
        for choice in same:
            yield choice, part.hits(coded, choice.whiten)


def drop_losers(race: dict[Choice, Hits]) -> None:
    """Drop those that are clearly behind the leader, in place."""
    leader = max(race.values(), key=lambda hits: int(hits.sum()))
    for choice, hits in list(race.items()):
        behind = leader.astype(np.int8) - hits
        error = float(behind.std()) / len(behind) ** 0.5
        if behind.mean() > DROP_ERRORS * error:
            del race[choice]


def judge(race: Mapping[Choice, Hits], simple: Container[Choice]) -> Ranking:
    """Apply the rule to the hits of those that saw all folds; `simple` ones stay unless beaten."""
    right = {choice: int(hits.sum()) for choice, hits in race.items()}
    leader = max(right, key=right.__getitem__)
    accuracies = {choice: 100 * n / len(race[choice]) for choice, n in right.items()}
    older = {choice: n for choice, n in right.items() if choice in simple}
    if not older:
        return Ranking(leader, leader, 0.0, accuracies)
    best = max(older, key=older.__getitem__)
    p = mcnemar_p(race[leader], race[best])
    return Ranking(leader if p < SIGNIFICANT else best, leader, p, accuracies)
