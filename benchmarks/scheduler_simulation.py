"""Hand 10⁵ shards to a real dask scheduler over fake I/O, and resume from as many records.

Scheduler, workers and client are processes of their own, as on a cluster; a fake shard sleeps and
returns what a real one returns. What is measured is what grows with the number of shards: the
client's time and memory, the scheduler's rate, and the journal's. The last rows extrapolate to 1.5
trillion pixels. Run as ``python -m benchmarks.scheduler_simulation``.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import peak_bytes
from geoembz._convert.record import total
from geoembz._convert.shard_task import ShardResult
from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz._work import scheduling
from geoembz._work.cluster import open_cluster
from geoembz.encoding._fidelity import FidelitySums
from geoembz.store.journal import Journal
from geoembz.store.layout import ChunkLayout

LAND_PIXELS = 1_500_000_000_000
SHARD_SIDE = 1024  # px: what `choose_layout` takes for 64 bytes per pixel
CLIENT_LIMIT_S, MEMORY_LIMIT_MB = 20.0, 1_000.0
_SINGLE_SHARDS = 2_000  # enough to see the rate of one shard per task
_WARM_UP = 64
_PROCESSES, _THREADS = 2, 8  # workers, and threads of each: they have nothing to do
_RESULT = ShardResult(SHARD_SIDE**2, FidelitySums(11, 128, 10.9, 10.8, 1.2), 0)


@dataclass(frozen=True)
class FakeShard:
    """Sleeps instead of reading, encoding and writing."""

    seconds: float

    def __call__(self, _: Window) -> ShardResult:
        """Take a shard's time, and nothing else."""
        if self.seconds:
            time.sleep(self.seconds)
        return _RESULT


def main() -> None:
    """Measure, judge and extrapolate."""
    options = parse_options(__doc__, sizes=(100_000,), smoke=(500,))
    rows: list[Row] = []
    for n_shards in options.size:
        with running_cluster(_PROCESSES, _THREADS) as address:
            rows += simulate(address, n_shards)
            rows += one_by_one(address, min(_SINGLE_SHARDS, n_shards))
        rows += resume(n_shards)
        rows += extrapolate({(row.case, row.metric): row.value for row in rows}, n_shards)
    publish("scheduler_simulation", rows, options)


def simulate(address: str, n_shards: int) -> Iterator[Row]:
    """Run fake shards in batches, as a conversion does."""
    shards = list(layout(n_shards).shards())[:n_shards]
    with open_cluster(address, 0) as workers:
        workers.run(FakeShard(0.1), shards[:_WARM_UP])  # every worker imports what it needs
        cpu, wall = time.process_time(), time.perf_counter()
        told: list[int] = []
        results = workers.run(FakeShard(0.0), shards, progress=lambda done, _: told.append(done))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert len(results) == n_shards
    case = f"{n_shards} shards"
    yield Row(case, "tasks (batches)", len(told), "")
    yield Row(case, "wall time", wall, "s")
    yield Row(case, "client time", cpu, "s", Target("<=", CLIENT_LIMIT_S))
    yield Row(case, "client peak_rss", peak_bytes() / 1e6, "MB", Target("<=", MEMORY_LIMIT_MB))
    yield Row(case, "scheduler rate", len(told) / wall, "tasks/s")
    yield Row(case, "shard rate", n_shards / wall, "shards/s")


def one_by_one(address: str, n_shards: int) -> Iterator[Row]:
    """Run one shard per task: what batches save."""
    largest, scheduling.LARGEST_BATCH = scheduling.LARGEST_BATCH, 1
    shards = list(layout(n_shards).shards())[:n_shards]
    try:
        with open_cluster(address, 0) as workers:
            cpu, wall = time.process_time(), time.perf_counter()
            workers.run(FakeShard(0.0), shards)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    finally:
        scheduling.LARGEST_BATCH = largest
    case = f"{n_shards} shards, one per task"
    yield Row(case, "client time", cpu, "s")
    yield Row(case, "scheduler rate", n_shards / wall, "tasks/s")


def resume(n_shards: int) -> Iterator[Row]:
    """Read as many records as a resumed conversion does, add them up, remove them."""
    shards = list(layout(n_shards).shards())[:n_shards]
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(ObjectTree(folder))
        started = time.perf_counter()
        journal.record(shards[0], _RESULT.to_json())
        for shard in shards[1:]:  # as `record` does, without waiting for the disk each time
            name = f"{shard.row}_{shard.col}.json"
            (Path(folder) / ".geoembz" / "shards" / name).write_text(json.dumps(_RESULT.to_json()))
        written = time.perf_counter()
        results = [ShardResult.from_json(entry) for entry in journal.finished().values()]
        read = time.perf_counter()
        pixels, fidelity = total(results)
        summed = time.perf_counter()
        journal.clear()
        cleared = time.perf_counter()
    assert pixels["valid"] == n_shards * SHARD_SIDE**2
    assert fidelity.n == 11 * n_shards
    case = f"{n_shards} records on a local disk"
    yield Row(case, "write, unsynced", written - started, "s")
    yield Row(case, "list and read", read - written, "s")
    yield Row(case, "add up", summed - read, "s")
    yield Row(case, "remove", cleared - summed, "s")
    yield Row(case, "client peak_rss", peak_bytes() / 1e6, "MB", Target("<=", MEMORY_LIMIT_MB))


def extrapolate(measured: dict[tuple[str, str], float], n_shards: int) -> Iterator[Row]:
    """Scale to a year of the Earth's land; every number is proportional to the shards."""
    n_land = LAND_PIXELS / SHARD_SIDE**2
    scale = n_land / n_shards
    case = f"{n_shards} shards"
    yield Row("1.5e12 pixels", "shards", n_land, "")
    yield Row("1.5e12 pixels", "client time", measured[case, "client time"] * scale, "s")
    yield Row("1.5e12 pixels", "shortest possible", measured[case, "wall time"] * scale / 60, "min")
    for seconds in (1, 10):
        busy = measured[case, "shard rate"] * seconds
        yield Row("one scheduler", f"threads kept busy, {seconds} s a shard", busy, "")


def layout(n_shards: int) -> ChunkLayout:
    """Return a raster of at least so many shards."""
    columns = int(n_shards**0.5) or 1
    rows = -(-n_shards // columns)
    shape = (rows * SHARD_SIDE, columns * SHARD_SIDE)
    return ChunkLayout(shape, (128, 128), (SHARD_SIDE, SHARD_SIDE))


@contextmanager
def running_cluster(n_processes: int, n_threads: int) -> Iterator[str]:
    """Run a scheduler and workers, each a process of its own; yield the address."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "scheduler.json"
        common = ["--scheduler-file", str(place)]
        worker = ["worker", *common, "--nthreads", str(n_threads), "--no-nanny", "--no-dashboard"]
        commands = [["scheduler", *common, "--port", "0", "--no-dashboard"]]
        processes: list[subprocess.Popen[Any]] = []
        quiet = subprocess.DEVNULL
        try:
            for words in commands + [worker] * n_processes:
                command = [sys.executable, "-m", "dask", *words]
                processes.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))
                while not place.exists():
                    assert processes[0].poll() is None, "the scheduler did not start"
                    time.sleep(0.05)
            yield json.loads(place.read_text())["address"]
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
