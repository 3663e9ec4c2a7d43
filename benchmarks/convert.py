"""Converting against its floor, and against what a user writes by hand.

(a) ``geoembz.convert(…, pca=64, quantizer="int8")``, (b) reading the file with rasterio on two
threads, (c) rioxarray + scikit-learn + ``to_zarr``; and (a) again with one worker. The floor is
what takes longest alone on two threads: (b), the product, or writing the store's files once more
(`benchmarks.floors`). Every case runs in fresh processes, its file in the page cache, the cases
taking turns. ``--layout``, ``--size`` and ``--dimension`` choose rasters; results of the others
stay in the CSV. ``--large`` measures 4096² (8.6 GB) alone.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.convert_cases import N_COMPONENTS, READ_CASES, WORKERS
from benchmarks.rasters import LAYOUTS, TILE, RasterSpec
from benchmarks.report import (
    Row,
    Run,
    Target,
    median,
    parse_options,
    publish,
    rows_of,
    run_process,
    warm,
)

JUDGED_SIZE = 2048  # the ratios are required here; smaller files are mostly start-up and fit
UNCOMPRESSED = ("pixel", "band")
SMALL_SIZE = 64  # px, for loading what is loaded on first use
RSS_LIMIT_MB = 1000.0  # and one decoded block of the source per worker
RSS_GROWTH_LIMIT = 1.15
RASTERS = (
    *(RasterSpec(size, layout) for layout in ("pixel", "band-deflate") for size in (1024, 2048)),
    RasterSpec(2048, "band"),
    RasterSpec(2048, "pixel-zstd"),
    RasterSpec(1024, "pixel", 512),
    RasterSpec(2048, "aef"),
)
LARGE = RasterSpec(4096, "pixel")
SMOKE_LAYOUTS = ("pixel", "band-deflate")
_WHOLE = ("ours", "ours-1-worker", *READ_CASES, "by-hand")
_FLOORS = ("product", "write")
_MODULE = "benchmarks.convert_cases"
_FLOOR_LIMITS = {True: 1.25, False: 1.5}
"""How long a conversion may take, as a multiple of its floor: uncompressed, and compressed."""


def main() -> None:
    """Measure all cases on all rasters that are asked for."""
    sizes = sorted({raster.size for raster in RASTERS})
    options = parse_options(__doc__, sizes=sizes, smoke=(128,), layouts=list(LAYOUTS))
    rows: list[Row] = []
    peaks: dict[str, list[int]] = {}
    for raster in chosen(options):
        runs = measure(raster, options.repeat)
        rows += judge(raster, runs)
        peaks.setdefault(f"{raster.layout} {raster.dimension}d", []).append(
            runs["ours"].peak_rss_bytes
        )
    for label, seen in peaks.items():
        if len(seen) > 1:
            growth = Target("<=", RSS_GROWTH_LIMIT)
            rows.append(Row(label, "rss growth", max(seen) / min(seen), "x", growth))
    publish("convert", rows, options, keep=True)


def chosen(options: Any) -> list[RasterSpec]:
    """Return the rasters that the options ask for."""
    if options.large:
        return [LARGE]
    if options.smoke:
        return [RasterSpec(options.size[0], layout) for layout in SMOKE_LAYOUTS]
    return [
        raster
        for raster in RASTERS
        if raster.size in options.size
        and raster.layout in options.layout
        and options.dimension in {None, raster.dimension}
    ]


def measure(spec: RasterSpec, repeat: int) -> dict[str, Run]:
    """Return the medians of each case; the cases take turns so that noise meets them alike."""
    small = RasterSpec(SMALL_SIZE, spec.layout, spec.dimension)
    prepare(spec)
    prepare(small)
    runs: dict[str, list[Run]] = {case: [] for case in (*_WHOLE, *_FLOORS)}
    with tempfile.TemporaryDirectory(dir=spec.path.parent) as folder:
        store, copied = Path(folder) / "ours.zarr", Path(folder) / "copied.zarr"
        shape = (N_COMPONENTS, spec.dimension, spec.size**2)
        for _ in range(repeat):
            for case in reversed(_WHOLE):  # our own store comes last, and is what is copied
                warm(spec.path)
                shutil.rmtree(store, ignore_errors=True)
                paths = map(str, (spec.path, store, small.path))
                runs[case].append(run_process(_MODULE, case, *paths))
            runs["product"].append(run_process("benchmarks.floors", "product", *map(str, shape)))
            runs["write"].append(run_process("benchmarks.floors", "write", str(store), str(copied)))
            shutil.rmtree(copied)
    return {case: median(results) for case, results in runs.items()}


def prepare(spec: RasterSpec) -> None:
    """Generate a raster in a process of its own, so that this one stays small."""
    arguments = ["--size", spec.size, "--layout", spec.layout, "--dimension", spec.dimension]
    run_process("benchmarks.rasters", str(spec.path), *map(str, arguments))


def judge(raster: RasterSpec, runs: dict[str, Run]) -> Iterator[Row]:
    """Return numbers and ratios; reading is the fastest way with GDAL's defaults."""
    label = f"{raster.layout} {raster.dimension}d {raster.size}"
    for case, run in runs.items():
        yield from rows_of(f"{label} {case}", run)
    judged = raster.size >= JUDGED_SIZE

    def target(relation: str, limit: float) -> Target | None:
        return Target(relation, limit) if judged else None

    a, c = runs["ours"].seconds, runs["by-hand"].seconds
    reads = {case: run.seconds for case, run in runs.items() if case in READ_CASES}
    reading = min(seconds for case, seconds in reads.items() if not case.endswith("direct"))
    floor = max(reading, *(runs[case].seconds for case in _FLOORS))
    limit = _FLOOR_LIMITS[raster.layout in UNCOMPRESSED]
    yield Row(label, "ours over the floor", a / floor, "x", target("<=", limit))
    yield Row(label, "a/b: ours over reading", a / reading, "x")
    yield Row(label, "a/b with GTIFF_DIRECT_IO", a / min(reads.values()), "x")
    yield Row(label, "c/a: by hand over ours", c / a, "x", target(">=", 5.0))
    gain = runs["ours-1-worker"].seconds / a
    yield Row(label, "two workers over one", gain, "x", target(">=", 1.7))
    peak, blocks = runs["ours"].peak_rss_bytes / 1e6, WORKERS * TILE**2 * raster.vector_bytes / 1e6
    yield Row(label, "peak_rss of ours", peak, "MB", Target("<=", RSS_LIMIT_MB + blocks))


if __name__ == "__main__":
    main()
