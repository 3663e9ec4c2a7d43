"""Choose on training rows with several seeds, then test what was chosen and all the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from benchmarks.rate_memo import Memo
from benchmarks.rate_pipeline import Problem, percent
from benchmarks.rate_recipes import Choice, article, candidates, compared, is_random
from benchmarks.rate_selection import Ranking, rank


@dataclass(frozen=True)
class Study:
    """What a run found.

    Parameters
    ----------
    float32
        Accuracy of the vectors as they are, in percent.
    rankings
        Of each seed, by number of bytes.
    tested
        Accuracies of each choice on the test rows, by seed, in percent.
    probes
        Accuracy of a linear probe on each choice's vectors, seed 0, in percent.
    """

    float32: float
    rankings: tuple[dict[int, Ranking], ...]
    tested: dict[Choice, dict[int, float]]
    probes: dict[Choice, float]

    def chosen(self, budget: int) -> list[Choice]:
        """Return each seed's choice."""
        return [ranking[budget].chosen for ranking in self.rankings]

    def scores(self, choices: Sequence[Choice]) -> list[float]:
        """Return the accuracies of one choice for each seed, as fitted with that seed."""
        found = [self.tested[choice] for choice in choices]
        return [by_seed.get(seed, by_seed[0]) for seed, by_seed in enumerate(found)]

    def best_of_article(self, budget: int, dimension: int) -> Choice:
        """Return the article's recipe that is best on the test rows: nobody could choose it."""
        older = [Choice(budget, name) for name in article(budget, dimension)]
        return max(older, key=lambda choice: self.tested[choice][0])


def study(problem: Problem, budgets: Sequence[int], n_seeds: int, memo: Memo) -> Study:
    """Choose on training rows with every seed, then test."""
    documents = [
        memo.get(f"choice {seed}", partial(_choices, problem, budgets, seed))
        for seed in range(n_seeds)
    ]
    rankings = tuple({r.chosen.size_bytes: r for r in map(_ranking, found)} for found in documents)
    wanted = _wanted(budgets, problem.dimension, rankings)
    tested: dict[Choice, dict[int, float]] = {choice: {} for choice in wanted}
    probes: dict[Choice, float] = {}
    for name, seed in sorted({(c.recipe, s) for c, seeds in wanted.items() for s in seeds}):
        same = [c for c, seeds in wanted.items() if c.recipe == name and seed in seeds]
        found = memo.get(f"test {name} {seed}", partial(_test, problem, name, seed, same))
        for choice in same:
            tested[choice][seed] = found[f"{choice.whiten}"]
            if seed == 0:
                probes[choice] = found["probe"]
    float32 = memo.get("float32", lambda: percent(problem.float_hits()))
    return Study(float32, rankings, tested, probes)


def _wanted(
    budgets: Iterable[int], dimension: int, rankings: Iterable[dict[int, Ranking]]
) -> dict[Choice, set[int]]:
    """Return the seeds to test each choice with: 0, and those that chose it."""
    wanted = {
        choice: {0}
        for budget in budgets
        for choice in (
            *candidates(budget, dimension),
            *(Choice(budget, name) for name in compared(budget, dimension)),
        )
    }
    for seed, by_bytes in enumerate(rankings):
        for ranking in by_bytes.values():
            for choice in (ranking.chosen, ranking.leader):
                wanted[choice] |= {seed if is_random(choice.recipe) else 0}
    return wanted


def _choices(problem: Problem, budgets: Iterable[int], seed: int) -> list[dict[str, Any]]:
    """Return one seed's rankings as JSON."""
    return [
        {
            "chosen": asdict(ranking.chosen),
            "leader": asdict(ranking.leader),
            "p": ranking.p,
            "accuracies": [[asdict(c), score] for c, score in ranking.accuracies.items()],
        }
        for ranking in rank(problem, budgets, seed)
    ]


def _ranking(document: dict[str, Any]) -> Ranking:
    accuracies = {Choice(**choice): score for choice, score in document["accuracies"]}
    chosen, leader = Choice(**document["chosen"]), Choice(**document["leader"])
    return Ranking(chosen, leader, document["p"], accuracies)


def _test(problem: Problem, name: str, seed: int, choices: Iterable[Choice]) -> dict[str, float]:
    """Return the accuracy by each metric; with seed 0 that of a linear probe too."""
    coded = problem.code(problem.fit(name, seed))
    found = {f"{c.whiten}": percent(problem.hits(coded, c.whiten)) for c in choices}
    return found | ({"probe": percent(problem.probe_hits(coded))} if seed == 0 else {})
