"""Updates that are killed, or meet a full disk: readable, and ended by the same command."""

import errno
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._convert.overviews import overviews
from geoembz._convert.update_grid import ENDED
from geoembz._objects import files
from geoembz._objects.tree import ObjectTree
from geoembz._verify import verify
from geoembz.errors import GeoembzError, InvalidConfigError, StoreError
from geoembz.store.journal import FOLDER
from tests import forking
from tests.trees import objects
from tests.update.conftest import Landscape, check_states, vectors

pytestmark = pytest.mark.filterwarnings("ignore:.*the basis captures:geoembz.errors.BasisWarning")


def prepare(land: Landscape, form: str, folder: Path) -> tuple[Path, str, str]:
    """Return a raster of several tiles, a store without them, and one with them."""
    raster = land.write("middle", land.values[:, 12:40, 12:40], 12, 12)
    store = land.first(folder / "out.zarr", form)
    shutil.copytree(store, folder / "undisturbed.zarr")
    geoembz.update(folder / "undisturbed.zarr", raster)
    return raster, store, str(folder / "undisturbed.zarr")


def kill(raster: Path, store: str, place: str, number: int) -> int:
    """Kill an update at a call; return its exit code."""
    words = ["-m", "tests.conversion.stopped", "SIGKILL", place, str(number), str(raster), store]
    return forking.run([*words, "updates=true"])


CALLS = {"shard": 9, "record": 9, "replace": 100, "complete": 1, "root": 1, "object": 18}
"""How often an update comes by these places, or less."""

_RANDOM = np.random.default_rng(18)
KILLS = [
    (place, int(_RANDOM.integers(1, CALLS[place] + 1)))
    for place in [*CALLS, *_RANDOM.choice([*CALLS], 8)]
]
KILLS += [("replace", number) for number in (61, 75, 97, 92, 120, 140)]
"""The last six while shards take their places."""


@pytest.mark.slow
@pytest.mark.parametrize(("place", "number"), KILLS)
def test_killed_anywhere(place: str, number: int, land: Landscape, tmp_path: Path) -> None:
    """Old or new pixels until then; the same command makes the store of an undisturbed one."""
    form = "int4" if number % 2 else "overviews"
    raster, store, undisturbed = prepare(land, form, tmp_path)
    before, after = vectors(store), vectors(undisturbed)
    assert kill(raster, store, place, number) == -signal.SIGKILL
    check_states(vectors(store), before, after)
    geoembz.update(store, raster)
    assert objects(Path(store)) == objects(Path(undisturbed))
    assert verify(store).problems == ()


def test_ended_while_shards_take_their_places(
    land: Landscape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left takes its place when the command is repeated."""
    raster, store, undisturbed = prepare(land, "int4", tmp_path)
    before, after = vectors(store), vectors(undisturbed)
    real, placed = Path.replace, list[Path]()

    def replace(path: Path, target: Path) -> Path:
        if "/c/" in str(target) and FOLDER not in str(target):
            placed.append(target)
            if len(placed) > 5:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(StoreError, match="Input/output error"):
        geoembz.update(store, raster)
    monkeypatch.undo()
    check_states(vectors(store), before, after)
    assert ".geoembz" in {problem.key for problem in verify(store).problems}
    assert geoembz.update(store, raster).notes == (ENDED,)
    assert objects(Path(store)) == objects(Path(undisturbed))


@pytest.mark.slow
def test_another_command_is_told(land: Landscape, tmp_path: Path) -> None:
    """While an update is unfinished nothing else is added; once all is there, anyone ends it."""
    raster, store, undisturbed = prepare(land, "int4", tmp_path)
    assert kill(raster, store, "record", 4) == -signal.SIGKILL
    for command in (lambda: geoembz.update(store, land.tiles[3]), lambda: overviews(store)):
        with pytest.raises(InvalidConfigError, match=r"unfinished update from file:middle.tif; "):
            command()
    assert kill(raster, store, "place", 1) == -signal.SIGKILL
    raster.unlink()
    overviews(store, levels=1)
    overviews(undisturbed, levels=1)
    assert objects(Path(store)) == objects(Path(undisturbed))


def test_a_full_disk(land: Landscape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in words, the store as it was, and a command that goes on."""
    raster, store, undisturbed = prepare(land, "int4", tmp_path)
    before, real = objects(Path(store)), files.write_file
    written: list[Path] = []

    def write(path: Path, *arguments: object, **options: object) -> None:
        written.append(path)
        if len(written) > 7:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("geoembz.store.writer.write_file", write)
    with pytest.raises(StoreError, match=r"No space left on device.*run the same command again"):
        geoembz.update(store, raster)
    there = {key: value for key, value in objects(Path(store)).items() if FOLDER not in key}
    assert there == before
    monkeypatch.undo()
    geoembz.update(store, raster)
    assert objects(Path(store)) == objects(Path(undisturbed))


def test_ended_while_a_server_copies(
    land: Landscape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pixel is old or new; repeated, it is the store of this machine."""
    raster, store, undisturbed = prepare(land, "int4", tmp_path)
    before, after = vectors(store), vectors(undisturbed)
    url = "memory://update/out.zarr"
    for key, content in objects(Path(store)).items():
        ObjectTree(url).write(key, content)
    real, copied = ObjectTree.copy, list[str]()

    def copy(tree: ObjectTree, key: str, target: ObjectTree) -> None:
        copied.append(key)
        if len(copied) > 6:
            raise StoreError("the line is dead")
        real(tree, key, target)

    monkeypatch.setattr(ObjectTree, "copy", copy)
    with pytest.raises(StoreError, match="the line is dead"):
        geoembz.update(url, raster)
    monkeypatch.undo()
    assert all("embedding/c/" in key for key in copied)
    check_states(vectors(url), before, after)
    raster.unlink()
    with pytest.raises(GeoembzError, match=r"middle\.tif"):
        geoembz.update(url, raster)
    overviews(url, levels=1)
    overviews(undisturbed, levels=1)
    expected = objects(Path(undisturbed))
    assert {key: ObjectTree(url).read(key) for key in ObjectTree(url).sizes()} == expected
