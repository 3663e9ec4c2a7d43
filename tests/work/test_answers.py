"""Whoever does the work, commands that read stores give the same answers."""

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

import geoembz
from geoembz._cli import main
from geoembz._evaluate.inputs import read_sample
from geoembz._search.scan import _cut
from geoembz._search.scorer import BestK
from geoembz._work.cluster import open_workers
from geoembz._work.executors import ThreadWorkers
from geoembz._work.places import store_for
from geoembz.errors import InvalidConfigError, SchedulerError, StoreError
from geoembz.sources import open_source
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.sources.serving import serving

SHAPE, DIMENSION = (44, 34), 8

type Answer = Callable[..., Any]
"""Runs a command on the stores of a folder, with keywords of who does the work."""


def scene(seed: int) -> NDArray[np.float32]:
    """Return vectors ``(8, 44, 34)`` with a hole; some rows twice, so that there are ties."""
    values = np.random.default_rng(seed).normal(size=(DIMENSION, *SHAPE)).astype(np.float32)
    values[:, 36:40] = values[:, 20:24]
    values[:, :9, :17] = np.nan
    return values


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """Convert a store of two grids, one of two dates with overviews, and one of a table."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("stores")
    cut: dict[str, Any] = {"chunk": 8, "shard": 16}
    for zone in (32, 33):
        make_raster(folder / f"{zone}.tif", scene(zone), crs=f"EPSG:326{zone}")
    sources = [str(folder / f"{zone}.tif") for zone in (32, 33)]
    geoembz.convert(sources, folder / "grids.zarr", recipe="rot-binary", **cut)
    geoembz.convert(sources[0], folder / "dates.zarr", recipe="int8", time="2023", **cut)
    make_raster(folder / "later.tif", scene(34))
    geoembz.append(folder / "dates.zarr", folder / "later.tif", time="2024")
    geoembz.overviews(folder / "dates.zarr", levels=2)
    make_raster(folder / "obs.tif", np.arange(1_496, dtype=np.int16).reshape(1, *SHAPE), nodata=7)
    labels = np.arange(1_496).reshape(1, *SHAPE) % 3 + 1
    make_raster(folder / "labels.tif", labels.astype(np.uint8), nodata=0)
    read = geoembz.ReadOptions(layers={"obs": str(folder / "obs.tif")})
    geoembz.convert(sources[0], folder / "layers.zarr", pca=6, read=read, **cut)
    table = pd.DataFrame({"lon": np.linspace(5, 6, 900), "lat": np.linspace(50, 51, 900)})
    table["embedding"] = list(np.random.default_rng(0).normal(size=(900, DIMENSION)))
    table.to_parquet(folder / "table.parquet")
    geoembz.convert(folder / "table.parquet", folder / "table.zarr", recipe="int8", chunk=64)
    damage(folder)
    return folder


def damage(folder: Path) -> None:
    """Copy stores: shards exchanged and cut, one of a level lost, and rows of another chunk."""
    for name in ("dates", "table"):
        shutil.copytree(folder / f"{name}.zarr", folder / f"damaged-{name}.zarr")
    codes = folder / "damaged-dates.zarr/embedding/c"
    shutil.copy(codes / "0/0/1/1", codes / "1/0/2/0")
    (codes / "0/0/2/1").write_bytes((codes / "0/0/2/1").read_bytes()[:-9])
    level = StoreReader.open(folder / "dates.zarr").attributes.levels[0].path
    (folder / f"damaged-dates.zarr/{level}/embedding/c/0/0/0/0").unlink()
    (folder / "damaged-table.zarr/x/c/0").unlink()


def search_grids(folder: Path, _: Path, **work: Any) -> Any:
    """Bits of many pixels are equally near: their order is that of grids, rows and columns."""
    queries = scene(32)[:, 22, 11:14].T
    found = geoembz.search(folder / "grids.zarr", queries, 40, "hamming", **work)
    return found.to_arrow()


def search_dates(folder: Path, _: Path, **work: Any) -> Any:
    return geoembz.search(folder / "dates.zarr", scene(34)[:, 30, 30], 25, **work).to_arrow()


def search_box(folder: Path, _: Path, **work: Any) -> Any:
    box = (500_100, 5_299_640, 500_300, 5_299_900)
    where: dict[str, Any] = {"bbox": box, "time": "2023", "level": 1}
    query = scene(32)[:, 30, 30]
    return geoembz.search(folder / "dates.zarr", query, 7, **where, **work).to_arrow()


def search_coarse(folder: Path, _: Path, **work: Any) -> Any:
    """Chunks are chosen by an overview, which the cluster reads as well."""
    query = scene(34)[:, 30, 30]
    found = geoembz.search(folder / "dates.zarr", query, 25, coarse=0.3, **work)
    assert found.coarse is not None
    return found.to_arrow(), found.coarse


def search_table(folder: Path, _: Path, **work: Any) -> Any:
    query = scene(34)[:, 30, 30]
    box = (5.2, 50.0, 5.9, 51.0)
    return geoembz.search(folder / "table.zarr", query, 9, bbox=box, **work).to_arrow()


def sample_points(folder: Path, _: Path, **work: Any) -> Any:
    """Points in both zones, on holes, and nowhere; and layers beside the vectors."""
    rng = np.random.default_rng(1)
    lon = np.repeat([9.0, 15.0], 150) + rng.uniform(-0.001, 0.006, 300)
    lonlat = np.column_stack([lon, rng.uniform(47.8485, 47.855, 300)])
    grids = geoembz.sample(folder / "grids.zarr", lonlat, space="codes", **work)
    places = np.column_stack([rng.uniform(499_990, 500_350, 99), rng.uniform(53e5 - 445, 53e5, 99)])
    how: dict[str, Any] = {"crs": "EPSG:32632", "layers": True, "components": 3}
    layers = geoembz.sample(folder / "layers.zarr", places, **how, **work)
    for part in (slice(150), slice(150, 300)):
        assert {"valid", "outside"} <= set(grids.status[part])
    return [plain(one.to_arrow()) for one in (grids, layers)], grids.chunks_read, layers.chunks_read


def sample_polygons(folder: Path, target: Path, **work: Any) -> Any:
    """Add sums of pixels up in one order: not even the last bit differs."""
    left = np.random.default_rng(2).uniform(500_000, 500_300, 20)
    boxes = [shapely.box(x, 53e5 - 300 - x % 150, x + 90, 53e5 - x % 250) for x in left]
    features = write_polygons(target, boxes)
    pools: Any = ("mean", "std", "gem", "max")
    how: dict[str, Any] = {"pool": pools, "time": "2024", "level": 0, "space": "reduced"}
    found = geoembz.sample(folder / "dates.zarr", features, **how, **work)
    assert found.found.all()
    return plain(found.to_arrow()), found.chunks_read


def export_files(folder: Path, target: Path, **work: Any) -> Any:
    """Write a raster, codes with their mask, a patch in another CRS, cells, and a layer."""
    target.mkdir()
    place: dict[str, Any] = {"time": "2024", "level": 0}
    box = (8.999, 47.846, 9.006, 47.855)
    patch: dict[str, Any] = {"crs": "EPSG:4326", "resolution": 0.0002, "bbox": box}
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "all.tif": ("dates", place),
        "bits.tif": ("grids", {"space": "codes", "grid": "utm33n"}),
        "patch.tif": ("grids", patch),
        "cells.tif": ("dates", {**place, "aggregate": 7, "pool": "mean+std"}),
        "cells.parquet": ("dates", {**place, "aggregate": 7, "pool": ("gem", "min")}),
        "layer.tif": ("layers", {"layer": "obs"}),
    }
    for name, (store, how) in asked.items():
        geoembz.export(folder / f"{store}.zarr", target / name, **how, **work)
    return {name: (target / name).read_bytes() for name in asked}


def draw_sample(folder: Path, _: Path, scheduler: str | None = None, workers: int = 1) -> Any:
    """Draw the pixels that `evaluate` judges."""
    source, reader = open_source(folder / "32.tif"), StoreReader.open(folder / "layers.zarr")
    with open_workers(scheduler, workers) as pool:
        sample = read_sample(source, store=reader, after=source, n_samples=300, pool=pool)
    return {name: values.tolist() for name, values in sample.arrays().items()}


def evaluate_store(folder: Path, _: Path, **work: Any) -> Any:
    """Judge a store on the pixels that are drawn, with and without labels."""
    how: dict[str, Any] = {"source": folder / "32.tif", "samples": 120}
    found = [
        geoembz.evaluate(folder / "layers.zarr", **how, **work),
        geoembz.evaluate(
            folder / "layers.zarr", **how, labels=folder / "labels.tif", tasks=["knn"], **work
        ),
    ]
    return [each.to_json() for each in found]


def plain(table: Any) -> list[Any]:
    """Return a table's columns as bytes: NaN is not equal to itself."""
    return [(name, repr(table[name].to_pylist())) for name in table.column_names]


def write_polygons(target: Path, shapes: list[Any]) -> Path:
    """Write polygons in UTM as GeoJSON of the old kind, which names its CRS."""
    features = [
        {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
        for shape in shapes
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    path = target.with_suffix(".geojson")
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    return path


def verify_all(folder: Path, _: Path, **work: Any) -> Any:
    names = ("grids", "damaged-dates", "damaged-table")
    return [geoembz.verify(folder / f"{name}.zarr", **work) for name in names]


def verify_served(folder: Path, _: Path, **work: Any) -> Any:
    """From a server, workers keep each object in memory to decode it."""
    with serving(folder) as url:
        found = geoembz.verify(f"{url}/damaged-dates.zarr", **work)
    return found.shards, found.problems, found.notes


ANSWERS: dict[str, Answer] = {
    "search-grids": search_grids,
    "search-dates": search_dates,
    "search-box": search_box,
    "search-coarse": search_coarse,
    "search-table": search_table,
    "evaluate-sample": draw_sample,
    "export": export_files,
    "sample-points": sample_points,
    "sample-polygons": sample_polygons,
    "verify": verify_all,
}
SLOW_ANSWERS: dict[str, Answer] = {
    **ANSWERS,
    "evaluate": evaluate_store,
    "verify-served": verify_served,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_cluster_answers_as_threads(
    answer: Answer, cluster: Any, stores: Path, tmp_path: Path
) -> None:
    """Two workers reached by TCP, and one thread."""
    first = answer(stores, tmp_path / "threads", workers=1)
    assert answer(stores, tmp_path / "cluster", scheduler=cluster.scheduler_address) == first


@pytest.fixture(scope="module", params=[1, 2])
def processes(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a scheduler and workers that are processes; give its address."""
    from distributed import LocalCluster

    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=request.param, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as running:
        yield running.scheduler_address


@pytest.mark.slow
@pytest.mark.parametrize("answer", SLOW_ANSWERS.values(), ids=SLOW_ANSWERS)
def test_processes_answer_as_threads(
    answer: Answer, processes: str, stores: Path, tmp_path: Path
) -> None:
    """One process, and two, that share nothing with this one; and three threads."""
    first = answer(stores, tmp_path / "threads", workers=1)
    assert answer(stores, tmp_path / "three", workers=3) == first
    assert answer(stores, tmp_path / "processes", scheduler=processes) == first


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_processes_are_started_for_a_command(count: int, stores: Path, tmp_path: Path) -> None:
    first = search_grids(stores, tmp_path, workers=1)
    assert search_grids(stores, tmp_path, scheduler="local", workers=count) == first


@pytest.mark.parametrize("n_blocks", [1, 7, 5_000])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_runs_of_blocks_cover_all_of_them(n_blocks: int, count: int) -> None:
    """Each once, in runs of about one length, at most 32 for each worker."""
    part: Any = type("Part", (), {"blocks": lambda _: iter(range(n_blocks))})()
    runs = _cut([part], ThreadWorkers(count), BestK(1, 10, np.dtype(np.float32)))
    assert [block for run in runs for block in run] == list(range(n_blocks))
    assert len(runs) == min(32 * count, n_blocks)
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_many_queries_are_sent_in_fewer_runs() -> None:
    """What all runs find is in memory at once: 48 MB each here, so five of them."""
    part: Any = type("Part", (), {"blocks": lambda _: iter(range(1_000))})()
    assert len(_cut([part], ThreadWorkers(2), BestK(4_096, 1_000, np.dtype(np.float32)))) == 5


def test_workers_in_other_folders_find_the_store(
    stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is made absolute for them, also that of a reader; threads need neither."""
    monkeypatch.chdir(stores)
    reader = StoreReader.open("dates.zarr", level=1)
    sent = store_for("local", reader)
    assert isinstance(sent, StoreReader)
    assert (sent.url, sent.level) == (str(stores / "dates.zarr"), 1)
    assert store_for("local", sent) is sent
    assert store_for("local", Path("dates.zarr")) == str(stores / "dates.zarr")
    assert store_for(None, reader) is reader


def test_results_name_the_store_as_it_was_given(
    cluster: Any, stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stores)
    address = cluster.scheduler_address
    found = geoembz.search("dates.zarr", scene(34)[:, 30, 30], 2, scheduler=address)
    assert set(found.stores[0]) == {"dates.zarr"}


def test_faults_on_workers_are_told_as_here(cluster: Any, stores: Path, tmp_path: Path) -> None:
    """A damaged shard is named by its store and array, whoever reads it."""
    copy = tmp_path / "damaged.zarr"
    shutil.copytree(stores / "dates.zarr", copy)
    damaged = copy / "embedding/c/0/0/1/1"
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    query = scene(32)[:, 30, 30]
    with pytest.raises(StoreError, match="embedding") as here:
        geoembz.search(copy, query, time="2023")
    with pytest.raises(StoreError, match="embedding") as there:
        geoembz.search(copy, query, time="2023", scheduler=cluster.scheduler_address)
    assert str(there.value) == str(here.value)


def test_tables_are_read_here(stores: Path, tmp_path: Path) -> None:
    """Refused, not ignored."""
    with pytest.raises(InvalidConfigError, match="scheduler 'local': for rasters only"):
        geoembz.export(stores / "table.zarr", tmp_path / "out.parquet", scheduler="local")
    rows = stores / "table.parquet"
    with pytest.raises(InvalidConfigError, match="scheduler 'local': for rasters only"):
        geoembz.evaluate(table=rows, recipes=["int8"], scheduler="local")


def test_damage_is_found_by_workers(cluster: Any, stores: Path) -> None:
    """Each fault by the key of its object; none in stores that are whole."""
    address = cluster.scheduler_address
    found = {
        path.stem: {problem.key for problem in geoembz.verify(path, scheduler=address).problems}
        for path in stores.glob("*.zarr")
    }
    expected = {"embedding/c/0/0/2/1", "embedding/c/1/0/2/0"}
    level = {key for key in found["damaged-dates"] if key.endswith("/embedding/c/0/0/0/0")}
    assert found.pop("damaged-dates") == expected | level
    assert level
    assert found.pop("damaged-table") == {"x/c/0"}
    assert not any(found.values())


def test_a_worker_that_does_not_see_the_store_says_so(
    stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that every object of it is lost."""
    copy = tmp_path / "copy.zarr"
    shutil.copytree(stores / "dates.zarr", copy)
    run_tasks = ThreadWorkers.run

    def elsewhere(self: ThreadWorkers, function: Any, items: Any, **options: Any) -> Any:
        copy.rename(tmp_path / "elsewhere")
        try:
            sent = pickle.loads(pickle.dumps(function))  # noqa: S301 - our own
            return run_tasks(self, sent, items, **options)
        finally:
            (tmp_path / "elsewhere").rename(copy)

    monkeypatch.setattr(ThreadWorkers, "run", elsewhere)
    problems = geoembz.verify(copy).problems
    assert [problem.key for problem in problems] == ["zarr.json"]
    assert "cannot be reached" in problems[0].what


def test_a_lost_scheduler_is_no_fault_of_the_store(
    stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any, **__: Any) -> Any:
        raise SchedulerError("tcp://x:1: the connection to the scheduler was lost")

    monkeypatch.setattr(ThreadWorkers, "run", lose)
    with pytest.raises(SchedulerError, match="was lost"):
        geoembz.verify(stores / "dates.zarr")


def test_the_command_takes_a_scheduler(
    cluster: Any, stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "query.npy", scene(34)[:, 30, 30])
    words = ["search", str(stores / "dates.zarr"), "--vector", str(tmp_path / "query.npy")]
    assert run(*words, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert run(*words, "--json", "--scheduler", cluster.scheduler_address) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert run(*words, "--scheduler", "host") == 2
    assert "scheduler 'host'; expected an address" in capsys.readouterr().err


def run(*words: str) -> object:
    """Run a command, and return its exit code."""
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return left.value.code
