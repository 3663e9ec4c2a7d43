"""What an index of FAISS finds of the nearest, and how quickly, beside an exhaustive search.

    python -m benchmarks.index [--size N …] [--smoke]

Queries are vectors of the scene, at other pixels for each of them. Recall is the share of the k
nearest by an exhaustive search of the same store and metric that the index finds among its k.
Seconds are medians over queries, one at a time, on one thread; those of the search are of all
queries together, divided by their number, its kindest figure.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import geoembz
from benchmarks.rasters import RasterSpec, generate
from benchmarks.report import Row, parse_options, publish
from benchmarks.timing import seconds
from geoembz._index.faiss_index import load_faiss
from geoembz.store import StoreReader

K, QUERIES = 100, 64
SLACK = 2e-3
"""Relative rounding of float16, in which indexes hold vectors."""
CASES = {
    "pca64-int8, cosine": ("pca64-int8", "cosine"),
    "l2-pca64-int8, euclidean": ("l2-pca64-int8", "euclidean"),
    "pca64-pq8x8, euclidean": ("pca64-pq8x8", "euclidean"),
    "rot-binary, hamming": ("rot-binary", "hamming"),
}


def rows_of(case: str, store: Path, metric: str, probes: tuple[int, ...]) -> Iterator[Row]:
    """Yield size, recall and time of one index."""
    reader = StoreReader.open(store)
    queries = draw(reader, QUERIES)
    path = store.with_suffix(".faiss")
    built: list[Any] = []
    taken = seconds(lambda: built.append(geoembz.index(reader, path, metric=metric)))
    yield Row(case, "build", taken, "s")
    yield Row(case, "index / store", path.stat().st_size / reader.stored_bytes(), "")
    yield Row(case, "lists", built[0].lists, "")
    exact: list[Any] = []
    every = seconds(lambda: exact.append(geoembz.search(reader, queries, K, metric, workers=1)))
    yield Row(case, "exhaustive, a query", 1e3 * every / len(queries), "ms")
    opened = geoembz.open_index(path)
    load_faiss().omp_set_num_threads(1)
    for count in probes:
        times = [seconds(partial(opened.search, q, K, probes=count)) for q in queries]
        found = opened.search(queries, K, probes=count)
        yield Row(case, f"{count} probes, recall@{K}", found.recall_of(exact[0], slack=SLACK), "")
        yield Row(
            case, f"{count} probes, recall@10", found.recall_of(exact[0], 10, slack=SLACK), ""
        )
        yield Row(case, f"{count} probes, a query", 1e3 * float(np.median(times)), "ms")


def draw(reader: StoreReader, count: int) -> NDArray[np.float32]:
    """Return vectors of pixels that hold one, in original space."""
    rng = np.random.default_rng(0)
    side = min(reader.shape)
    corner = rng.integers(0, side - 16, (count, 2))
    windows = [geoembz.Window(int(row), int(col), 16, 16) for row, col in corner]
    found = [reader.read(window, "original").reshape(-1, 256) for window in windows]
    columns = [block[:, ~np.isnan(block[0])][:, :1] for block in found]
    return np.ascontiguousarray(np.concatenate(columns, axis=1).T)


def main() -> None:
    """Measure, print and write the CSV."""
    options = parse_options(__doc__, sizes=[1024], smoke=[64])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in options.size:
            raster = Path(scratch) / f"{size}.tif"
            generate(RasterSpec(size, "pixel", 128), raster)
            for number, (case, (recipe, metric)) in enumerate(CASES.items()):
                store = Path(scratch) / f"{size}-{number}.zarr"
                geoembz.convert(raster, store, recipe=recipe)
                probes = (4,) if options.smoke else (4, 16, 64)
                rows += rows_of(f"{size}, {case}", store, metric, probes)
    publish("index", rows, options)


if __name__ == "__main__":
    main()
