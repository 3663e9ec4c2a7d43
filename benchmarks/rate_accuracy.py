"""Accuracy of every recipe at a number of bytes, for any table of labelled embeddings.

    python -m benchmarks.rate_accuracy FILE.npz [--budgets 4 8 …] [--seeds 5] [--out DIR]

FILE is an .npz or .parquet file with embeddings and labels (`geoembz._evaluate.inputs` reads it).
Rows that `is_train` does not name, or else a fifth of the rows (of the groups), are test rows.
Measured on them: k-nearest neighbours, k = 5, ties to the lowest label, by the exact cosine of what
is decoded, for bits by Hamming distance; and a linear probe of the reduced vectors. Everything is
encoded and decoded by `geoembz.encoding.Encoding`, as `Encoding.fit` fits it.

For each number of bytes, each seed chooses a recipe from training rows alone by the rule of
`benchmarks.rate_selection`; seeds draw the folds, the rotations, k-means' start and its sample.
What a seed chose is tested as fitted with that seed; all other recipes once, for the curve.

DIR receives `rate_accuracy_NAME.csv` and `.png`. A run that is interrupted goes on where it was:
what it knows is in `rate_accuracy_NAME.partial.json` until it ends.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.rate_memo import Memo
from benchmarks.rate_pipeline import Problem, read
from benchmarks.rate_plot import plot
from benchmarks.rate_recipes import LARGEST_CHOICE, Choice, default_budgets
from benchmarks.rate_study import Study, study
from benchmarks.report import RESULTS, Table

FIELDS = ("experiment", "bytes", "recipe", "whiten", "seeds", "knn", "low", "high", "probe", "note")


def tabulate(found: Study, problem: Problem, table: Table) -> None:
    """Add the rows of a study: what was tested, what training rows said, what was chosen."""
    table.add("test", bytes=4 * problem.dimension, recipe="float32", seeds=1, knn=found.float32)
    for choice, by_seed in sorted(found.tested.items()):
        add_choice(table, "test", choice, list(by_seed.values()), probe=found.probes[choice])
    for budget in sorted(found.rankings[0]) if found.rankings else ():
        pooled: dict[Choice, list[float]] = {}
        for ranking in found.rankings:
            for choice, score in ranking[budget].accuracies.items():
                pooled.setdefault(choice, []).append(score)
        for choice, scores in sorted(pooled.items(), key=lambda item: -float(np.mean(item[1]))):
            add_choice(table, "training rows", choice, scores)
    for budget in sorted(found.rankings[0]) if found.rankings else ():
        add_chosen(table, found, budget, problem.dimension)


def add_chosen(table: Table, found: Study, budget: int, dimension: int) -> None:
    """Add what the rule chose at one number of bytes, what the leaders alone score, the article."""
    by_rule = found.chosen(budget)
    leaders = [ranking[budget].leader for ranking in found.rankings]
    for experiment, choices in (("chosen", by_rule), ("leader", leaders)):
        names = Counter(f"{choice.recipe} whiten {choice.whiten:g}" for choice in choices)
        note = "; ".join(f"{name}: {count} seeds" for name, count in names.most_common())
        common = max(choices, key=choices.count)
        add_choice(table, experiment, common, found.scores(choices), note=note)
    older = found.best_of_article(budget, dimension)
    note = "best of the article's on the test rows, which nobody could choose"
    add_choice(table, "article", older, [found.tested[older][0]], note=note)


def add_choice(
    table: Table, experiment: str, choice: Choice, scores: Sequence[float], **more: object
) -> None:
    """Add a row: mean and range of `scores`."""
    table.add(
        experiment,
        bytes=choice.size_bytes,
        recipe=choice.recipe,
        whiten=choice.whiten,
        seeds=len(scores),
        knn=float(np.mean(scores)),
        low=min(scores),
        high=max(scores),
        **more,
    )


def run(
    problem: Problem, name: str, budgets: Sequence[int] | None, n_seeds: int, folder: Path
) -> Study:
    """Study a problem; write CSV and plot into `folder`."""
    budgets = tuple(budgets or default_budgets(problem.dimension))
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"rate_accuracy_{name}"
    settings = {"budgets": list(budgets), "shape": [len(problem.train), *problem.other.shape]}
    memo = Memo(stem.with_name(f"{stem.name}.partial.json"), settings)
    found = study(problem, budgets, n_seeds, memo)
    table = Table(stem.with_name(f"{stem.name}.csv"), FIELDS)
    tabulate(found, problem, table)
    table.write()
    plot(found.float32, found.tested, _chosen_means(found), stem.with_name(f"{stem.name}.png"))
    memo.discard()
    return found


def _chosen_means(found: Study) -> dict[int, float]:
    budgets = sorted(found.rankings[0]) if found.rankings else []
    return {size: float(np.mean(found.scores(found.chosen(size)))) for size in budgets}


def main() -> None:
    """Parse, read, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="table of embeddings and labels, .npz or .parquet")
    parser.add_argument(
        "--budgets",
        type=int,
        nargs="+",
        help=f"bytes per vector; recipes are chosen up to {LARGEST_CHOICE} (default: 4 to D)",
    )
    parser.add_argument("--seeds", type=int, default=5, help="default: 5")
    parser.add_argument("--label-column", help="default: labels or label")
    parser.add_argument("--groups", help="column of what stays on one side of a split")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of CSV and plot")
    options = parser.parse_args()
    problem = read(options.file, options.label_column, options.groups)
    run(problem, options.file.stem, options.budgets, options.seeds, options.out)


if __name__ == "__main__":
    main()
