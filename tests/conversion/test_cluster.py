"""Conversions on a dask cluster: the same bytes, few messages, one clear error."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st

import geoembz
from geoembz._objects.tree import ObjectTree
from geoembz._work import cluster as cluster_module
from geoembz._work import handing
from geoembz._work.cluster import ClusterWorkers, open_cluster
from geoembz._work.places import make_absolute
from geoembz._work.scheduling import LARGEST_BATCH, batch_size, batches_ahead
from geoembz.errors import InvalidConfigError, SchedulerError, SourceError, StoreError
from geoembz.store.lock import DestinationLock
from tests.conftest import N_WORKERS
from tests.conversion.logged import convert_logged
from tests.trees import objects


@pytest.fixture
def workers(cluster: Any) -> Iterator[ClusterWorkers]:
    with open_cluster(cluster.scheduler_address, 0) as opened:
        yield opened


def double(number: int) -> int:
    return 2 * number


def double_under(lock: Any, number: int) -> int:
    with lock:
        return double(number)


class Fails:
    """Fails at one number and remembers what began after that."""

    begun: list[int] = []  # noqa: RUF012 - shared by all copies, which live in this process

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, number: int) -> int:
        self.begun.append(number)
        if number == self.at:
            raise SourceError(f"number {number}: damaged")
        return number


def lacks_a_package(number: int) -> int:
    raise ModuleNotFoundError("No module named 'geoembz_of_tomorrow'")


@given(n_items=st.integers(0, 20_000), n_threads=st.integers(0, 400))
def test_batches_cover_everything_and_shrink(n_items: int, n_threads: int) -> None:
    """Sizes add up, never grow, and leave at least a batch per thread for the end."""
    sizes, left = [], n_items
    while left > 0:
        sizes.append(batch_size(left, n_threads))
        left -= sizes[-1]
    assert left == 0
    assert sizes == sorted(sizes, reverse=True)
    assert all(1 <= size <= LARGEST_BATCH for size in sizes)
    if n_items >= n_threads:
        assert len(sizes) >= min(n_items, n_threads)


def test_results_come_in_order_and_progress_is_told(workers: ClusterWorkers) -> None:
    """However the batches end, results follow the items; every item is counted once."""
    told: list[tuple[int, int]] = []
    results = workers.run(double, range(500), progress=lambda *counts: told.append(counts))
    assert results == [2 * number for number in range(500)]
    assert told[-1] == (500, 500)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) <= 500 // 10  # batches, not single items
    assert workers.run(double, []) == []


def test_a_bounded_number_of_batches_is_handed_out(
    workers: ClusterWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler never holds more than a few batches per thread."""
    most = 0
    submit = handing.Run._submit

    def counted(run: Any, *arguments: Any) -> Any:
        nonlocal most
        most = max(most, len(run.handed) + 1)
        return submit(run, *arguments)

    monkeypatch.setattr(handing.Run, "_submit", counted)
    workers.run(double, range(2_000))
    assert 1 < most <= batches_ahead(N_WORKERS)


def test_the_first_failure_stops_the_rest(workers: ClusterWorkers) -> None:
    """Its error is raised as it was; when it is raised, nothing runs any more."""
    Fails.begun.clear()
    with pytest.raises(SourceError, match="number 40: damaged"):
        workers.run(Fails(40), range(20_000))
    begun = len(Fails.begun)
    assert begun < 10_000
    threading.Event().wait(0.3)
    assert len(Fails.begun) == begun
    assert workers.run(double, [1, 2]) == [2, 4]


def test_results_come_one_by_one_and_few_ahead(workers: ClusterWorkers) -> None:
    """Whoever takes them slowly has no more than so many begun."""
    begun = Fails.begun
    begun.clear()
    results = workers.each(Fails(-1), iter(range(300)), most=7)
    for number in range(300):
        assert next(results) == number
        assert len(begun) <= number + 1 + 7
    assert list(results) == []
    assert sorted(begun) == list(range(300))
    assert list(workers.each(double, [], most=1)) == []
    assert list(workers.each(double, range(9), most=1)) == [2 * number for number in range(9)]


def test_whoever_takes_no_more_stops_the_rest(workers: ClusterWorkers) -> None:
    """As does a failure: what waits is not begun."""
    Fails.begun.clear()
    results = workers.each(Fails(-1), range(20_000), most=100)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    threading.Event().wait(0.3)
    assert len(Fails.begun) <= 101
    with pytest.raises(SourceError, match="number 40: damaged"):
        list(workers.each(Fails(40), range(20_000), most=100))
    assert workers.run(double, [1, 2]) == [2, 4]


def test_what_cannot_be_pickled_is_refused(workers: ClusterWorkers) -> None:
    """A lock cannot travel."""
    with pytest.raises(InvalidConfigError, match="cannot be sent"):
        workers.run(partial(double_under, threading.Lock()), [1])


def test_another_version_on_a_worker_is_refused(
    workers: ClusterWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One store is written by one version."""
    monkeypatch.setattr(handing, "__version__", "0.0.0")
    with pytest.raises(SchedulerError, match="expected one version"):
        workers.run(double, [1])


def test_a_missing_package_on_a_worker_is_named(workers: ClusterWorkers) -> None:
    """The message says what is missing where."""
    with pytest.raises(SchedulerError, match=r"geoembz_of_tomorrow.*every worker"):
        workers.run(lacks_a_package, [1])


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_cluster_writes_the_same_store(
    kind: str, cluster: Any, raster_with_holes: Path, tmp_path: Path
) -> None:
    """Bit for bit what threads write; every shard is read once."""
    log = tmp_path / "log"
    options: dict[str, Any] = {"quantizer": kind}
    convert_logged(raster_with_holes, tmp_path / "threads", tmp_path / "other", **options)
    address = cluster.scheduler_address
    convert_logged(raster_with_holes, tmp_path / "out", log, scheduler=address, **options)
    assert objects(tmp_path / "out") == objects(tmp_path / "threads")
    assert sorted(log.read_text().split()) == sorted((tmp_path / "other").read_text().split())


def test_several_grids_on_one_cluster(cluster: Any, make_raster: Any, tmp_path: Path) -> None:
    """Zones are converted one after the other by the same workers."""
    import numpy as np

    values = np.random.default_rng(0).normal(size=(2, 6, 40, 40)).astype(np.float32)
    for zone, part in zip((32, 33), values, strict=True):
        make_raster(tmp_path / f"{zone}.tif", part, crs=f"EPSG:326{zone}", blocksize=16)
    inputs = [tmp_path / "32.tif", tmp_path / "33.tif"]
    geoembz.convert(inputs, tmp_path / "threads", pca=3, chunk=8, shard=16)
    geoembz.convert(
        inputs, tmp_path / "out", pca=3, chunk=8, shard=16, scheduler=cluster.scheduler_address
    )
    assert objects(tmp_path / "out") == objects(tmp_path / "threads")


@pytest.mark.parametrize("time", [None, "2020"])
def test_a_cluster_adds_the_same_overviews(
    time: str | None, cluster: Any, raster_with_holes: Path, tmp_path: Path
) -> None:
    for name in ("threads", "out"):
        geoembz.convert(raster_with_holes, tmp_path / name, pca=3, chunk=8, shard=16, time=time)
    summary = geoembz.overviews(tmp_path / "threads", levels=3)
    found = geoembz.overviews(tmp_path / "out", levels=3, scheduler=cluster.scheduler_address)
    assert objects(tmp_path / "out") == objects(tmp_path / "threads")
    assert found.levels == summary.levels


def test_a_worker_that_sees_another_disk_is_found_out(
    workers: ClusterWorkers, tmp_path: Path
) -> None:
    """Its fence finds no lock: better an error than shards on the wrong disk."""
    tree = ObjectTree(tmp_path)
    with DestinationLock(tree) as lock:
        tree.remove(".geoembz")
        with pytest.raises(StoreError, match="shared file system"):
            workers.run(_Checks(lock.fence), [1])


class _Checks:
    def __init__(self, fence: Any) -> None:
        self.fence = fence

    def __call__(self, _: int) -> None:
        self.fence.check()


def test_a_scheduler_that_does_not_answer(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said within seconds, before anything is written."""
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.5)
    with pytest.raises(SchedulerError, match="no scheduler answers"):
        geoembz.convert(raster, tmp_path / "out", pca=3, scheduler="tcp://127.0.0.1:9")
    assert not (tmp_path / "out").exists()


def test_a_scheduler_without_workers(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waited for, then said."""
    monkeypatch.setattr(cluster_module, "WORKER_SECONDS", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0") as empty,  # type: ignore[no-untyped-call]
        pytest.raises(SchedulerError, match="no worker"),
    ):
        geoembz.convert(raster, tmp_path / "out", pca=3, scheduler=empty.scheduler_address)


@pytest.mark.parametrize("text", ["", "host:8786", "tcp://", "tcp://host", "http://x:1", "Local"])
def test_what_names_no_scheduler_is_refused(text: str, raster: Path, tmp_path: Path) -> None:
    """Before anything is opened."""
    with pytest.raises(InvalidConfigError, match="expected an address"):
        geoembz.convert(raster, tmp_path / "out", scheduler=text)


def test_tables_take_no_scheduler(tmp_path: Path) -> None:
    """A table is converted by threads; saying otherwise is an error, not ignored."""
    (tmp_path / "rows.csv").write_text("lat,lon,X_0,X_1\n" + "1,2,3,4\n" * 9)
    with pytest.raises(InvalidConfigError, match="scheduler: for rasters only"):
        geoembz.convert(tmp_path / "rows.csv", tmp_path / "out", scheduler="local")


def test_paths_mean_the_same_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, folders and patterns get their folder; URLs and GDAL's names stay."""
    monkeypatch.chdir(tmp_path)
    assert make_absolute(["a.tif", Path("*.tif")]) == [
        str(tmp_path / "a.tif"),
        str(tmp_path / "*.tif"),
    ]
    for name in ("s3://b/x", "/vsis3/b/x", 'ZARR:"absent.zarr":/embedding'):
        assert make_absolute(name) == name


def test_threads_need_no_distributed(raster: Path, tmp_path: Path) -> None:
    """The local path does not pay for the cluster's imports."""
    program = (
        "import sys, geoembz; geoembz.convert(sys.argv[1], sys.argv[2], pca=3); "
        "sys.exit('distributed' in sys.modules)"
    )
    words = [sys.executable, "-c", program, str(raster), str(tmp_path / "out")]
    assert subprocess.run(words, check=False).returncode == 0
