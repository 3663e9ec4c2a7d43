"""What few bytes keep of neighbours: recipes and metrics chosen on training rows.

    python -m benchmarks.few_bytes --data FILE.npz [--cells 0.05] [--seeds 5]

FILE holds embeddings and labels (`geoembz.evaluate` reads it); with ``--cells``, latitudes and
longitudes too. Rows that `is_train` does not name, or else a fifth of them, are test rows; with
``--cells`` each seed holds out three tenths of the cells of so many degrees.

Vectors are compared as ``knn`` does, codes with codes, or as ``search`` does, float queries with
codes; what counts is the *accuracy* of 5 nearest neighbours, or the *recall* of the 10 nearest of
the uncompressed vectors by cosine. For each of these and every number of bytes, recipe and metric
are chosen once for every split: fitted on one half of the training rows, judged by the other, among
the recipes that there were before residual codes, fitted rotations and weighed components
(``before``), and among all. A recipe of before stays the choice unless another is significantly
better (`benchmarks.rate_selection.judge`). What was chosen is fitted on all training rows with each
seed, which draws rotations and k-means, and tested.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rate_memo import Memo
from benchmarks.rate_pipeline import (
    NEIGHBOURS,
    Coded,
    Floats,
    Hits,
    Problem,
    completed,
    percent,
    read,
    split,
    split_cells,
)
from benchmarks.rate_plot import plot_choices
from benchmarks.rate_recipes import Choice, is_random
from benchmarks.rate_selection import PQ_ITERATIONS, PQ_ROWS, judge
from benchmarks.report import RESULTS, Table
from geoembz._evaluate.metrics.neighbours import cosine_neighbours, majority_vote
from geoembz._evaluate.metrics.splits import fold_ids
from geoembz.encoding import Encoding, Metric, Recipe

BEFORE: Mapping[int, Sequence[str]] = {
    4: ("l2-pca32-rot-pq4x8",),
    8: ("l2-pca32-rot-pq8x8", "l2-pca32w0.5-rot-pq8x8"),
    16: ("l2-pca32-int4-lloyd", "l2-pca32-rot-int4-lloyd", "l2-pca64w0.5-rot-pq16x8"),
    32: ("l2-pca64-int4-lloyd", "l2-pca64-rot-int4-lloyd", "l2-pca64w0.5-rot-pq32x8"),
    64: ("pca64-int8", "l2-pca128-int4-lloyd", "l2-pca128-rot-int4-lloyd"),
}
"""What training rows chose on EuroSAT before, in docs/explanation/codec-family.md."""

NEW: Mapping[int, Sequence[str]] = {
    4: ("l2-pca64-rq4x8", "l2-pca128-rq4x8"),
    8: ("l2-pca64-rq8x8", "l2-pca128-rq8x8"),
    16: ("l2-pca128-rq16x8", "l2-pca64w0.5-itq-int2-lloyd"),
    32: ("l2-pca128w0.5-rot-pq32x8", "l2-pca128w0.25-itq-int2-lloyd"),
    64: (
        *("l2-pca256w0.5-itq-int2-lloyd", "l2-pca256w0.25-rot-int2-lloyd"),
        *("l2-pca128-rot-pq64x8", "l2-pca256-rot-pq64x8"),
    ),
}
"""Others, left by a ranking of twice as many on a fifth of EuroSAT's training rows."""

METRICS = (0.0, 0.25, 0.5)
"""Powers of the deviation by which components are divided; those of before know none."""

USES, CRITERIA = ("knn", "search"), ("accuracy", "recall")
COARSE = {"pq_rows": PQ_ROWS, "pq_iterations": PQ_ITERATIONS, "rq_iterations": 4}
FULL: Mapping[str, int] = {}
"""Effort of codebooks while choosing; what was chosen is fitted in full."""

QUERIES, DEPTH = 2_000, 10
"""Rows whose nearest are looked for among all rows that are held out, and how many."""

FIELDS = (
    *("experiment", "chosen_by", "among", "bytes", "recipe", "metric"),
    *("accuracy", "low", "high", "recall", "recall_low", "recall_high", "note"),
)


type Score = list[Any]
"""The fields of a `Race`, recipe, metric, accuracy and recall, as JSON keeps them."""


type Picked = list[Any]
"""The fields of a `Race`, the recipe, and its metric's power of the deviation."""


class Race(NamedTuple):
    """One choice to be made: for a use, by a criterion, among recipes of one size."""

    use: str
    criterion: str
    among: str
    size_bytes: int


class Held:
    """Rows that are held out, and how well codes find their neighbours."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        count = len(problem.other)
        self.rows = np.sort(np.random.default_rng(0).permutation(count)[:QUERIES])
        self.nearest = self._among(problem.other, problem.other[self.rows])

    def measure(self, coded: Coded, whiten: float, use: str) -> dict[str, Hits]:
        """Return which rows are classified right, and which of the nearest rows are found."""
        problem, encoding = self.problem, coded.encoding
        decode = encoding.decoder("reduced", whiten=whiten).decode
        train, other = (
            _compared(encoding, decode(codes.T), whiten) for codes in (coded.train, coded.other)
        )
        queries = other
        if use == "search":
            queries = _compared(encoding, encoding.reduce(problem.other, whiten).T, whiten)
        near = cosine_neighbours(queries, train, NEIGHBOURS).indices
        right = np.asarray(majority_vote(problem.train_y, near) == problem.other_y)
        found = self._among(other, queries[self.rows])
        both = (self.nearest[:, :, np.newaxis] == found[:, np.newaxis]).any(axis=2)
        return {"accuracy": right, "recall": both.ravel()}

    def _among(self, rows: Floats, queries: Floats) -> NDArray[np.int64]:
        return cosine_neighbours(queries, rows, DEPTH, own_row=self.rows).indices


def _compared(encoding: Encoding, columns: Floats, whiten: float) -> Floats:
    """Return rows as searches compare them; only unweighed ones stand for whole vectors."""
    return np.ascontiguousarray(columns.T) if whiten else completed(encoding, columns)


def fitting(recipes: Mapping[int, Sequence[str]], dimension: int) -> list[tuple[int, str]]:
    """Return sizes and names of the recipes that vectors of a dimension can be coded by.

    Codebooks of more components than there are take all of them.

    Examples
    --------
    >>> fitting({8: ["l2-pca128-rq8x8"], 64: ["l2-pca128-int4-lloyd"]}, 64)
    [(8, 'l2-pca64-rq8x8')]
    """
    found = []
    for size, name in ((size, name) for size, names in recipes.items() for name in names):
        recipe = Recipe.parse(name)
        if recipe.quantizer in {"pq", "rq"} and (recipe.n_components or 0) > dimension:
            recipe = replace(recipe, n_components=dimension)
        if (recipe.n_components or 0) <= dimension:
            found.append((size, str(recipe)))
    return list(dict.fromkeys(found))


def races(dimension: int) -> dict[Race, dict[Choice, Hits]]:
    """Return the candidates of every choice that is to be made, none of them measured."""
    before, new = (fitting(recipes, dimension) for recipes in (BEFORE, NEW))
    known = {
        "before": [Choice(size, name) for size, name in before],
        "all": [
            *(Choice(size, name, whiten) for size, name in (*before, *new) for whiten in METRICS)
        ],
    }
    return {
        Race(use, criterion, among, size): {
            choice: np.empty(0, np.bool_) for choice in choices if choice.size_bytes == size
        }
        for use in USES
        for criterion in CRITERIA
        for among, choices in known.items()
        for size in dict.fromkeys(choice.size_bytes for choice in choices)
    }


def choose(problem: Problem, seed: int) -> list[Picked]:
    """Choose recipe and metric of every race by halves of the training rows.

    One is fitted on, the other judges: as many rows to judge by as one fit of each recipe allows.
    """
    half = fold_ids(problem.train_y, 2, groups=problem.train_groups, seed=seed)
    part = split(problem.train, problem.train_y, half == 0)
    running = races(problem.dimension)
    for choice, use, hits in measure_all(part, running, seed, COARSE):
        for race, found in running.items():
            if race.use == use and choice in found:
                found[choice] = hits[race.criterion]
    simple = {Choice(size, name) for size, name in fitting(BEFORE, problem.dimension)}
    picked = {race: judge(found, simple).chosen for race, found in running.items()}
    return [[*race, choice.recipe, choice.whiten] for race, choice in picked.items()]


def measure_all(
    problem: Problem,
    wanted: Mapping[Race, Iterable[Choice]],
    seed: int,
    effort: Mapping[str, int] = FULL,
) -> Iterator[tuple[Choice, str, dict[str, Hits]]]:
    """Yield what each choice that is wanted finds; each recipe is fitted once."""
    held = Held(problem)
    uses: dict[Choice, set[str]] = {}
    for race, choices in wanted.items():
        for choice in choices:
            uses.setdefault(choice, set()).add(race.use)
    for name in dict.fromkeys(choice.recipe for choice in uses):
        coded = problem.code(problem.fit(name, seed, **effort))
        for choice, needed in uses.items():
            if choice.recipe == name:
                for use in sorted(needed):
                    yield choice, use, held.measure(coded, choice.whiten, use)


def test(
    problem: Problem, chosen: Sequence[Picked], seed: int, memo: Memo, split_key: int
) -> Iterator[Score]:
    """Fit what was chosen to all training rows, and yield what it scores on the test rows.

    One recipe after the other; those that draw nothing are fitted once for each split.
    """
    for name in sorted({row[4] for row in chosen}, key=partial(_size, problem)):
        own = {Race(*row[:4]): Choice(row[3], *row[4:]) for row in chosen if row[4] == name}
        drawn = seed if is_random(name) else 0
        measured = memo.get(
            f"test {split_key} {drawn} {name}", partial(_scores, problem, own, drawn)
        )
        for race, choice in own.items():
            metric = str(Metric("cosine", choice.whiten))
            yield [*race, name, metric, *measured[f"{race.use} {metric}"]]


def _size(problem: Problem, name: str) -> tuple[int, str]:
    return Recipe.parse(name).bytes_per_vector(problem.dimension), name


def _scores(problem: Problem, own: Mapping[Race, Choice], seed: int) -> dict[str, list[float]]:
    wanted = {race: [choice] for race, choice in own.items()}
    return {
        f"{use} {Metric('cosine', choice.whiten)}": [percent(hits[name]) for name in CRITERIA]
        for choice, use, hits in measure_all(problem, wanted, seed)
    }


def tabulate(found: Sequence[Score], table: Table) -> None:
    """Put what all seeds so far scored into a table: means, ranges, and what was chosen."""
    table.rows.clear()
    for race in dict.fromkeys(Race(*row[:4]) for row in found):
        rows = [row for row in found if Race(*row[:4]) == race]
        counts = Counter(f"{row[4]} {row[5]}" for row in rows).most_common()
        accuracies, recalls = ([row[place] for row in rows] for place in (6, 7))
        recipe, metric = counts[0][0].split()
        table.add(
            race.use,
            chosen_by=race.criterion,
            among=race.among,
            bytes=race.size_bytes,
            recipe=recipe,
            metric=metric,
            accuracy=float(np.mean(accuracies)),
            low=min(accuracies),
            high=max(accuracies),
            recall=float(np.mean(recalls)),
            recall_low=min(recalls),
            recall_high=max(recalls),
            note="; ".join(f"{name}: {count}" for name, count in counts),
        )


def main() -> None:
    """Parse, read, run; what is known is written after each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="table of embeddings and labels")
    parser.add_argument("--cells", type=float, help="degrees of the cells that are held out whole")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the CSV")
    options = parser.parse_args()
    whole = None if options.cells else read(options.data)
    table = Table(options.out / f"few_bytes_{options.data.stem}.csv", FIELDS)
    settings = {"before": BEFORE, "new": NEW, "metrics": METRICS}
    memo = Memo(table.path.with_suffix(".partial.json"), settings)
    found: list[Score] = []
    for seed in range(options.seeds):
        problem = whole or split_cells(options.data, options.cells, seed)
        key = seed if options.cells else 0  # one split, one choice
        chosen = memo.get(f"choice {key}", partial(choose, problem, key))
        found += test(problem, chosen, seed, memo, key)
        tabulate(found, table)
        table.write()
        plot_choices(table.rows, table.path.with_suffix(".png"))
    memo.discard()


if __name__ == "__main__":
    main()
