"""What few bytes keep of neighbours: recipes chosen on training rows, for searches and for codes.

    python -m benchmarks.few_bytes FILE.npz [--seeds 5] [--groups COLUMN]

FILE holds embeddings and labels (`geoembz.evaluate` reads it); rows that `is_train` does not name,
or else a fifth of the rows or groups, are test rows. For every number of bytes, each seed chooses
recipe and metric by the accuracy of 5 nearest neighbours on a fifth of the training rows, fitted on
the rest; what it chose is fitted on all training rows, and tested. It does so twice for each use
(``search``: float queries against codes; ``knn``: codes against codes): among the recipes that
there were before residual codes, fitted rotations and weighed components (``before``), and all.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import geoembz
from benchmarks.report import RESULTS, Table
from geoembz._evaluate.cross_validation import divide
from geoembz._evaluate.inputs import read_table
from geoembz._evaluate.sample import ExperimentOptions, Sample

BEFORE: Mapping[int, Sequence[str]] = {
    4: ("l2-pca32-rot-pq4x8", "pca32-binary"),
    8: ("l2-pca32-rot-pq8x8", "l2-pca32w0.5-rot-pq8x8"),
    16: ("l2-pca32-int4-lloyd", "l2-pca32-rot-int4-lloyd", "l2-pca64w0.5-rot-pq16x8"),
    32: ("l2-pca64-int4-lloyd", "l2-pca64-rot-int4-lloyd", "l2-pca64w0.5-rot-pq32x8"),
    64: ("pca64-int8", "l2-pca128-int4-lloyd", "l2-pca128-rot-int4-lloyd"),
}
"""What training rows chose on EuroSAT before, in docs/explanation/codec-family.md."""

NEW: Mapping[int, Sequence[str]] = {
    4: ("l2-pca64-rq4x8", "l2-pca128-rq4x8", "l2-pca32w0.5-itq-binary"),
    8: (
        *("l2-pca64-rq8x8", "l2-pca64w0.25-rq8x8", "l2-pca128-rq8x8"),
        *("l2-pca64w0.5-itq-binary", "l2-pca32w0.5-rot-int2-lloyd"),
    ),
    16: ("l2-pca128w0.5-itq-binary", "l2-pca64w0.5-rot-int2-lloyd", "l2-pca64w0.5-itq-int2-lloyd"),
    32: ("l2-pca256w0.5-itq-binary", "l2-pca128w0.5-rot-int2-lloyd"),
    64: ("l2-pca256w0.5-rot-int2-lloyd", "l2-pca256w0.5-itq-int2-lloyd"),
}

USES = {
    "knn": ("knn", "knn_whitened", "hamming"),
    "search": ("knn_float_query", "knn_float_query_whitened"),
}
TASKS = [name for names in USES.values() for name in names]
BEFORE_TASKS = ("knn", "hamming", "knn_float_query")

FIELDS = (
    "experiment",
    "among",
    "bytes",
    "recipe",
    "task",
    "accuracy",
    "low",
    "high",
    "recall",
    "note",
)


type Score = tuple[float, str, str]


def fitting(recipes: Mapping[int, Sequence[str]], dimension: int) -> list[tuple[int, str]]:
    """Return sizes and names of the recipes that vectors of a dimension can be coded by."""
    parsed = [(size, name) for size, names in recipes.items() for name in names]
    return [
        (size, name)
        for size, name in parsed
        if (geoembz.Recipe.parse(name).n_components or 0) < dimension
    ]


def measure(sample: Sample, names: Sequence[str], seed: int) -> dict[str, Any]:
    """Return what each recipe scores on the rows that are held out, and its fidelity."""
    found = geoembz.evaluate(table=sample, recipes=names, tasks=TASKS, n_folds=1, seed=seed)
    return {result.recipe: result for result in found.recipes}


def choose(scores: Mapping[str, Any], names: Sequence[str], tasks: Sequence[str]) -> Score:
    """Return the best accuracy with its recipe and task."""
    return max(
        (scores[name].tasks[task]["accuracy"], name, task)
        for name in names
        for task in tasks
        if task in scores[name].tasks
    )


def training_rows(sample: Sample, seed: int) -> tuple[Sample, Sample]:
    """Return the training rows as a sample of their own, and all rows with the split declared."""
    division = divide(sample, ExperimentOptions(seed=seed), 1)
    is_train = np.zeros(len(sample), np.bool_)
    is_train[division.folds[0].train] = True
    own = replace(sample.take(np.flatnonzero(is_train)), is_train=None)
    return own, replace(sample, is_train=is_train)


def study(sample: Sample, n_seeds: int, table: Table) -> None:
    """Choose and test with each seed; what is known is written after each."""
    before, new = (fitting(recipes, sample.dimension) for recipes in (BEFORE, NEW))
    every = [*before, *new]
    kept: dict[tuple[str, str, int], list[tuple[float, float, str]]] = {}
    for seed in range(n_seeds):
        own, whole = training_rows(sample, 0)
        chosen_on = measure(own, [name for _, name in every], seed)
        picks = {}
        for use, tasks in USES.items():
            older = [task for task in tasks if task in BEFORE_TASKS]
            for among, known, by in (("before", before, older), ("all", every, tasks)):
                for size in dict.fromkeys(size for size, _ in known):
                    names = [name for each, name in known if each == size]
                    picks[use, among, size] = choose(chosen_on, names, by)[1:]
        tested = measure(whole, sorted({name for name, _ in picks.values()}), seed)
        for key, (name, task) in picks.items():
            recall = "recall_float_query" if key[0] == "search" else "recall"
            scores = tested[name].tasks[task]["accuracy"], tested[name].fidelity[recall]["10"]
            kept.setdefault(key, []).append((*scores, f"{name} {task}"))
            print(seed, *key, name, task, *(f"{score:.4f}" for score in scores), flush=True)
        tabulate(kept, table)
        table.write()


def tabulate(
    kept: Mapping[tuple[str, str, int], Sequence[tuple[float, float, str]]], table: Table
) -> None:
    """Put what all seeds so far scored into a table: means, and the range of the accuracies."""
    table.rows.clear()
    for (use, among, size), found in kept.items():
        accuracies = [100 * accuracy for accuracy, *_ in found]
        counts = Counter(name for *_, name in found).most_common()
        recipe, task = counts[0][0].split()
        table.add(
            use,
            among=among,
            bytes=size,
            recipe=recipe,
            task=task,
            accuracy=float(np.mean(accuracies)),
            low=min(accuracies),
            high=max(accuracies),
            recall=float(np.mean([recall for _, recall, _ in found])),
            note="; ".join(f"{name}: {count}" for name, count in counts),
        )


def main() -> None:
    """Parse, read, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="table of embeddings and labels")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--groups", help="column of what stays on one side of a split")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the CSV")
    options = parser.parse_args()
    sample = read_table(options.file, groups=options.groups)
    table = Table(options.out / f"few_bytes_{options.file.stem}.csv", FIELDS)
    study(sample, options.seeds, table)


if __name__ == "__main__":
    main()
