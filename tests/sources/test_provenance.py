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
from geoembz.sources.provenance import identify, with_checksum
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
