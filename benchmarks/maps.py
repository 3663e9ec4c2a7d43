"""Maps on codes against decoding first, and the memory that maps of 100 million pixels take.

    python -m benchmarks.maps [--size N …] [--smoke]

Stores of 512-d vectors, several recipes. ``decode`` reads a store some rows at a time, decodes them
to original vectors and scores these by NumPy; it writes nothing. ``map`` is `geoembz.map_similar`,
from reading to the finished Zarr store; ``scores`` is its kernel on codes in memory, against
`Encoding.decode_block` and the same scores there. Both take turns and must agree. Processor
seconds of this process are judged: they do not depend on what else the machine does.

The large stores are one of a million pixels whose shards stand beside each other ten by ten times,
and another way round; each map is made in a process of its own, whose largest resident memory
counts (as it says itself: what its parent holds is not in it).
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

import geoembz
from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import in_turns, peak_bytes
from geoembz._export.region import Region, open_region
from geoembz._geo.grid import Grid, split
from geoembz._search.metrics import scorer
from geoembz._util.threads import single_threaded_blas
from geoembz.store import StoreReader

DIMENSION = 512
CASES = (
    ("pca64-int8", "cosine", 5.0),
    ("pca64-int4", "cosine", 5.0),
    ("rot-binary", "hamming", 10.0),
    ("rot-binary", "cosine", 10.0),
    ("int8", "cosine", None),  # as many numbers as before: decoding costs a product each
)
MOST_MEMORY, TIMES = 1.5e9, 10
MAPS = ("similar", "change", "classify", "cluster")
LABELLED = 1_000
BLOCK, ROWS = 1 << 16, 128


def main() -> None:
    """Measure all recipes, then the memory."""
    if sys.argv[1:2] == ["--map"]:
        map_alone(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    options = parse_options(__doc__, sizes=(1024,), smoke=(64,))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="geoembz-maps-") as folder:
        for size in options.size:
            raster = write_raster(Path(folder, "source.npy"), size)
            stores = {
                recipe: convert(raster, recipe, size)
                for recipe in dict.fromkeys(c[0] for c in CASES)
            }
            for recipe, metric, least in CASES:
                rows += measure(stores[recipe], recipe, metric, least, options.repeat)
            rows += measure_memory(stores["pca64-int8"], 2 if options.smoke else TIMES)
    publish("maps", rows, options)


def write_raster(path: Path, size: int, dimension: int = DIMENSION) -> Path:
    """Write smooth vectors with a little noise."""
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(dimension, 24)).astype(np.float32) + np.float32(0.3)
    rows, cols = np.mgrid[:size, :size].astype(np.float32) / np.float32(size)
    waves = np.stack([np.sin((5 + n) * rows + (9 - n) * cols + n) for n in range(24)])
    memory = np.lib.format.open_memmap(path, "w+", np.float32, (dimension, size, size))
    for band, axis in enumerate(axes):
        noise = rng.standard_normal((size, size), np.float32)
        memory[band] = np.tensordot(axis, waves, 1) + np.float32(0.2) * noise
    return path


def convert(raster: Path, recipe: str, size: int) -> Path:
    """Convert to two by two shards."""
    store = raster.with_name(f"{recipe}-{size}.zarr")
    shard = size // 2
    storage = geoembz.StorageOptions(shard=shard, chunk=min(128, shard))
    geoembz.convert(
        raster,
        store,
        recipe=recipe,
        storage=storage,
        dims="band,y,x",
        crs="EPSG:32632",
        transform=(10.0, 0.0, 5e5, 0.0, -10.0, 5.3e6),
    )
    return store


def measure(
    store: Path, recipe: str, metric: str, least: float | None, repeat: int
) -> Iterator[Row]:
    """Time both ways, once they agree."""
    region = open_region(store)
    reader = region.reader
    query = reader.read(next(iter(split(region.window, (1, 1)))), "original")[:, 0, 0]
    kernel = scorer(reader.encoding, query, metric, n_pixels=region.window.size)
    codes = reader.read_codes(region.window)
    codes = codes.reshape(len(codes), -1)
    out = store.with_name("map.zarr")

    def score() -> NDArray[np.float32]:
        return np.asarray(kernel.scores(kernel.distances(codes))[0])

    def decode_first() -> NDArray[np.float32]:
        return np.concatenate(
            [
                numpy_scores(reader.encoding.decode_block(codes[:, start : start + BLOCK]), query)
                for start in range(0, codes.shape[1], BLOCK)
            ]
        )

    def map_store() -> None:
        geoembz.map_similar(store, out, vector=query, metric=metric, overwrite=True)

    if metric == "cosine":  # bits say something else than vectors do
        np.testing.assert_allclose(score(), decode_first(), atol=1e-4)
    maps = {"map": map_store, "map by decoding": lambda: decode_store(region, query)}
    label = f"{recipe}, {metric}"
    with single_threaded_blas():
        calls = {"scores": score, "scores by decoding": decode_first, **maps}
        taken = in_turns(calls, repeat, time.process_time)
        elapsed = in_turns(maps, 1)
    yield from (Row(label, f"{name}, cpu", value, "s") for name, value in taken.items())
    yield from (Row(label, f"{name}, elapsed", value, "s") for name, value in elapsed.items())
    target = None if least is None else Target(">=", least)
    for name in ("scores", "map"):
        ratio = taken[f"{name} by decoding"] / taken[name]
        yield Row(label, f"{name} / decode", ratio, "x", target)


def decode_store(region: Region, query: NDArray[np.float32]) -> None:
    """Decode a store, and score all vectors."""
    for block in split(region.window, (ROWS, region.window.width)):
        values = region.reader.read(block, "original")
        numpy_scores(values.reshape(len(values), -1), query)


def numpy_scores(values: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return cosines of vectors ``(dimension, n)``."""
    lengths = np.sqrt(np.einsum("dn,dn->n", values, values)) * np.linalg.norm(query)
    return np.asarray(query @ values / lengths)


def measure_memory(small: Path, times: int) -> Iterator[Row]:
    """Map large stores, each map in a process of its own."""
    stores = [multiply(small, times, turn) for turn in range(2)]
    size = StoreReader.open(str(stores[0])).attributes.grid.window.size
    for name in MAPS:
        taken = run_alone(name, *stores)
        label = f"{name}, {size:.2g} pixels"
        yield Row(label, "elapsed", taken["seconds"], "s")
        yield Row(label, "cpu", taken["cpu_seconds"], "s")
        target = Target("<=", MOST_MEMORY / 1e6)
        yield Row(label, "peak_rss", taken["peak_bytes"] / 1e6, "MB", target)


def multiply(small: Path, times: int, turn: int) -> Path:
    """Put the two by two shards of a store beside themselves, so many times each way.

    The first shard is the one at row and column `turn`, so that stores of two turns differ.
    """
    large = small.with_name(f"large{turn}.zarr")
    shutil.copytree(small, large)
    shards = large / "embedding" / "c" / "0"
    for row in range(2 * times):
        for col in range(2 * times):
            place = shards / str(row) / str(col)
            place.parent.mkdir(exist_ok=True)
            place.unlink(missing_ok=True)
            place.hardlink_to(
                small / "embedding" / "c" / "0" / str((row + turn) % 2) / str((col + turn) % 2)
            )
    root, array = large / "zarr.json", large / "embedding" / "zarr.json"
    document = json.loads(root.read_text())
    size = times * document["attributes"]["spatial:shape"][0]
    left, top = 5e5, 5.3e6
    document["attributes"]["geoembz:version"] = "0.1"  # which has no digests of shards
    document["attributes"]["spatial:shape"] = [size, size]
    document["attributes"]["spatial:bbox"] = [left, top - 10 * size, left + 10 * size, top]
    own = json.loads(array.read_text())
    own["shape"][1:] = [size, size]
    document["consolidated_metadata"]["metadata"]["embedding"] = own
    array.write_text(json.dumps(own))
    root.write_text(json.dumps(document))
    assert zarr.open_group(large)["embedding"].shape[1:] == (size, size)  # type: ignore[union-attr]
    return large


def run_alone(name: str, store: Path, other: Path) -> dict[str, float]:
    """Make one map in a new process; return what it took."""
    command = [sys.executable, "-m", "benchmarks.maps", "--map", name, str(store), str(other)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    taken: dict[str, float] = json.loads(printed)
    return taken


def map_alone(name: str, store: Path, other: Path) -> None:
    """Make one map in this process: its memory is the map's."""
    grid = StoreReader.open(str(store)).attributes.grid
    out = store.with_name(f"{name}.tif")
    started, worked = time.perf_counter(), time.process_time()
    if name == "similar":
        place = float(grid.x[3]), float(grid.y[3])
        geoembz.map_similar(store, out, like=[place], crs=grid.crs_wkt)
    elif name == "change":
        geoembz.map_change(store, out, other=other)
    elif name == "classify":
        geoembz.map_classify(store, out, labels=write_labels(store, grid), block_size=1000)
    else:
        geoembz.map_cluster(store, out, k=12)
    taken = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - worked,
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(taken))


def write_labels(store: Path, grid: Grid) -> Path:
    """Label some pixels near the first corner, by what their first component is."""
    rows, cols = np.random.default_rng(0).integers(0, min(*grid.shape, 1000), (2, LABELLED))
    places = np.stack([grid.x[cols], grid.y[rows]], axis=1)
    first = geoembz.sample(store, places, crs=grid.crs_wkt, space="reduced").vectors[:, 0]
    kinds = np.searchsorted(np.quantile(first, [0.2, 0.4, 0.6, 0.8]), first)
    lines = [f"{x},{y},{kind}" for (x, y), kind in zip(places, kinds, strict=True)]
    path = store.with_name("labels.csv")
    path.write_text("\n".join(["x,y,kind", *lines]) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
