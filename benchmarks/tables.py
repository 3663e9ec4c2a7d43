"""Converting a table against pyarrow's own scan of the same file.

(a) ``geoembz.convert(…, recipe="pca64-int8")``, (b) ``ParquetFile.iter_batches``, (c) the threaded
scan of ``pyarrow.dataset``: both read the vectors and throw them away. Every case runs in fresh
processes, its file in the page cache, the cases taking turns. The speed required is half of (b).
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

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

DIMENSION = 768
ROW_GROUPS = (16_384, 2**20)  # rows: what many writers choose, and pyarrow's default
JUDGED_ROWS = 10**6
RSS_LIMIT_MB = 2000.0
SHARE_OF_SCAN = 0.5
_CASES = ("ours", "scan", "scan-threads")
_MODULE = "benchmarks.tables_cases"


def main() -> None:
    """Measure all cases for all sizes and row groups."""
    options = parse_options(__doc__, sizes=(10**6,), smoke=(2_000,))
    rows: list[Row] = []
    for count in options.size:
        for group in ROW_GROUPS:
            rows += judge(f"{count} x {DIMENSION}, groups {group}", measure(count, group, options))
    publish("tables", rows, options)


def measure(count: int, group: int, options: object) -> dict[str, Run]:
    """Return the medians of each case; the cases take turns so that noise meets them alike."""
    runs: dict[str, list[Run]] = {case: [] for case in _CASES}
    with tempfile.TemporaryDirectory(prefix="geoembz-bench-") as name:
        folder = Path(name)
        table = folder / "table.parquet"
        run_process(_MODULE, "make", str(table), str(count), str(group), str(DIMENSION))
        for _ in range(options.repeat):  # type: ignore[attr-defined]
            for case, results in runs.items():
                warm(table)
                results.append(run_process(_MODULE, case, str(table), str(folder / "out.zarr")))
                shutil.rmtree(folder / "out.zarr", ignore_errors=True)
    return {case: median(results) for case, results in runs.items()}


def judge(label: str, runs: dict[str, Run]) -> Iterator[Row]:
    """Return numbers and ratios; only a table of a million rows is judged."""
    judged = int(label.split(maxsplit=1)[0]) >= JUDGED_ROWS
    for case, run in runs.items():
        yield from rows_of(f"{label} {case}", run)
    ours = runs["ours"]
    limit = Target("<=", RSS_LIMIT_MB) if judged else None
    yield Row(label, "peak rss", ours.peak_rss_bytes / 1e6, "MB", limit)
    share = Target(">=", SHARE_OF_SCAN) if judged else None
    yield Row(label, "speed / scan", runs["scan"].seconds / ours.seconds, "x", share)
    yield Row(label, "speed / threaded scan", runs["scan-threads"].seconds / ours.seconds, "x")


if __name__ == "__main__":
    main()
