"""Sampling many points over a store of two UTM zones, against decoding all of the store.

(a) ``geoembz.sample`` of random points in degrees, of which each goes to the zone that covers it,
(b) the same into a GeoParquet, (c) every block of both zones decoded once and thrown away: what a
loop over the store would take, before it looks anything up. Fresh processes, taking turns.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rasters import RasterSpec
from benchmarks.report import Row, Run, median, parse_options, publish, rows_of, run_process

SIDE, SMOKE_SIDE = 2048, 256
_CASES = ("points", "points-to-file", "all-pixels")
_MODULE = "benchmarks.sampling_cases"


def main() -> None:
    """Measure all numbers of points."""
    options = parse_options(__doc__, sizes=(10**5, 10**6), smoke=(1_000,))
    spec = RasterSpec(SMOKE_SIDE if options.smoke else SIDE, "pixel")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="geoembz-bench-") as name:
        store = Path(name) / "zones.zarr"
        run_process(_MODULE, "make", str(store), str(spec.size))
        for count in options.size:
            rows += judge(f"{count} points", measure(store, count, options.repeat))
    publish("sampling", rows, options)


def measure(store: Path, count: int, repeat: int) -> dict[str, Run]:
    """Return the medians of each case; the cases take turns so that noise meets them alike."""
    runs: dict[str, list[Run]] = {case: [] for case in _CASES}
    for _ in range(repeat):
        for case, results in runs.items():
            results.append(run_process(_MODULE, case, str(store), str(count)))
    return {case: median(results) for case, results in runs.items()}


def judge(label: str, runs: dict[str, Run]) -> Iterator[Row]:
    """Return numbers and the ratio of processor time."""
    for case, run in runs.items():
        yield from rows_of(f"{label} {case}", run)
    ratio = runs["points"].cpu_seconds / runs["all-pixels"].cpu_seconds
    yield Row(label, "cpu / all pixels", ratio, "x")


if __name__ == "__main__":
    main()
