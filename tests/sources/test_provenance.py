"""What a store says about its inputs: size, ETag, SHA-256; never a path or a secret."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

import geoembz
from benchmarks.serving import RangeHandler
from geoembz._convert.append_date import _without_extras
from geoembz.sources import open_source
from geoembz.sources.provenance import identify, with_checksum
from tests import products
from tests.conftest import MakeRaster
from tests.tables import clay_v1_5


class TaggingHandler(RangeHandler):
    """Say an ETag, as object stores do."""

    def end_headers(self) -> None:
        self.send_header("ETag", '"abc-1"')
        super().end_headers()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(TaggingHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def sources(store: Path) -> list[dict[str, Any]]:
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    return list(attributes["geoembz:sources"])


@pytest.mark.parametrize("size", [0, 1, 16 * 2**20, 16 * 2**20 + 1])
def test_checksums_are_those_of_the_content(tmp_path: Path, size: int) -> None:
    """Files of any size, around the size of one read."""
    content = bytes(range(251)) * (size // 251 + 1)
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    info = with_checksum(identify(str(path)))
    assert (info.size_bytes, info.sha256) == (size, hashlib.sha256(content[:size]).hexdigest())


def test_a_remote_object_is_told_by_size_and_etag(server: str, tmp_path: Path) -> None:
    """Neither the query, where signatures travel, nor the path that reads it again is stored."""
    (tmp_path / "a.bin").write_bytes(b"abc")
    info = with_checksum(identify(f"{server}/a.bin?signature=secret"))
    assert info.provenance() == {
        "uri": f"{server}/a.bin",
        "size_bytes": 3,
        "version": "abc-1",
        "sha256": hashlib.sha256(b"abc").hexdigest(),
    }
    assert "secret" not in repr(info) + json.dumps(info.identity())


def test_convert_records_checksums_where_asked(make_raster: MakeRaster, tmp_path: Path) -> None:
    """With `checksum` the store knows the input's hash; its shards are the same without."""
    path = tmp_path / "in.tif"
    make_raster(path, np.random.default_rng(3).normal(size=(4, 16, 16)).astype(np.float32))
    geoembz.convert(path, tmp_path / "with", checksum=True)
    geoembz.convert(path, tmp_path / "without")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert [source.get("sha256") for source in sources(tmp_path / "with")] == [digest]
    assert "sha256" not in sources(tmp_path / "without")[0]
    shards = [(tmp_path / name / "embedding/c/0/0/0").read_bytes() for name in ("with", "without")]
    assert shards[0] == shards[1]


def test_tables_have_checksums_where_asked(tmp_path: Path) -> None:
    """As rasters have."""
    path = tmp_path / "clay.parquet"
    clay_v1_5(path, np.random.default_rng(3))
    geoembz.convert(path, tmp_path / "with", checksum=True)
    geoembz.convert(path, tmp_path / "without")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert [source.get("sha256") for source in sources(tmp_path / "with")] == [digest]
    assert "sha256" not in sources(tmp_path / "without")[0]


def test_stores_know_the_outlines_of_their_sources(tmp_path: Path) -> None:
    """Each tile's, in the CRS of the grid; of each date its own; of a table none."""
    a, b, left, d, e, top = products.UTM_TRANSFORM
    values = np.random.default_rng(3).normal(size=(4, 16, 40)).astype(np.float32)
    west, east = tmp_path / "b.tif", tmp_path / "a.tif"  # the mosaic's order is not that of names
    products.write_raster(west, values[..., :16])
    products.write_raster(east, values[..., 16:], transform=(a, b, left + 16 * a, d, e, top))
    store = tmp_path / "mosaic.zarr"
    geoembz.convert([east, west], store, time="2023", chunk=8, shard=8)
    bottom, middle = top + 16 * e, left + 16 * a
    expected = {
        "file:b.tif": [left, bottom, middle, top],
        "file:a.tif": [middle, bottom, left + 40 * a, top],
    }
    assert {one["uri"]: one["bbox"] for one in sources(store)} == expected
    whole = tmp_path / "whole.tif"
    products.write_raster(whole, values)
    geoembz.append(store, whole, time="2024")
    times = geoembz.open(store).attrs["geoembz:times"]
    assert [[one["bbox"] for one in date["sources"]] for date in times] == [
        list(expected.values()),
        [[left, bottom, left + 40 * a, top]],
    ]
    clay_v1_5(tmp_path / "clay.parquet", np.random.default_rng(3))
    geoembz.convert(tmp_path / "clay.parquet", tmp_path / "table.zarr")
    assert "bbox" not in sources(tmp_path / "table.zarr")[0]


def test_bands_of_one_tile_share_its_outline(tmp_path: Path) -> None:
    """As do all the files that a tile is read from."""
    values = np.random.default_rng(3).normal(size=(4, 16, 16)).astype(np.float32)
    names = ("A00", "A01", "A02", "A03")
    paths = products.write_band_files(tmp_path, values, names, bands_per_file=1)
    geoembz.convert(paths, tmp_path / "bands.zarr", product="bands")
    boxes = {tuple(one["bbox"]) for one in sources(tmp_path / "bands.zarr")}
    assert len(sources(tmp_path / "bands.zarr")) == 4
    assert boxes == {open_source(paths, product="bands").grid.bbox}


def test_append_takes_dates_of_stores_without_outlines(tmp_path: Path) -> None:
    """A date that an earlier version added is known again by all else that tells it."""
    path, store = tmp_path / "in.tif", tmp_path / "store.zarr"
    products.write_raster(path, np.random.default_rng(3).normal(size=(4, 16, 16)).astype("f4"))
    geoembz.convert(path, store, time="2023")
    (entry,) = geoembz.open(store).attrs["geoembz:times"]
    ours = open_source(path).info[0].provenance()
    assert _without_extras(entry["sources"][0]) == ours
    assert _without_extras(ours) == ours
