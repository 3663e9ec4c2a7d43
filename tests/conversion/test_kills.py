"""Killed with -9, or out of room: the same command finishes, and does only what was missing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr

import geoembz
from geoembz._work.cluster import open_cluster
from geoembz.errors import SchedulerError, StoreError
from tests.conftest import REPOSITORY
from tests.conversion.logged import SHARDS, convert_logged
from tests.forking import Forked
from tests.trees import journal_of, objects

pytestmark = pytest.mark.slow

PAUSE_S = 0.05
PATIENCE_S = 120.0


@pytest.fixture
def whole(raster_with_holes: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the objects of a conversion that nothing interrupted."""
    convert_logged(raster_with_holes, tmp_path / "whole", tmp_path / "whole.log")
    return objects(tmp_path / "whole")


class Conversion:
    """A conversion in a process of its own."""

    def __init__(self, raster: Path, folder: Path, scheduler: str | None = None) -> None:
        self.store, self.log, self.errors = folder / "out", folder / "log", folder / "errors"
        words = [raster, self.store, self.log, PAUSE_S, *([scheduler] if scheduler else [])]
        with self.errors.open("ab") as errors:
            command = ["-m", "tests.conversion.logged", *map(str, words)]
            self.process = Forked(command, stderr=errors)

    def wait_for(self, n_shards: int) -> None:
        """Return once so many shards are finished, or the process has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and len(self.finished()) < n_shards:
            assert time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.01)

    def finished(self) -> set[str]:
        """Return the shards that the journal has."""
        return {path.stem for path in self.store.glob(".geoembz/*/.geoembz/shards/*.json")}

    def workers(self) -> list[psutil.Process]:
        """Return the processes that run shards."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def kill(self) -> None:
        """Kill the client, as an operator would: -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def reads(log: Path) -> list[str]:
    """Return which shards were read, one entry per read."""
    return log.read_text().split() if log.exists() else []


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Return once all are gone; they notice by themselves."""
    gone, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    assert not alive, f"{len(gone)} ended, {alive} did not"


@contextmanager
def running_cluster(folder: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """Run a scheduler and two workers as an operator does: a process each."""
    place = folder / "scheduler.json"
    file = ["--scheduler-file", str(place)]
    commands = [["scheduler", *file, "--port", "0", "--dashboard-address", ":0"]]
    commands += [["worker", *file, "--nthreads", "1", "--no-nanny", "--no-dashboard"]] * 2
    processes = []
    try:
        for name, *options in commands:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", name, *options],
                    cwd=REPOSITORY,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            while not place.exists():
                assert processes[0].poll() is None
                time.sleep(0.05)
        yield json.loads(place.read_text())["address"], processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("scheduler", [None, "local"], ids=["threads", "processes"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_the_client_is_killed(
    scheduler: str | None,
    seed: int,
    raster_with_holes: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """Its workers end with it; the rest, and nothing else, is done by the same command."""
    point = int(np.random.default_rng(seed).integers(1, SHARDS - 4))
    first = Conversion(raster_with_holes, tmp_path, scheduler)
    first.wait_for(point)
    workers = first.workers()
    assert len(workers) == (2 if scheduler else 0)
    first.kill()
    wait_until_gone(workers)
    done = first.finished()
    assert point <= len(done) < SHARDS
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(first.store)
    first.log.unlink()
    again = Conversion(raster_with_holes, tmp_path, scheduler)
    assert again.process.wait(PATIENCE_S) == 0, again.errors.read_text()
    assert objects(again.store) == whole
    assert done.isdisjoint(reads(again.log))
    assert len(reads(again.log)) == len(set(reads(again.log)))
    assert len(done) + len(reads(again.log)) == len(reads(tmp_path / "whole.log"))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))]
)
def test_a_worker_is_killed(
    seed: int, raster_with_holes: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """One of two processes dies midway; the conversion goes on and nothing finished is redone."""
    rng = np.random.default_rng(100 + seed)
    running = Conversion(raster_with_holes, tmp_path, "local")
    running.wait_for(int(rng.integers(1, SHARDS // 2)))
    victims = running.workers()
    assert len(victims) == 2
    os.kill(victims[int(rng.integers(2))].pid, signal.SIGKILL)
    done = running.finished()
    logged = reads(running.log)
    assert running.process.wait(PATIENCE_S) == 0, running.errors.read_text()
    assert objects(running.store) == whole
    assert done.isdisjoint(reads(running.log)[len(logged) + 1 :])
    assert len(reads(running.log)) <= len(reads(tmp_path / "whole.log")) + 1


def test_the_scheduler_is_killed(
    raster_with_holes: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """The client says so in one message; the same command with a new scheduler finishes."""
    with running_cluster(tmp_path) as (address, processes):
        client = Conversion(raster_with_holes, tmp_path, address)
        client.wait_for(5)
        os.kill(processes[0].pid, signal.SIGKILL)
        assert client.process.wait(PATIENCE_S) == 1
    assert SchedulerError.__name__ in client.errors.read_text()
    assert "run the same command again" in client.errors.read_text()
    convert_logged(raster_with_holes, client.store, client.log)
    assert objects(client.store) == whole


def test_a_full_disk(
    raster_with_holes: Path, whole: dict[str, bytes], small_disk: "SmallDisk", tmp_path: Path
) -> None:
    """At several sizes: one message, no store; with more room the same command finishes."""
    needed = sum(map(len, whole.values()))
    for share in (0.2, 0.5, 0.8):
        store, log = small_disk.path / "out", tmp_path / "log"
        small_disk.resize(int(needed * share) + 40_000)
        with pytest.raises(StoreError, match=r"No space left on device.*run the same command"):
            convert_logged(raster_with_holes, store, log)
        done = {f"{row}_{col}" for row, col in journal_of(store).finished()}
        with pytest.raises((StoreError, FileNotFoundError)):
            zarr.open_group(store, mode="r")
        log.unlink(missing_ok=True)
        small_disk.resize(64 * 2**20)
        convert_logged(raster_with_holes, store, log)
        assert objects(store) == whole
        assert done.isdisjoint(reads(log))
        shutil.rmtree(store)


class SmallDisk:
    """A file system in memory whose size can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self) -> bool:
        """Mount it; return whether that is permitted."""
        self.path.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(self.path)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def resize(self, size_bytes: int) -> None:
        """Set its size."""
        words = ["mount", "-o", f"remount,size={size_bytes}", str(self.path)]
        subprocess.run(words, check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount a small file system; skip where that is not permitted."""
    disk = SmallDisk(tmp_path / "disk")
    if shutil.which("mount") is None or not disk.mount():
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk.path)], check=True)


def end_at_three(number: int) -> int:
    """End this worker, as the kernel does when memory runs out."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_work_that_kills_every_worker() -> None:
    """Dask tries it elsewhere a few times; then one error says what to look at."""
    with (
        open_cluster("local", 2) as workers,
        pytest.raises(SchedulerError, match=r"4 workers died.*memory.*run the same command"),
    ):
        workers.run(end_at_three, range(4))
