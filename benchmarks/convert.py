"""Converting against merely reading, and against what a user writes by hand.

(a) ``geoembz.convert(…, pca=64, quantizer="int8")``, (b) reading the file with rasterio on two
threads, (c) rioxarray + scikit-learn + ``to_zarr``. Every case runs in fresh processes, its file
in the page cache, the cases taking turns.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.convert_cases import READ_CASES
from benchmarks.rasters import LAYOUTS, RasterSpec
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
READ_LIMITS = {"pixel": 1.5, "band-deflate": 2.0}
SMALL_SIZE = 64  # px, for loading what is loaded on first use
RSS_LIMIT_MB = 1200.0
RSS_GROWTH_LIMIT = 1.15
_CASES = ("ours", *READ_CASES, "by-hand")
_MODULE = "benchmarks.convert_cases"


def main() -> None:
    """Measure all cases at all sizes and layouts."""
    options = parse_options(__doc__, sizes=(1024, 2048), smoke=(128,))
    rows: list[Row] = []
    for layout in LAYOUTS:
        peaks = {}
        for size in options.size:
            runs = measure(RasterSpec(size, layout), options.repeat)
            rows += judge(f"{layout} {size}", runs, layout, size)
            peaks[size] = runs["ours"].peak_rss_bytes
        growth = max(peaks.values()) / min(peaks.values())
        rows.append(Row(layout, "rss growth", growth, "x", Target("<=", RSS_GROWTH_LIMIT)))
    publish("convert", rows, options)


def measure(spec: RasterSpec, repeat: int) -> dict[str, Run]:
    """Return the medians of each case; the cases take turns so that noise meets them alike."""
    small = RasterSpec(SMALL_SIZE, spec.layout, spec.dimension)
    prepare(spec)
    prepare(small)
    runs: dict[str, list[Run]] = {case: [] for case in _CASES}
    with tempfile.TemporaryDirectory(dir=spec.path.parent) as folder:
        for _ in range(repeat):
            for case, results in runs.items():
                destination = Path(folder) / "out.zarr"
                warm(spec.path)
                paths = map(str, (spec.path, destination, small.path))
                results.append(run_process(_MODULE, case, *paths))
                shutil.rmtree(destination, ignore_errors=True)
    return {case: median(results) for case, results in runs.items()}


def prepare(spec: RasterSpec) -> None:
    """Generate a raster in a process of its own, so that this one stays small."""
    arguments = ["--size", spec.size, "--layout", spec.layout, "--dimension", spec.dimension]
    run_process("benchmarks.rasters", str(spec.path), *map(str, arguments))


def judge(label: str, runs: dict[str, Run], layout: str, size: int) -> Iterator[Row]:
    """Return numbers and ratios; the floor is the fastest way of reading with GDAL's defaults."""
    for case, run in runs.items():
        yield from rows_of(f"{label} {case}", run)
    judged = size >= JUDGED_SIZE
    a, c = runs["ours"].seconds, runs["by-hand"].seconds
    reads = {case: run.seconds for case, run in runs.items() if case in READ_CASES}
    floor = min(seconds for case, seconds in reads.items() if not case.endswith("direct"))
    limit = Target("<=", READ_LIMITS[layout]) if judged else None
    yield Row(label, "a/b: ours over reading", a / floor, "x", limit)
    yield Row(label, "a/b with GTIFF_DIRECT_IO", a / min(reads.values()), "x")
    yield Row(label, "c/a: by hand over ours", c / a, "x", Target(">=", 3.0) if judged else None)
    peak = runs["ours"].peak_rss_bytes / 1e6
    yield Row(label, "peak_rss of ours", peak, "MB", Target("<=", RSS_LIMIT_MB))


if __name__ == "__main__":
    main()
