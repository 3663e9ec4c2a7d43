"""Four processes write one store and are killed at random: its objects are those of `convert`."""

import shutil
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Encoding
from geoembz.errors import StoreError
from tests.conftest import DEFAULT_TRANSFORM
from tests.conversion.test_kills import SmallDisk, small_disk
from tests.disturbances.process import PATIENCE_S, rounds
from tests.forking import Forked
from tests.trees import names, objects
from tests.write.conftest import SIZES, Begin, fill, shards_of
from tests.write.job import FINISH, FINISHED, WRITER

__all__ = ["small_disk"]

WORKERS = 4


class Job:
    """An owner and four workers, started anew as often as they are killed."""

    def __init__(self, raster: Path, folder: Path, seed: int) -> None:
        self.raster, self.folder, self.store = raster, folder, folder / "out"
        self.rng = np.random.default_rng(seed)
        self.errors = folder / "errors"
        self.workers: list[Forked] = []
        self.seeds = iter(range(1000 * seed, 1000 * seed + 1000))

    def begin(self) -> bool:
        """Start the owner; return whether there is anything left to do."""
        for name in (WRITER, FINISH):
            (self.folder / name).unlink(missing_ok=True)
        self.owner = self._start("own", self.raster, self.folder / "basis", self.store, self.folder)
        deadline = time.monotonic() + PATIENCE_S
        while not (self.folder / WRITER).exists():
            if self.owner.poll() == FINISHED:
                return False
            assert self.owner.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self.workers = [self.worker(number) for number in range(WORKERS)]
        return True

    def worker(self, number: int) -> Forked:
        """Start a worker: of its share it does what is missing."""
        words = (self.raster, self.folder, number, WORKERS, 7, next(self.seeds))
        return self._start("work", *words)

    def finish(self) -> int | None:
        """Let the owner finish, or be killed meanwhile; return its exit code."""
        (self.folder / FINISH).touch()
        if self.rng.random() < 0.5:
            time.sleep(float(self.rng.uniform(0, 0.2)))
            self.owner.kill()
        return self.owner.wait(PATIENCE_S)

    def kill_one(self) -> None:
        """Kill a worker and start another one in its place."""
        number = int(self.rng.integers(WORKERS))
        self.workers[number].kill()
        self.workers[number].wait()
        self.workers[number] = self.worker(number)

    def kill_all(self) -> None:
        """Kill the owner first: its workers meet a stale lock, and a build that is moved."""
        self.owner.kill()
        for process in self.workers:
            process.kill()
        for process in (self.owner, *self.workers):
            process.wait()

    def _start(self, *words: object) -> Forked:
        with self.errors.open("ab") as errors:
            return Forked(["-m", "tests.write.job", *map(str, words)], stderr=errors)


@rounds(few=20, many=100)
def test_killed_at_random(
    n_rounds: int, raster_with_holes: Path, encoding: Encoding, tmp_path: Path
) -> None:
    """Workers, or all at once, or the owner as it finishes."""
    encoding.save(tmp_path / "basis")
    job, killed = Job(raster_with_holes, tmp_path, seed=n_rounds), 0
    while job.begin():
        while killed < n_rounds and any(worker.poll() is None for worker in job.workers):
            time.sleep(float(job.rng.uniform(0, 0.3)))
            killed += 1
            if job.rng.random() < 0.5:
                job.kill_all()
                break
            job.kill_one()
        else:
            codes = [worker.wait(PATIENCE_S) for worker in job.workers]
            assert codes == [0] * WORKERS, job.errors.read_text()
            if killed < n_rounds:
                killed += 1
                job.finish()
                continue
            (tmp_path / FINISH).touch()
            assert job.owner.wait(PATIENCE_S) == 0, job.errors.read_text()
            break
    expected = tmp_path / "converted"
    geoembz.convert(raster_with_holes, expected, basis=encoding, overviews=True, **SIZES)
    assert shards_of(objects(job.store)) == shards_of(objects(expected))
    assert geoembz.verify(job.store).problems == ()
    assert ".geoembz" not in names(job.store)


@pytest.mark.slow
def test_a_full_disk(
    small_disk: SmallDisk,
    begin: Begin,
    vectors: NDArray[np.float32],
    converted: dict[str, bytes],
) -> None:
    """At several sizes: one window fails, or the end; with more room the job goes on."""
    store = small_disk.path / "out"
    for share in (0.4, 0.7, 1.0, 1.3):
        small_disk.resize(int(sum(map(len, converted.values())) * share) + 40_000)
        with begin(store) as writer, pytest.raises(StoreError, match="No space left on device"):
            write_and_finish(writer, vectors, round(10 * share))
        small_disk.resize(64 * 2**20)
        with begin(store) as writer:
            write_and_finish(writer, vectors, round(10 * share))
        assert shards_of(objects(store)) == shards_of(converted)
        shutil.rmtree(store)


def write_and_finish(writer: geoembz.Writer, vectors: NDArray[np.float32], seed: int) -> None:
    """Do all that is to do."""
    fill(writer, vectors, 12, seed=seed)
    writer.finish()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_windows(tmp_path: Path) -> None:
    """Two thousand windows take what two hundred do, and a shard's worth besides."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(32, 32, 32)).astype(np.float32)
    encoding = geoembz.fit(values.reshape(32, -1).T, "pca8-int8")
    grid = geoembz.Grid("EPSG:32632", "EPSG:32632", DEFAULT_TRANSFORM, (1472, 1472))
    resident = []
    with geoembz.create(tmp_path / "out", grid, encoding, chunk=128, shard=256) as writer:
        for number, window in enumerate(writer.missing(32)):
            writer.write(window, values, axis=0)
            if number in {200, 2000}:
                resident.append(psutil.Process().memory_info().rss)
    assert number == 46 * 46 - 1
    assert resident[1] - resident[0] < 16 * 2**20
