"""Measure what a conversion costs per million pixels, stage by stage, on one thread.

Reading, fitting, encoding, compressing, writing and the journal are timed apart, on shards of the
size that a conversion chooses; each is the median over shards, in processor time of all threads, so
that waiting for the disk is not in it and other work beside does little harm. The plan for a large
region in docs/scaling.md is arithmetic on these numbers. Run as ``python -m benchmarks.scaling``.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore

from benchmarks.convert import prepare
from benchmarks.rasters import RasterSpec
from benchmarks.report import Row, parse_options, publish, warm
from geoembz._convert.sampling import PixelRoles, draw_sample, read_shape
from geoembz._geo.grid import Window, split
from geoembz._objects.tree import ObjectTree
from geoembz._util.threads import single_threaded_blas
from geoembz._work.executors import run_tasks
from geoembz.encoding import Encoding, Recipe
from geoembz.sources import Source, open_source
from geoembz.store.documents import EMBEDDING, StorePlan, create_codes
from geoembz.store.journal import Journal
from geoembz.store.layout import choose_layout
from geoembz.store.writer import StoreWriter

RECIPES = ("pca64-int8", "pca64-int4")
FIT_SAMPLES = 65_536
LAND_PIXELS = 1_500_000_000_000
USD_PER_CORE_HOUR = 0.0363  # c7g.large on demand, us-east-1: 0.0725 USD for 2 cores (2025)
STAGES = ("read", "encode", "compress", "write", "journal")


def main() -> None:
    """Measure every recipe on a raster of each size, and plan from the numbers."""
    options = parse_options(__doc__, sizes=(1024,), smoke=(256,))
    rows: list[Row] = []
    for size in options.size:
        spec = RasterSpec(size, "pixel")
        prepare(spec)
        warm(spec.path)
        source = open_source(str(spec.path))
        for recipe in RECIPES:
            rows += measure(source, recipe, options.repeat)
    publish("scaling", rows, options)


def measure(source: Source, recipe: str, repeat: int) -> Iterator[Row]:
    """Yield the stages of one recipe, then what follows from them."""
    with single_threaded_blas():
        started = time.process_time()
        encoding = fit(source, recipe)
        yield Row(recipe, "fit", time.process_time() - started, "core s, once")
        seconds, stored, pixels = measure_shards(source, encoding, repeat)
    total = sum(seconds.values())
    for stage in STAGES:
        yield Row(recipe, stage, seconds[stage], "core s/Mpx")
    yield Row(recipe, "all stages", total, "core s/Mpx")
    yield Row(recipe, "read", source.dimension * source.dtype.itemsize, "MB/Mpx")
    yield Row(recipe, "stored", stored / pixels, "MB/Mpx")
    yield from plan(recipe, total, stored / pixels, encoding.bytes_per_vector)


def fit(source: Source, recipe: str) -> Encoding:
    """Fit as a conversion does, on one thread."""

    def run(function: Callable[[Window], Any], windows: Any) -> list[Any]:
        return run_tasks(function, windows, workers=1)

    sample = draw_sample(source, PixelRoles(0, source.grid.shape), FIT_SAMPLES, run)
    return Encoding.fit_blocks(sample, Recipe.parse(recipe), source.dimension, 0)


def measure_shards(
    source: Source, encoding: Encoding, repeat: int
) -> tuple[dict[str, float], int, int]:
    """Return seconds per million pixels by stage, and bytes and pixels of all shards."""
    layout = choose_layout(source.grid.shape, encoding.bytes_per_vector, source.block_shape)
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    stored = pixels = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = ObjectTree(folder)
        writer = StoreWriter(folder, StorePlan(encoding, layout, "plain", ()))
        for number, shard in enumerate(layout.shards()):
            if number == max(repeat, 1) * 4:
                break
            timer = Timer(times, shard.size / 1e6)
            codes, valid = encode(source, encoding, shard, timer)
            content = compress(writer, codes, timer)
            with timer("write"):
                tree.write(f"shard-{number}", content)
            with timer("journal"):
                Journal(tree).record(shard, {"valid_pixels": int(valid.sum())})
            stored, pixels = stored + len(content), pixels + shard.size
    return {stage: median(values) for stage, values in times.items()}, stored, pixels


class Timer:
    """Adds up the time of a shard's stages, in seconds per million pixels."""

    def __init__(self, times: dict[str, list[float]], megapixels: float) -> None:
        self._times, self._megapixels = times, megapixels
        for values in times.values():
            values.append(0.0)
        self._stage, self._started = "", 0.0

    def __call__(self, stage: str) -> "Timer":
        self._stage = stage
        return self

    def __enter__(self) -> None:
        self._started = time.process_time()

    def __exit__(self, *_: object) -> None:
        took = time.process_time() - self._started
        self._times[self._stage][-1] += took / self._megapixels


def encode(source: Source, encoding: Encoding, shard: Window, timer: Timer) -> tuple[Any, Any]:
    """Read and encode a shard block by block, as a task does."""
    codes = np.empty((encoding.code_length, *shard.shape), encoding.code_dtype)
    valid = np.empty(shard.shape, np.bool_)
    for block in split(shard, read_shape(source)):
        rows, cols = block.relative_to(shard).slices
        with timer("read"):
            data = source.read(block)
        with timer("encode"):
            part, known = encoding.encode_block(
                data.values.reshape(len(data.values), -1),
                None if data.valid is None else data.valid.reshape(-1),
            )
            codes[:, rows, cols] = part.reshape(len(part), *block.shape)
            valid[rows, cols] = known.reshape(block.shape)
    return codes, valid


def compress(writer: StoreWriter, codes: Any, timer: Timer) -> bytes:
    """Make the shard object in memory: chunks, zstd, index; return its bytes."""
    objects: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(objects))
    create_codes(group, writer.plan)
    array: Any = group[EMBEDDING]
    height, width = codes.shape[1:]
    with timer("compress"):
        array[:, :height, :width] = codes
    contents: list[bytes] = [entry.to_bytes() for entry in objects.values()]
    return max(contents, key=len)


def plan(recipe: str, s_per_mpx: float, mb_per_mpx: float, pixel_bytes: int) -> Iterator[Row]:
    """Scale to a year of the Earth's land at 10 m."""
    case = f"{recipe}, 1.5e12 pixels"
    megapixels = LAND_PIXELS / 1e6
    core_hours = s_per_mpx * megapixels / 3600
    shard_pixels = choose_layout((100_000, 100_000), pixel_bytes, (256, 256)).shard
    yield Row(case, "shards", LAND_PIXELS / (shard_pixels[0] * shard_pixels[1]), "")
    yield Row(case, "stored", mb_per_mpx * megapixels / 1e6, "TB")
    yield Row(case, "core hours", core_hours, "h")
    yield Row(case, "compute", core_hours * USD_PER_CORE_HOUR, "USD")
    yield Row(case, "1,000 cores", core_hours / 1000, "h")


if __name__ == "__main__":
    main()
