"""Stores that are written by window on object stores: pieces are objects beside the journal."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Writer
from geoembz.errors import StoreError
from tests.publish.conftest import Server
from tests.remote.conftest import download
from tests.trees import objects
from tests.write.conftest import shards_of

SIZES: dict[str, Any] = {"chunk": 32, "shard": 32}


@pytest.fixture
def encoding(raster: Path) -> geoembz.Encoding:
    """Five components of the scene, int8."""
    return geoembz.fit(raster, "pca5-int8")


def test_a_store_on_a_server(
    bucket: Server,
    raster: Path,
    scene: NDArray[np.float32],
    encoding: geoembz.Encoding,
    tmp_path: Path,
) -> None:
    """A job that was closed goes on; a copy writes besides; nothing but the store is left."""
    url = f"s3://{bucket.bucket}/out.zarr"
    options: dict[str, Any] = {"like": raster, "encoding": encoding, "time": "2024", **SIZES}
    with geoembz.create(url, **options) as writer:
        for window in writer.missing(20)[:4]:
            writer.write(window, scene[:, *window.slices], axis=0)
        assert [key for key in bucket.contents("out.zarr") if ".geoembz/pieces/" in key]
    with geoembz.create(url, **options) as writer:
        missing = writer.missing(20)
        copy: Writer = pickle.loads(pickle.dumps(writer))  # noqa: S301 - our own
        for number, window in enumerate(missing):
            (copy if number % 2 else writer).write(window, scene[:, *window.slices], axis=0)
        writer.finish()
    with pytest.raises(StoreError, match="no lock is there"):
        copy.write(missing[-1], scene[:, *missing[-1].slices])
    geoembz.convert(raster, tmp_path / "converted", basis=encoding, time="2024", **SIZES)
    written = objects(download(bucket, "out.zarr", tmp_path / "out"))
    assert shards_of(written) == shards_of(objects(tmp_path / "converted"))
    assert not [key for key in bucket.contents("out.zarr") if ".geoembz" in key]


@pytest.mark.slow
@pytest.mark.parametrize("time", ["2025", "2024"])
def test_a_date_on_a_server(
    time: str,
    bucket: Server,
    raster: Path,
    scene: NDArray[np.float32],
    encoding: geoembz.Encoding,
    tmp_path: Path,
) -> None:
    """A new one, and one that takes the place of another."""
    url, replaces = f"s3://{bucket.bucket}/out.zarr", time == "2024"
    for store in (url, str(tmp_path / "appended")):
        geoembz.convert(raster, store, basis=encoding, time="2024", **SIZES)
    np.save(tmp_path / "other.npy", scene[:, ::-1])
    geoembz.append(
        tmp_path / "appended",
        tmp_path / "other.npy",
        time=time,
        like=raster,
        dims="band,y,x",
        replace_date=replaces,
    )
    for size in (25, 0):
        with geoembz.extend(url, time=time, replace_date=replaces) as writer:
            windows = writer.missing(25)
            for window in windows[: 3 if size else None]:
                writer.write(window, scene[:, ::-1][:, *window.slices])
            if not size:
                writer.finish()
    written = objects(download(bucket, "out.zarr", tmp_path / "out"))
    assert shards_of(written) == shards_of(objects(tmp_path / "appended"))
