"""Readers while a store is updated: each pixel as it was or as it will be, never a mixture."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._objects.tree import ObjectTree
from geoembz._verify import verify
from geoembz.store import StoreReader
from tests.publish.conftest import (
    Server,
    gateway,
    gateway_directory,
    gateway_endpoint,
    moto,
    moto_endpoint,
    server,
)
from tests.remote.conftest import bucket
from tests.update.conftest import Landscape, check_states, vectors

__all__ = [
    "bucket",
    "gateway",
    "gateway_directory",
    "gateway_endpoint",
    "moto",
    "moto_endpoint",
    "server",
]

pytestmark = pytest.mark.filterwarnings("ignore:.*the basis captures:geoembz.errors.BasisWarning")
TILES = range(1, 4)


def states_of(land: Landscape, form: str, folder: Path) -> tuple[Path, list[list[Path]]]:
    """Return a store's vectors before, between and after updates, and their inputs.

    Tiles are filled, then all pixels are replaced by others and back again.
    """
    store = land.first(folder / "states.zarr", form)
    other = land.write(f"other-{form}", np.ascontiguousarray(land.values[:, ::-1, ::-1]))
    states, inputs = [vectors(store)], [[land.tiles[number]] for number in TILES]
    inputs += [land.tiles, [other], land.tiles]
    for names in inputs:
        geoembz.update(store, names, replace=len(names) > 1 or names == [other])
        states.append(vectors(store))
    np.save(folder / "states.npy", np.stack(states))
    return folder / "states.npy", inputs


def read_while(land: Landscape, form: str, store: str, folder: Path) -> dict[str, int]:
    """Update a store while another process reads it; return what that one saw."""
    file, inputs = states_of(land, form, folder)
    ready, stop = folder / "ready", folder / "stop"
    words = [sys.executable, "-m", "tests.update.reader", store, str(file), str(ready), str(stop)]
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(words, stdout=said) as reading:
        while not ready.exists() and reading.poll() is None:
            time.sleep(0.02)
        try:
            for names in inputs:
                is_replaced = len(names) > 1 or "other" in names[0].name
                geoembz.update(store, names, replace=is_replaced, workers=1)
        finally:
            stop.touch()
        assert reading.wait(120) == 0
        said.seek(0)
        found: dict[str, int] = json.loads(said.read())
    np.testing.assert_array_equal(vectors(store), np.load(file)[-1])
    return found


def whole_store(reader: StoreReader) -> NDArray[np.float32]:
    return reader.read(reader.attributes.grid.window, "original")


@pytest.mark.parametrize("form", ["int4", pytest.param("parts", marks=pytest.mark.slow)])
def test_at_every_step(
    form: str, land: Landscape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each object takes its place, a reader that is open and a new one read all."""
    store = land.first(tmp_path / "out.zarr", form)
    shutil.copytree(store, tmp_path / "copy.zarr")
    tiles = land.tiles[1:8:6]
    geoembz.update(tmp_path / "copy.zarr", tiles)
    before, after = vectors(store), vectors(tmp_path / "copy.zarr")
    kept, real = StoreReader.open(store), Path.replace
    steps: list[Path] = []

    def replace(path: Path, target: Path) -> Path:
        if "/c/" in str(target) and ".geoembz" not in str(target):
            steps.append(target)
            for reader in (kept, StoreReader.open(store)):
                check_states(whole_store(reader), before, after)
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    geoembz.update(store, tiles, workers=1)
    assert len(steps) > 10
    for reader in (kept, StoreReader.open(store)):
        np.testing.assert_array_equal(whole_store(reader), after)


@pytest.mark.parametrize("form", ["int4", pytest.param("parts", marks=pytest.mark.slow)])
def test_between_mask_and_codes(
    form: str, land: Landscape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that comes between two parts of a read."""
    store = land.first(tmp_path / "out.zarr", form)
    before, reader = vectors(store), StoreReader.open(store)
    reads: list[str] = []
    parts: dict[str, Any] = {
        "read_codes": StoreReader.read_codes,
        "read_mask": StoreReader.read_mask,
    }
    names = ["read_mask", "read_codes"] if form == "int4" else ["read_mask", "read_codes"] * 2

    def follow(name: str) -> Any:
        def read(self: StoreReader, *arguments: Any, **options: Any) -> Any:
            found = parts[name](self, *arguments, **options)
            reads.append(name)
            if len(reads) == len(names) - 1:
                geoembz.update(store, land.tiles[1:8:3])
            return found

        return read

    for name in parts:
        monkeypatch.setattr(StoreReader, name, follow(name))
    read = whole_store(reader)
    monkeypatch.undo()
    check_states(read, before, vectors(store))
    assert np.isfinite(vectors(store)).sum() > np.isfinite(before).sum()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["int8", "int4", "binary"])
def test_on_this_machine(form: str, land: Landscape, tmp_path: Path) -> None:
    """A reader that stays open and one that is opened again and again."""
    store = land.first(tmp_path / "out.zarr", form)
    found = read_while(land, form, store, tmp_path)
    assert found["reads"] > 10
    assert found["torn"] == 0
    assert found["whole_states"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("form", ["int8", "int4"])
def test_on_a_server(form: str, land: Landscape, bucket: Server, tmp_path: Path) -> None:
    """The same over S3; and the store is that of this machine, byte for byte."""
    local = land.first(tmp_path / "first.zarr", form)
    url = f"s3://{bucket.bucket}/out.zarr"
    for path in Path(local).rglob("*"):
        if path.is_file():
            ObjectTree(url).write(path.relative_to(local).as_posix(), path.read_bytes())
    found = read_while(land, form, url, tmp_path)
    assert found["reads"] > 10
    assert found["torn"] == 0
    assert verify(url).problems == ()
    assert ObjectTree(url).sizes() == ObjectTree(tmp_path / "states.zarr").sizes()
