"""Maps that are killed, or find the disk full, are finished by the same call.

The machinery is every map's (`test_writing`). What is their own is learned anew in each run, so it
has to come out the same; and a command may write several files.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._map.model_map import ModelRequest
from geoembz._map.task import MapTask
from geoembz._map.writer import MapWriter
from geoembz.errors import DestinationExistsError, InvalidConfigError, OutputError, StoreError
from geoembz.store import StoreReader
from geoembz.store.writer import ChunkWriter
from tests.map.conftest import content_of, place_of, read_tiff
from tests.map.labelling import KINDS, truth, write_points

SHARDS = 6
"""Of one map of the store."""

type Make = Callable[..., Any]


class _KilledError(BaseException):
    """What no code expects."""


@pytest.fixture
def labels(store: StoreReader, tmp_path: Path) -> Path:
    """Write 300 labelled points."""
    return write_points(tmp_path / "points.csv", store, np.append(KINDS, "")[truth(store)])


@pytest.fixture
def make(store: StoreReader, labels: Path) -> Make:
    """Return what makes a map, of classes with all that may be beside it."""

    def make(kind: str, out: Path, **options: Any) -> Any:
        if kind == "similar":
            options = {"like": [place_of(store, 20, 20)], "crs": "EPSG:32632", **options}
            return geoembz.map_similar(store.url, out, **options)
        if kind == "change":
            return geoembz.map_change(store.url, out, other=store.url, **options)
        if kind == "cluster":
            return geoembz.map_cluster(store.url, out, k=4, samples=800, **options)
        saved = out.with_suffix(".json")
        model = {"model": "knn", "probabilities": True, "save_model": saved, **options}
        return geoembz.map_classify(store.url, out, labels=labels, **model)

    return make


def kill_after(patch: pytest.MonkeyPatch, shards: int) -> None:
    """Make the whole process stop once some shards are made."""
    made: list[Any] = []
    whole = MapTask._make

    def killed(task: MapTask, shard: Any) -> Any:
        if len(made) == shards:
            raise _KilledError
        made.append(shard)
        return whole(task, shard)

    patch.setattr(MapTask, "_make", killed)


def everything(folder: Path) -> dict[str, bytes]:
    """Return all maps and models in a folder, by path."""
    return {
        f"{path.name}/{name}": content
        for path in sorted(folder.iterdir())
        for name, content in content_of(path).items()
    }


@pytest.mark.parametrize("suffix", ["tif", "zarr"])
@pytest.mark.parametrize(
    ("kind", "shards"),
    [
        pytest.param("classify", 2, id="probabilities"),
        pytest.param("classify", SHARDS + 2, id="classes"),
        pytest.param("cluster", 2, id="clusters"),
        pytest.param("change", 2, id="change"),
    ],
)
def test_the_same_call_finishes_a_killed_one(
    kind: str, shards: int, suffix: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte what was never killed gives, beside it nothing is left."""
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    out = tmp_path / "killed" / f"m.{suffix}"
    make(kind, tmp_path / "whole" / f"m.{suffix}")
    with monkeypatch.context() as patch:
        kill_after(patch, shards)
        with pytest.raises(_KilledError):
            make(kind, out, workers=1)
    assert not out.is_file()
    assert not (out / "zarr.json").exists()
    assert not out.with_suffix(".json").exists()
    made: list[Any] = []
    whole = MapTask._make

    def counted(task: MapTask, shard: Any) -> Any:
        made.append(task.kernel.bands.kind)
        return whole(task, shard)

    monkeypatch.setattr(MapTask, "_make", counted)
    make(kind, out)
    assert made.count({"cluster": "clusters", "classify": "classes"}.get(kind, kind)) == (
        SHARDS if kind == "classify" and shards < SHARDS else SHARDS - 2
    )
    assert everything(out.parent) == everything(tmp_path / "whole")


def test_a_killed_map_is_not_finished_by_another_call(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another seed finds other centres: shards of both would be one map of two legends."""
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(_KilledError):
            make("cluster", tmp_path / "m.tif", workers=1)
    with pytest.raises(InvalidConfigError, match="unfinished"):
        make("cluster", tmp_path / "m.tif", seed=1)


def test_probabilities_of_another_command_are_not_replaced(make: Make, tmp_path: Path) -> None:
    """What is there already was not asked to be replaced."""
    other = tmp_path / "m-probabilities.tif"
    other.write_bytes(b"mine")
    with pytest.raises(DestinationExistsError, match=r"m-probabilities\.tif"):
        make("classify", tmp_path / "m.tif")
    assert other.read_bytes() == b"mine"
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.parametrize("kind", ["classify", "cluster", "similar", "change"])
@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_a_full_disk_is_said_and_the_same_call_goes_on(
    kind: str, suffix: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third shard of the map does not fit; once there is room, the other four are made."""
    written: list[Any] = []
    write = ChunkWriter.write

    def full(self: ChunkWriter, *given: Any) -> Any:
        written.append(given)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, *given)

    out = tmp_path / f"m.{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr(ChunkWriter, "write", full)
        with pytest.raises(StoreError, match=r"No space left on device.*make room and run"):
            make(kind, out, workers=1)
    assert not out.is_file()
    assert not (out / "zarr.json").exists()
    make(kind, out)
    assert (out if suffix == "tif" else out / "zarr.json").is_file()


@pytest.mark.parametrize("kind", ["classify", "cluster", "similar", "change"])
def test_a_disk_that_is_full_at_the_end_leaves_no_half_file(
    kind: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All shards are there, but the GeoTIFF that they are copied to does not fit."""

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(MapWriter, "read", full)
        with pytest.raises(OutputError, match=r"\.tif: cannot be written \(the disk is full"):
            make(kind, tmp_path / "m.tif")
    assert not list(tmp_path.glob("m*.tif"))
    make(kind, tmp_path / "m.tif")
    assert read_tiff(tmp_path / "m.tif").any()


def test_a_model_that_finds_no_room_is_said(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map waits for its model: nothing is left of the one, nothing seen of the other."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match=r"m\.json: cannot be written \(the disk is full"):
        make("classify", tmp_path / "m.tif", probabilities=False)
    assert not list(tmp_path.glob("*m*.json"))
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_what_was_beside_a_killed_map_is_taken_up(
    suffix: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with all but the map itself written: picture, model and probabilities are there."""
    out, png = tmp_path / f"m.{suffix}", tmp_path / "m.png"

    def killed(*_: Any, **__: Any) -> Any:
        raise _KilledError

    whole = tmp_path / "whole"
    whole.mkdir()
    make("classify", whole / out.name, png=whole / "m.png")
    end = ModelRequest.save
    with monkeypatch.context() as patch:
        patch.setattr(ModelRequest, "save", lambda *given: (end(*given), killed()))
        with pytest.raises(_KilledError):
            make("classify", out, png=png)
    assert png.exists()
    assert out.with_suffix(".json").exists()
    assert (tmp_path / f"m-probabilities.{suffix}").exists()
    make("classify", out, png=png)
    for path in whole.iterdir():
        assert content_of(tmp_path / path.name) == content_of(path)


@pytest.mark.parametrize("beside", ["json", "png"])
def test_files_of_others_beside_a_killed_map_stay(
    beside: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They came while it was stopped: the same call may finish the map, not replace them."""
    out, png = tmp_path / "m.tif", tmp_path / "m.png"
    with monkeypatch.context() as patch:
        kill_after(patch, SHARDS + 2)
        with pytest.raises(_KilledError):
            make("classify", out, png=png, workers=1)
    other = out.with_suffix(f".{beside}")
    other.write_bytes(b"mine")
    with pytest.raises(DestinationExistsError, match=rf"m\.{beside}: exists, with other content"):
        make("classify", out, png=png)
    assert other.read_bytes() == b"mine"
    other.unlink()
    make("classify", out, png=png)
    assert out.exists()


def test_probabilities_of_a_map_with_another_model_stay(make: Make, tmp_path: Path) -> None:
    """A map of the same name by another call is not this one's, whatever was interrupted."""
    make("classify", tmp_path / "m.tif", save_model=None)
    (tmp_path / "m.tif").unlink()
    before = (tmp_path / "m-probabilities.tif").read_bytes()
    with pytest.raises(DestinationExistsError, match=r"m-probabilities\.tif: exists"):
        make("classify", tmp_path / "m.tif", model="logistic", save_model=None)
    assert (tmp_path / "m-probabilities.tif").read_bytes() == before
    make("classify", tmp_path / "m.tif", save_model=None)
    assert (tmp_path / "m.tif").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classify", "cluster"])
def test_a_killed_process_is_finished(
    kind: str, store: StoreReader, labels: Path, tmp_path: Path
) -> None:
    """SIGKILL in the middle of a shard; what this process learns again is the same."""
    out, whole = tmp_path / "map.tif", tmp_path / "whole.tif"
    how: dict[str, Any] = {"labels": str(labels)} if kind == "classify" else {"k": 4}
    run = getattr(geoembz, f"map_{kind}")
    program = (
        "import os, signal, geoembz\n"
        "from geoembz._map.task import MapTask\n"
        "make, count = MapTask._make, []\n"
        "def kill(task, shard):\n"
        "    count.append(1)\n"
        "    if len(count) > 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return make(task, shard)\n"
        "MapTask._make = kill\n"
        f"geoembz.map_{kind}({store.url!r}, {str(out)!r}, **{how!r})\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr.decode()
    assert not out.exists()
    run(store.url, out, **how)
    run(store.url, whole, **how)
    assert content_of(out) == content_of(whole)
    assert [path.name for path in tmp_path.glob(".map*")] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classify", "cluster"])
def test_processes_of_a_cluster_make_the_same_map(kind: str, make: Make, tmp_path: Path) -> None:
    """Models and centres are pickled; labels are read by the process that asks."""
    for name, options in {"threads": {}, "processes": {"scheduler": "local"}}.items():
        (tmp_path / name).mkdir()
        make(kind, tmp_path / name / "m.tif", workers=1, **options)
    assert everything(tmp_path / "threads") == everything(tmp_path / "processes")
