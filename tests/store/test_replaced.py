"""A reader that has a store open while it is replaced: the old store, or an error; never a mixture.

References: docs/howto/open.md, "While a store changes".
"""

import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr

import geoembz
from geoembz._convert.append import append
from geoembz._geo.grid import Window
from geoembz._publish import copy_store
from geoembz.errors import StoreError
from geoembz.store import StoreReader, TableReader, watch
from tests import products
from tests.publish.conftest import (
    Server,
    gateway,
    gateway_directory,
    gateway_endpoint,
    moto,
    moto_endpoint,
    server,
)
from tests.verification.kinds import write_pair

__all__ = ["gateway", "gateway_directory", "gateway_endpoint", "moto", "moto_endpoint", "server"]

ALL = Window(0, 0, 40, 48)
REPLACED = "open it again"


def source(folder: Path, seed: int) -> Path:
    return products.write_raster(
        folder / f"r{seed}.tif", products.unit_vectors(40, 48, 8, seed=seed)
    )  # fmt: skip


def write(folder: Path, seed: int, **options: object) -> str:
    """Write a store, in place of the one that is there."""
    store = folder / "store.zarr"
    settings: dict[str, object] = {"chunk": 8, "shard": 16, "overwrite": store.exists()}
    if "basis" not in options:
        settings["recipe"] = "pca6-int8"
    geoembz.convert(source(folder, seed), store, **{**settings, **options})  # type: ignore[arg-type]
    return str(store)


@pytest.mark.parametrize("mask", [False, True])
def test_a_conversion_replaces_a_store_that_is_open(tmp_path: Path, mask: bool) -> None:
    """By name and by window, by the reader and by xarray, before and after a first read."""
    recipe = {"recipe": "pca6-int4"} if mask else {}
    url = write(tmp_path, 1, **recipe)
    fresh, used = geoembz.open(url), StoreReader.open(url)
    codes = geoembz.open(url, space="codes")
    used.read(ALL, "original")
    travelled = pickle.loads(pickle.dumps(used))  # noqa: S301 - ours
    write(tmp_path, 2, **recipe)
    for reader in (used, travelled):
        with pytest.raises(StoreError, match=REPLACED):
            reader.read(ALL, "original")
    with pytest.raises(StoreError, match=REPLACED):
        fresh["embedding"].load()
    for variable in codes.data_vars:
        with pytest.raises(StoreError, match=REPLACED):
            codes[variable].load()
    assert np.isfinite(geoembz.open(url)["embedding"].values).all()


def test_a_store_of_the_same_encoding_is_another(tmp_path: Path) -> None:
    """Its vectors would be right one by one, and those of two stores."""
    first = write(tmp_path, 1)
    reader = StoreReader.open(first)
    write(tmp_path, 2, basis=reader.encoding)
    assert StoreReader.open(first).encoding.hash == reader.encoding.hash
    with pytest.raises(StoreError, match=REPLACED):
        reader.read(ALL, "original")


def test_reading_goes_on_across_what_changes_nothing(tmp_path: Path) -> None:
    """Appended dates, and the same store put in its own place."""
    url = write(tmp_path, 1, time="2023")
    reader, dataset = StoreReader.open(url), geoembz.open(url)
    before = reader.read(ALL, "original")
    append(url, source(tmp_path, 3), time="2024")
    np.testing.assert_array_equal(reader.read(ALL, "original"), before)
    np.testing.assert_array_equal(dataset["embedding"].values[0], before)
    assert len(StoreReader.open(url).dates) == 2
    append(url, source(tmp_path, 5), time="2023", replace_date=True)
    with pytest.raises(StoreError, match=REPLACED):
        reader.read(ALL, "original")


def test_the_same_store_again(tmp_path: Path) -> None:
    """A conversion that gives the same bytes is no replacement."""
    url = write(tmp_path, 1)
    reader = StoreReader.open(url)
    before = reader.read(ALL, "original")
    write(tmp_path, 1)
    np.testing.assert_array_equal(reader.read(ALL, "original"), before)


def test_publish_replaces_a_store_that_is_open(tmp_path: Path) -> None:
    """While the root is hidden, and afterwards."""
    one, two = write_pair("unsharded", tmp_path)
    target = tmp_path / "there.zarr"
    copy_store(str(one), str(target))
    reader, seen = StoreReader.open(str(target)), []

    def look(done: int, total: int) -> None:
        with pytest.raises(StoreError, match=REPLACED):
            reader.read(ALL, "original")
        seen.append((done, total))

    copy_store(str(two), str(target), overwrite=True, workers=1, progress=look)
    assert seen
    with pytest.raises(StoreError, match=REPLACED):
        reader.read(ALL, "original")


def test_tables(tmp_path: Path) -> None:
    """The rows of a table that was replaced, and its other columns."""
    one, two = write_pair("table", tmp_path)
    target = tmp_path / "there.zarr"
    copy_store(str(one), str(target))
    reader = TableReader.open(str(target))
    reader.read(np.arange(5), "original")
    copy_store(str(two), str(target), overwrite=True)
    with pytest.raises(StoreError, match=REPLACED):
        reader.read(np.arange(5), "original")


def test_on_a_server_the_root_is_looked_at_now_and_then(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds, with one request; a replacement is told then."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    one, two = write_pair("unsharded", tmp_path)
    url = f"s3://{server.bucket}/out.zarr"
    copy_store(str(one), url)
    reader = StoreReader.open(url)
    before = reader.read(ALL, "original")
    monkeypatch.setattr(watch, "REMOTE_SECONDS", 0.0)
    np.testing.assert_array_equal(reader.read(ALL, "original"), before)
    copy_store(str(two), url, overwrite=True)
    with pytest.raises(StoreError, match=REPLACED):
        reader.read(ALL, "original")


def test_a_grid_of_several(tmp_path: Path) -> None:
    """It has a root of its own, which goes as soon as the one above it."""
    one, two = write_pair("grids", tmp_path)
    target = tmp_path / "there.zarr"
    copy_store(str(one), str(target))
    name = zarr.open_group(target, mode="r").attrs["geoembz:grids"][0]  # type: ignore[index]
    reader, seen = StoreReader.open(f"{target}/{name}"), []

    def look(done: int, total: int) -> None:
        with pytest.raises(StoreError, match=REPLACED):
            reader.read(Window(0, 0, 8, 8), "original")
        seen.append((done, total))

    copy_store(str(two), str(target), overwrite=True, workers=1, progress=look)
    assert seen
