"""What the benchmarks share: options, fresh processes, targets, the table and the CSV.

The process that measures stays small and imports no NumPy: Linux counts a parent's memory into the
peak of its child, and the peak of one case must not be that of another.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import history
from geoembz._util.threads import worker_count

RESULTS = history.RESULTS
PACKAGES = ("geoembz", "numpy", "zarr", "numcodecs", "xarray", "rasterio", "dask", "scikit-learn")
_BACK_ENDS = """
import json, numpy, rasterio, threadpoolctl
blas = next((i for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"), {})
gdal, name = rasterio.__gdal_version__, blas.get("internal_api", "unknown")
print(json.dumps({"gdal": gdal, "blas": f"{name} {blas.get('version')}"}))
"""


@dataclass(frozen=True)
class Run:
    """What one process took.

    Parameters
    ----------
    seconds
        Time of the case itself, after imports, as the process measured it.
    process_seconds
        Time from starting the process to its end.
    cpu_seconds
        User and system time of the whole process, all threads.
    peak_rss_bytes
        Largest resident memory.
    """

    seconds: float
    process_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class Target:
    """A bound: `relation` is ``<=`` or ``>=``."""

    relation: str
    limit: float

    def met(self, value: float) -> bool:
        """Whether `value` keeps to the bound."""
        return value <= self.limit if self.relation == "<=" else value >= self.limit


@dataclass(frozen=True)
class Row:
    """One number of a report."""

    case: str
    metric: str
    value: float
    unit: str
    target: Target | None = None

    def cells(self) -> dict[str, str]:
        """Return the row as text, by column."""
        bound = f"{self.target.relation} {self.target.limit:g}" if self.target else ""
        met = ("yes" if self.target.met(self.value) else "NO") if self.target else ""
        value = f"{self.value:.4g}"
        return {
            "case": self.case,
            "metric": self.metric,
            "value": value,
            "unit": self.unit,
            "target": bound,
            "met": met,
        }


def parse_options(
    description: str | None,
    sizes: Sequence[int],
    smoke: Sequence[int],
    layouts: Sequence[str] = (),
    *,
    takes_store: bool = False,
) -> Any:
    """Read the options that all benchmarks share; ``--smoke`` is tiny and judges nothing."""
    parser = argparse.ArgumentParser(description=description)
    if takes_store:
        parser.add_argument("--store", type=Path, help="one of an earlier run, instead of sizes")
    if layouts:
        parser.add_argument("--layout", nargs="+", choices=layouts, default=list(layouts))
        parser.add_argument("--dimension", type=int, help="only rasters of this dimension")
        parser.add_argument("--large", action="store_true", help="the largest raster, nothing else")
    parser.add_argument("--size", type=int, nargs="+", default=list(sizes), help="px, rows, shards")
    parser.add_argument("--repeat", type=int, default=3, help="the median counts")
    parser.add_argument("--smoke", action="store_true", help="a tiny run: does it work at all")
    parser.add_argument("--out", type=Path, help=f"folder of the CSV (default: {RESULTS.name}/)")
    options = parser.parse_args()
    if options.smoke:
        options.size, options.repeat = list(smoke), 1
    return options


def run_process(module: str, *arguments: str) -> Run:
    """Run ``python -m module arguments`` and measure it; it prints ``{"seconds": …}`` last."""
    run, lines = run_python("-m", module, *arguments)
    return replace(run, seconds=float(json.loads(lines[-1])["seconds"])) if lines else run


def run_python(*arguments: str) -> tuple[Run, list[str]]:
    """Run Python and measure it, all of it; also return the lines that it prints."""
    started = datetime.now(UTC)
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = (datetime.now(UTC) - started).total_seconds()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Run(wall, wall, cpu, usage.ru_maxrss * unit), lines


def median(runs: Sequence[Run]) -> Run:
    """Return the medians of repeated runs; of memory, the largest."""
    return Run(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.process_seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        max(run.peak_rss_bytes for run in runs),
    )


def rows_of(case: str, run: Run) -> list[Row]:
    """Return the plain numbers of one case."""
    return [
        Row(case, "seconds", run.seconds, "s"),
        Row(case, "process_seconds", run.process_seconds, "s"),
        Row(case, "cpu_seconds", run.cpu_seconds, "s"),
        Row(case, "peak_rss", run.peak_rss_bytes / 1e6, "MB"),
    ]


def publish(name: str, rows: Iterable[Row], options: Any, *, keep: bool = False) -> None:
    """Print the table; write it as CSV with machine, versions and date unless it is a smoke run.

    The CSV is what was measured last; `benchmarks.history` keeps every run. With `keep`, rows of
    other cases that are in the CSV stay, with their own dates and versions.
    """
    judged = [replace(row, target=None) if options.smoke else row for row in rows]
    table = [row.cells() for row in judged]
    print_table(table)
    if options.smoke and options.out is None:
        return
    folder = options.out or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    origin = {**machine(), **versions(), "date": datetime.now(UTC).strftime("%Y-%m-%d")}
    path = folder / f"{name}.csv"
    new = [{**cells, **origin} for cells in table]
    old = _rows_beside(path, new) if keep else []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*table[0], *origin], lineterminator="\n")
        writer.writeheader()
        writer.writerows([*old, *new])
    history.add(folder, name, table, origin)
    print(f"\nwritten to {folder / name}.csv, and added to {history.HISTORY}")


def _rows_beside(path: Path, new: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a CSV that are of other cases, if it has the same columns."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(new[0]):
            return []
        cases = {row["case"] for row in new}
        return [row for row in reader if row["case"] not in cases]


def print_table(table: Sequence[Mapping[str, str]]) -> None:
    """Print rows of text under their column names."""
    lines = [dict(zip(table[0], table[0], strict=True)), *table]
    widths = {key: max(len(line[key]) for line in lines) for key in table[0]}
    for line in lines:
        print("  ".join(line[key].ljust(width) for key, width in widths.items()).rstrip())


class Table:
    """Rows printed as they come; `write` puts them under lines that tell machine and versions."""

    def __init__(self, path: Path, fields: Sequence[str]) -> None:
        self.path, self.fields = path, tuple(fields)
        self.rows: list[dict[str, object]] = []

    def add(self, experiment: str, **cells: object) -> None:
        """Add a row of the named cells; floats get three decimals."""
        rounded = {
            key: f"{value:.3f}" if isinstance(value, float) and key != "whiten" else value
            for key, value in cells.items()
        }
        row = dict.fromkeys(self.fields, "") | {"experiment": experiment} | rounded
        self.rows.append(row)
        print(*row.values(), flush=True)

    def write(self) -> None:
        """Write what there is."""
        origin = {**machine(), **versions(), "date": datetime.now(UTC).strftime("%Y-%m-%d")}
        with self.path.open("w", newline="", encoding="utf-8") as file:
            file.writelines(f"# {key}: {value}\n" for key, value in origin.items())
            writer = csv.DictWriter(file, self.fields, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


def machine() -> dict[str, str]:
    """Return processor, cores this process may use, and memory."""
    info = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": str(worker_count()),
        "memory_gib": f"{memory:.0f}",
        "os": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages and of the libraries under them."""
    found = {name: metadata.version(name) for name in PACKAGES}
    below = subprocess.run(
        [sys.executable, "-c", _BACK_ENDS], capture_output=True, text=True, check=True
    )
    return {"python": platform.python_version(), **found, **json.loads(below.stdout)}


def warm(path: Path) -> None:
    """Read a file once, so that every case finds it in the page cache."""
    buffer = bytearray(8 * 2**20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
