"""An evaluation without labels: 100,000 vectors of 512 numbers over 12 recipes, once.

Target: 3 minutes and 3 GB on 2 cores. The peer is exact neighbours alone: 2,000 queries against all
vectors with scikit-learn, once for the float vectors and once for each recipe.
"""

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import peak_bytes, seconds
from geoembz import evaluate
from geoembz._evaluate import Sample

RECIPES = (
    "int8",
    "int4",
    "int4-lloyd",
    "binary",
    "rot-binary",
    "float32",
    "pca128-int8",
    "pca64-int8",
    "pca32-int8",
    "pca64-int4-lloyd",
    "pca64-rot-pq16x8",
    "pca32-rot-pq8x8",
)
DIMENSION = 512
JUDGED_ROWS = 100_000
MOST_SECONDS, MOST_MEGABYTES = 180.0, 3000.0
QUERIES, NEIGHBOURS = 2000, 100


def draw(n_rows: int, dimension: int) -> NDArray[np.float32]:
    """Draw vectors whose variance falls over 64 directions, with noise in all."""
    rng = np.random.default_rng(0)
    scales = np.geomspace(3, 0.3, 64, dtype=np.float32)
    scores = rng.standard_normal((n_rows, 64), dtype=np.float32) * scales
    axes = rng.standard_normal((64, dimension), dtype=np.float32)
    noise = rng.standard_normal((n_rows, dimension), dtype=np.float32)
    return (scores @ axes + noise + 1).astype(np.float32)


def main() -> None:
    """Measure all numbers of rows."""
    options = parse_options(__doc__, sizes=(JUDGED_ROWS,), smoke=(1_000,))
    publish("evaluate", [row for size in options.size for row in measure(size)], options)


def measure(n_rows: int) -> Iterator[Row]:
    """Evaluate once; then search the neighbours of as many rows as an evaluation does."""
    vectors = draw(n_rows, DIMENSION)
    started, cpu_started = time.perf_counter(), time.process_time()
    evaluate(table=Sample(vectors), recipes=RECIPES)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    memory = peak_bytes() / 1e6
    neighbours = NearestNeighbors(
        n_neighbors=min(NEIGHBOURS, n_rows), algorithm="brute", metric="cosine"
    ).fit(vectors)
    search = seconds(lambda: neighbours.kneighbors(vectors[:QUERIES])) * (1 + len(RECIPES))
    judged = n_rows == JUDGED_ROWS
    case = f"{n_rows} x {DIMENSION}, {len(RECIPES)} recipes"
    yield Row(case, "seconds", elapsed, "s", Target("<=", MOST_SECONDS) if judged else None)
    yield Row(case, "cpu_seconds", cpu, "s")
    yield Row(case, "peak_rss", memory, "MB", Target("<=", MOST_MEGABYTES) if judged else None)
    yield Row(case, "neighbours alone, scikit-learn", search, "s")
    yield Row(case, "time of neighbours alone", elapsed / search, "x")


if __name__ == "__main__":
    main()
