"""Killed while a store is put in its place or its journal removed: the same command ends it."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import geoembz
from geoembz._publish.plan import check_source
from geoembz._verify import verify
from geoembz.errors import DestinationExistsError, StoreError
from tests.conversion.stopped import OPTIONS
from tests.conversion.test_takeover import run
from tests.disturbances.process import bounded
from tests.trees import names, objects

ROUNDS = [
    ("new", "place", 1),
    ("new", "forget", 1),
    ("overwrite", "fallback", 2),
    ("overwrite", "forget", 1),
    ("append", "clear", 1),
    *(
        pytest.param(kind, place, number, marks=bounded(order))
        for order, (kind, place, number) in enumerate(
            [
                ("new", "complete", 1),
                ("new", "rename", 1),
                ("new", "rename", 3),
                ("new", "clear", 1),
                ("new", "unlink", 1),
                ("new", "unlink", 20),
                ("new", "release", 1),
                ("overwrite", "complete", 1),
                ("overwrite", "swap", 1),
                ("overwrite", "fallback", 1),
                ("overwrite", "fallback", 3),
                ("overwrite", "clear", 1),
                ("overwrite", "unlink", 3),
                ("overwrite", "unlink", 60),
                ("overwrite", "release", 1),
                ("append", "complete", 1),
                ("append", "place", 1),
                ("append", "rename", 1),
                ("append", "rename", 2),
                ("append", "unlink", 3),
                ("append", "release", 1),
                ("append", "forget", 1),
                ("replace", "place", 1),
                ("replace", "rename", 1),
                ("replace", "rename", 2),
                ("replace", "rename", 3),
                ("replace", "forget", 1),
                ("table", "place", 1),
                ("table", "clear", 1),
                ("table", "forget", 1),
            ]
        )
    ),
]

KINDS: dict[str, dict[str, Any]] = {
    "new": {},
    "overwrite": {"overwrite": True},
    "append": {"appends": True, "time": "2021"},
    "replace": {"appends": True, "time": "2020", "replace_date": True},
    "table": {"shard": 32, "chunk": 16},
}


@pytest.fixture
def prepare(
    raster: Path, raster_with_holes: Path, tmp_path: Path
) -> Callable[[str, Path], tuple[Path, dict[str, Any]]]:
    """Return what makes the destination of a kind, and gives its source and options."""

    def prepared(kind: str, store: Path) -> tuple[Path, dict[str, Any]]:
        if kind == "overwrite":
            geoembz.convert(raster_with_holes, store, pca=3)
        if kind in ("append", "replace"):
            geoembz.convert(raster_with_holes, store, time="2020", **OPTIONS)
        if kind != "table":
            return raster, KINDS[kind]
        rng = np.random.default_rng(0)
        columns = {f"X_{index}": rng.normal(size=100).astype(np.float32) for index in range(8)}
        places = {"lat": rng.uniform(40, 41, 100), "lon": rng.uniform(8, 9, 100)}
        texts = {"name": [f"chip {number}" for number in range(100)]}
        pq.write_table(pa.table(texts | places | columns), tmp_path / "rows.parquet")
        return tmp_path / "rows.parquet", KINDS[kind]

    return prepared


@pytest.mark.parametrize(("kind", "place", "number"), ROUNDS)
def test_killed_while_clearing_up(
    kind: str,
    place: str,
    number: int,
    prepare: Callable[[str, Path], tuple[Path, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    """Exit 0, the bytes of an undisturbed command, and nothing beside or inside of them."""
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    store, fresh = tmp_path / "x" / "out", tmp_path / "y" / "out"
    for path in (store, fresh):
        source, options = prepare(kind, path)
    assert run("never", 0, source, fresh, **options) == 0, (tmp_path / "y/errors").read_text()
    assert run(place, number, source, store, **options) == -signal.SIGKILL
    assert run("never", 0, source, store, **options) == 0, (tmp_path / "x/errors").read_text()
    assert objects(store) == objects(fresh)
    assert names(store) == names(fresh)
    assert names(tmp_path / "x") == ["errors", "out"]
    assert verify(str(store)).problems == ()


def test_whoever_comes_next_sweeps_up(raster: Path, tmp_path: Path) -> None:
    """Another command finds a complete store, and leaves no trace of the one that was killed."""
    store = tmp_path / "out"
    assert run("forget", 1, raster, store) == -signal.SIGKILL
    assert ".geoembz" in names(store)
    with pytest.raises(DestinationExistsError, match="holds a store already"):
        geoembz.convert(raster, store, pca=2)
    assert ".geoembz" not in names(store)


def test_journals_are_not_published(raster: Path, tmp_path: Path) -> None:
    """Wherever they lie: of the store itself, or of one below it."""
    nothing: dict[str, bytes] = {}
    for key in (".geoembz/plan.json", "utm31n/.geoembz/shards/0_0.json"):
        with pytest.raises(StoreError, match="is not complete"):
            check_source(["zarr.json", "utm31n/zarr.json", key], "x.zarr", nothing.get)
    keys = ("zarr.json", "utm31n/zarr.json")
    assert check_source([*keys, "utm31n/.geoembz/complete.json"], "x.zarr", nothing.get) == keys


def test_a_refused_date_leaves_nothing(raster: Path, tmp_path: Path) -> None:
    """An append that is refused touches nothing, be it for its date or its pixels."""
    store = tmp_path / "out"
    geoembz.convert(raster, store, time="2020", **OPTIONS)
    before = names(store)
    with pytest.raises(geoembz.GeoembzError):
        geoembz.append(store, raster, time="2020")
    assert names(store) == before


def test_a_file_of_the_user_s_survives(raster: Path, tmp_path: Path) -> None:
    """Also where a store is replaced: what no Zarr store has goes with the place."""
    store = tmp_path / "out"
    geoembz.convert(raster, store, pca=3)
    (store / "README.txt").write_text("mine")
    geoembz.convert(raster, store, overwrite=True, **OPTIONS)
    assert (store / "README.txt").read_text() == "mine"
    geoembz.convert(raster, tmp_path / "fresh", **OPTIONS)
    assert objects(store) == {**objects(tmp_path / "fresh"), "README.txt": b"mine"}


def test_dates_of_several_grids_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between two stores of a root, an append goes on with the second."""
    from tests.conversion.test_grids import write_zones

    paths = write_zones(tmp_path / "in")
    for name in ("out", "fresh"):
        geoembz.convert(paths, tmp_path / name, pca=4, time="2020")
    geoembz.append(tmp_path / "fresh", paths, time="2021")
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(sys.modules["geoembz._convert.append"], "write_root", fail)
        with pytest.raises(KeyboardInterrupt):
            geoembz.append(tmp_path / "out", paths, time="2021")
    geoembz.append(tmp_path / "out", paths, time="2021")
    assert objects(tmp_path / "out") == objects(tmp_path / "fresh")


def test_several_grids_are_overwritten_after_an_abandoned_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other flags than the first time, and with the same."""
    from tests.conversion.test_grids import write_zones

    paths = write_zones(tmp_path / "in")
    geoembz.convert(paths, tmp_path / "out", pca=4)
    for pca in (3, 2, 2):
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr("geoembz._convert.raster_conversion.write_root", fail)
            with pytest.raises(KeyboardInterrupt):
                geoembz.convert(paths, tmp_path / "out", pca=pca, overwrite=True)
    geoembz.convert(paths, tmp_path / "out", pca=5, overwrite=True)
    geoembz.convert(paths, tmp_path / "fresh", pca=5)
    assert objects(tmp_path / "out") == objects(tmp_path / "fresh")
    assert names(tmp_path) == ["fresh", "in", "out"]


@pytest.mark.parametrize("kind", ["new", "overwrite", "append", "table"])
def test_half_written_files_are_swept(
    kind: str, prepare: Callable[[str, Path], tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    """A command that is killed while it writes leaves parts of files; the same one leaves none."""
    store = tmp_path / "x" / "out"
    store.parent.mkdir()
    source, options = prepare(kind, store)
    assert run("complete", 1, source, store, **options) == -signal.SIGKILL
    places = [*store.glob(".geoembz/*"), *store.parent.glob(".out.geoembz-*")]
    built = {path.parent for place in places for path in place.rglob("*") if path.is_file()}
    assert built
    for folder in {*built, store / ".geoembz"}:
        (folder / "lock.json.0123.partial").write_text("half")
    assert run("never", 0, source, store, **options) == 0, (tmp_path / "x/errors").read_text()
    assert list(store.rglob("*.partial")) == []
    assert names(store.parent) == ["errors", "out"]
