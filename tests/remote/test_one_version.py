"""A shard that is replaced while parts of it are read: parts of one version only."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz.store import StoreReader
from geoembz.store.local_chunks import LocalChunks
from geoembz.store.remote_chunks import RemoteChunks
from tests import products
from tests.publish.conftest import Server

LAST = Window(8, 8, 8, 8)
"""A chunk that stands first in the old shard, and behind others in the new one."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a store of a chunk that is valid, and one with others that look the same from outside.

    Codes are noise, so that frames are of one length: offsets of one are those of another.
    """
    folder = tmp_path_factory.mktemp("versions")
    values = np.random.default_rng(0).normal(size=(8, 16, 16)).astype(np.float32)
    full = products.write_raster(folder / "full.tif", values)
    values[:, :8], values[:, 8:, :8] = np.nan, np.nan
    part = products.write_raster(folder / "part.tif", values)
    geoembz.convert(full, folder / "new.zarr", chunk=8, shard=16, recipe="int8")
    geoembz.convert(part, folder / "old.zarr", chunk=8, shard=16, basis=folder / "new.zarr")
    return folder / "old.zarr", folder / "new.zarr"


def vectors(store: object, window: Window = LAST) -> NDArray[np.float32]:
    """Return the vectors of a window."""
    return StoreReader.open(str(store)).read(window, "original")


def test_of_a_file(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced after its index was read, it is read again."""
    old, new = pair
    store = tmp_path / "store.zarr"
    shutil.copytree(old, store)
    shutil.copy(new / "embedding/c/0/0/0", tmp_path / "shard")
    known, real = vectors(old), LocalChunks._index
    np.testing.assert_array_equal(known, vectors(new))

    def replace(chunks: LocalChunks, key: str, *others: Any) -> Any:
        index = real(chunks, key, *others)
        if (tmp_path / "shard").exists():
            (tmp_path / "shard").replace(store / key)
        return index

    monkeypatch.setattr(LocalChunks, "_index", replace)
    reader = StoreReader.open(str(store))
    np.testing.assert_array_equal(reader.read(LAST, "original"), known)
    assert not (tmp_path / "shard").exists()


def put(store: Path, bucket: Server) -> str:
    """Copy a store to a server."""
    url = f"s3://{bucket.bucket}/versions.zarr"
    for path in store.rglob("*"):
        if path.is_file():
            ObjectTree(url).write(path.relative_to(store).as_posix(), path.read_bytes())
    return url


def test_of_an_object(
    pair: tuple[Path, Path], bucket: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on a server, which tells versions apart."""
    old, new = pair
    url, known, real, seen = put(old, bucket), vectors(old), RemoteChunks._read_index, []
    reader = StoreReader.open(url)

    async def replace(chunks: RemoteChunks, key: str) -> Any:
        index = await real(chunks, key)
        seen.append(key)
        if len(seen) == 1:
            await chunks.store.fs._pipe_file(f"{chunks.store.path}/{key}", (new / key).read_bytes())
        return index

    monkeypatch.setattr(RemoteChunks, "_read_index", replace)
    np.testing.assert_array_equal(reader.read(LAST, "original"), known)
    assert len(seen) == 2


def test_of_an_index_that_is_kept(pair: tuple[Path, Path], bucket: Server) -> None:
    """A chunk that it has not may be there by now."""
    old, new = pair
    url, first = put(old, bucket), Window(0, 0, 8, 8)
    reader = StoreReader.open(url)
    np.testing.assert_array_equal(reader.read(LAST, "original"), vectors(old))
    assert np.isnan(reader.read(first, "original")).all()
    key = "embedding/c/0/0/0"
    ObjectTree(url).write(key, (new / key).read_bytes())
    np.testing.assert_array_equal(reader.read(first, "original"), vectors(new, first))
