"""Checks of the codec family on real data: what single recipes keep, faiss, AlphaEarth.

    python -m benchmarks.family ../shared/data [--faiss NAME …]

EuroSAT (EfficientNet-Lite0, 1280-d, 21,600/5,400) by kNN as in `benchmarks.rate_accuracy`, which
must have run before: the 32-byte recipe that it chose on training rows is used, unchanged, on
AlphaEarth points with Dynamic World labels. Nothing is chosen here. With ``--faiss``, only these
recipes are compared with faiss' quantizers.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rate_pipeline import NEIGHBOURS, Problem, completed, percent, read, split_cells
from benchmarks.rate_recipes import Choice
from benchmarks.report import RESULTS, Table
from geoembz._evaluate.metrics.neighbours import cosine_neighbours, majority_vote
from geoembz._evaluate.metrics.statistics import mcnemar_p
from geoembz.encoding import Encoding, Recipe
from geoembz.encoding._quantization.residual import _BEAM as BEAM

EUROSAT = "eurosat_efficientnet_lite0_1280d_f16"
FIELDS = ("experiment", "bytes", "recipe", "whiten", "accuracy", "loss_points", "note")
CELL_DEGREES = 0.05
SPLIT_SEEDS = (11, 12, 13, 14, 15)
FIT_SEEDS = (0, 1, 2)
FAISS = ("pca32-rot-pq4x8", "pca32-rot-pq8x8", "pca64-rot-pq16x8", "pca64-rq4x8", "pca64-rq8x8")
"""Recipes whose quantizers faiss has, too."""
DESIGN = {  # docs/design: recipe and accuracy to reproduce
    "binary": 87.13,
    "rot-binary": 90.65,
    "pca64-int8": 91.28,
    "pca128-rot-int4-lloyd": 91.50,
    "pca64-int4": 90.72,
    "pca64-int4-lloyd": 91.11,
    "l2-pca64-int4-lloyd": 91.22,
    "pca32-int4": 89.81,
    "pca64-rot-pq16x8": 90.13,
    "pca16-int4": 86.74,
    "pca32-rot-pq8x8": 88.57,
    "pca32-binary": 79.85,
    "pca32-rot-pq4x8": 85.96,
}


def reproduce(table: Table, problem: Problem) -> None:
    """Test the design's table and int8, one fit each."""
    as_float = problem.float_hits()
    base = percent(as_float)
    table.add("table", bytes=4 * problem.dimension, recipe="float32", accuracy=base)
    for name in ("int8", *DESIGN):
        hits = problem.hits(problem.code(problem.fit(name)))
        p = mcnemar_p(as_float, hits)
        table.add(
            "table",
            bytes=Recipe.parse(name).bytes_per_vector(problem.dimension),
            recipe=name,
            accuracy=percent(hits),
            loss_points=base - percent(hits),
            note=f"design {DESIGN.get(name, 'none')}; McNemar p = {p:.2g}",
        )


def against_faiss(table: Table, problem: Problem, names: Sequence[str] = FAISS) -> None:
    """Compare with faiss' quantizers: same components, rows, M and beam, means of three seeds."""
    for name in names:
        m = Recipe.parse(name).bytes_per_vector(problem.dimension)
        pairs = [with_both(problem, name, m, seed) for seed in FIT_SEEDS]
        ours, theirs = np.mean(pairs, axis=0)
        note = f"faiss {theirs:.2f}; difference {ours - theirs:+.2f}; means of {len(pairs)} seeds"
        table.add("faiss", bytes=m, recipe=name, accuracy=float(ours), note=note)


def with_both(problem: Problem, name: str, m: int, seed: int) -> tuple[float, float]:
    """Return accuracies with our quantizer, and with faiss' on the same components."""
    import faiss

    encoding = problem.fit(name, seed)
    projection = encoding.projection
    assert projection.offset is not None
    is_sum = encoding.quantizer.kind == "rq"
    kind: Any = faiss.ResidualQuantizer if is_sum else faiss.ProductQuantizer
    model = kind(encoding.n_components, m, 8)
    model.cp.seed = seed
    if is_sum:
        model.max_beam_size = BEAM
    scores = [
        np.ascontiguousarray(projection.transform(rows.T).T)
        for rows in (problem.other, problem.train)
    ]
    model.train(scores[1])
    other, train = (
        completed(encoding, model.decode(model.compute_codes(part)).T + projection.offset)
        for part in scores
    )
    found = cosine_neighbours(other, train, NEIGHBOURS)
    theirs = np.asarray(majority_vote(problem.train_y, found.indices) == problem.other_y)
    return percent(problem.hits(problem.code(encoding))), percent(theirs)


def on_points(table: Table, data: Path, chosen: Choice) -> None:
    """Use a choice on AlphaEarth points, fitted on the training rows of each of five splits."""
    base, coded = [], []
    path = data / "aef_dynamicworld/aef_dw_points.npz"
    for problem in (split_cells(path, CELL_DEGREES, seed) for seed in SPLIT_SEEDS):
        base.append(percent(problem.float_hits()))
        hits = problem.hits(problem.code(problem.fit(chosen.recipe)), chosen.whiten)
        coded.append(percent(hits))
    loss = np.asarray(base) - coded
    table.add(
        "alphaearth points",
        bytes=chosen.size_bytes,
        recipe=chosen.recipe,
        whiten=chosen.whiten,
        accuracy=float(np.mean(coded)),
        loss_points=float(loss.mean()),
        note=f"float32 {np.mean(base):.2f}; 5 splits: loss {loss.min():+.2f} to {loss.max():+.2f}",
    )


def on_rasters(table: Table, data: Path) -> None:
    """Decode AlphaEarth's own codes and encode them again by `aef`."""
    import rasterio

    for path in sorted((data / "aef_wisconsin").glob("*.tif")):
        with rasterio.open(path) as file:
            stored = file.read().reshape(file.count, -1)
        root = stored.astype(np.float64) / 127.5
        values = (np.sign(root) * root**2).astype(np.float32)
        values[stored == -128] = np.nan
        codes, _ = Encoding.fit(values[:, ::97].T, "aef").encode_block(values)
        same = 100 * float((codes == stored).mean())
        note = f"{path.name}: share of {stored.size} codes that are identical, nodata included"
        table.add("alphaearth raster", bytes=len(stored), recipe="aef", accuracy=same, note=note)


def chosen_before(path: Path, size_bytes: int) -> Choice:
    """Return the choice of most seeds at one number of bytes from `rate_accuracy`'s CSV."""
    if not path.exists():
        raise SystemExit(f"{path}: missing; run benchmarks.rate_accuracy on EuroSAT first")
    lines = path.read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        if row["experiment"] == "chosen" and int(row["bytes"]) == size_bytes:
            return Choice(size_bytes, row["recipe"], float(row["whiten"]))
    raise SystemExit(f"{path}: nothing chosen at {size_bytes} bytes")


def main() -> None:
    """Run every check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the CSVs")
    parser.add_argument("--faiss", nargs="+", metavar="NAME", help="recipes to compare with faiss")
    options = parser.parse_args()
    if options.faiss:
        table = Table(options.out / "faiss_eurosat.csv", FIELDS)
        against_faiss(table, read(options.data / f"eurosat/{EUROSAT}.npz"), options.faiss)
        table.write()
        return
    chosen = chosen_before(options.out / f"rate_accuracy_{EUROSAT}.csv", 32)
    problem = read(options.data / f"eurosat/{EUROSAT}.npz")
    table = Table(options.out / "family_eurosat.csv", FIELDS)
    reproduce(table, problem)
    on_points(table, options.data, chosen)
    on_rasters(table, options.data)
    against_faiss(table, problem)
    table.write()


if __name__ == "__main__":
    main()
