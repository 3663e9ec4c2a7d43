"""Servers that send whole objects where a part is asked for, and those that do not."""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import geoembz
from geoembz._export import export_cog, preview, sample
from geoembz._verify import verify
from geoembz.errors import GeoembzError
from geoembz.store import describe
from tests import tables
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster

SAYS = "does not answer Range requests.*sharded stores need them"
PLACE = [[500_105.0, 5_299_895.0]]


class Whole(http.server.SimpleHTTPRequestHandler):
    """Python's own: it knows no ranges."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Ranged(Whole):
    """Answers ranges, as web servers and object stores do."""

    pattern: ClassVar = re.compile(r"bytes=(\d*)-(\d*)")

    def do_GET(self) -> None:
        """Send a part, or all."""
        wanted = self.pattern.fullmatch(self.headers.get("Range") or "")
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        start = int(wanted[1]) if wanted[1] else max(len(content) - int(wanted[2]), 0)
        part = content[start : int(wanted[2]) + 1 if wanted[1] and wanted[2] else None]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


def serve(handler: type[Whole], folder: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def whole(folder: Path) -> Iterator[str]:
    yield from serve(Whole, folder)


@pytest.fixture(scope="module")
def ranged(folder: Path) -> Iterator[str]:
    yield from serve(Ranged, folder)


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 150, 150)).astype(np.float32)


@pytest.fixture
def sharded(folder: Path, make_raster: MakeRaster, vectors: np.ndarray) -> str:
    """Return the name of a store with shards."""
    if not (folder / "sharded.zarr").exists():
        source = make_raster(folder / "a.tif", vectors)
        geoembz.convert(source, folder / "sharded.zarr", recipe="int8", chunk=32, shard=96)
        geoembz.convert(source, folder / "plain.zarr", recipe="int8", chunk=64, shard="none")
        table = tables.plain(folder / "t.parquet", np.random.default_rng(0)).path
        geoembz.convert(table, folder / "table.zarr", pca=4)
    return "sharded.zarr"


def test_a_server_without_ranges_is_named(whole: str, sharded: str, tmp_path: Path) -> None:
    """Every door says what the server lacks and what to do; none says that a shard is corrupt."""
    url = f"{whole}/{sharded}"
    for read in (
        lambda: geoembz.open(url)["embedding"].values,
        lambda: sample(url, PLACE, crs="EPSG:32632"),
        lambda: export_cog(url, tmp_path / "a.tif"),
        lambda: preview(url, tmp_path / "a.png"),
        lambda: geoembz.search(url, np.ones(4, np.float32)),
        lambda: geoembz.convert(url, tmp_path / "b.zarr", pca=2),
    ):
        with pytest.raises(GeoembzError, match=SAYS) as caught:
            read()
        assert "corrupt" not in str(caught.value)
        assert 'shard="none"' in str(caught.value)
    (problem,) = verify(url).problems
    assert re.search(SAYS, problem.what)
    assert describe(url).valid_pixels == 150 * 150  # small objects are read whole


def test_what_needs_no_ranges_works_without(whole: str, sharded: str, folder: Path) -> None:
    """Chunks that are objects of their own are read whole."""
    del sharded
    found = geoembz.open(f"{whole}/plain.zarr")["embedding"].values
    assert_same_vectors(found, geoembz.open(folder / "plain.zarr")["embedding"].values)
    assert not verify(f"{whole}/plain.zarr").problems


def test_tables_of_a_server_without_ranges(whole: str, ranged: str, sharded: str) -> None:
    """A table whose rows are one chunk can be read whole; its other columns are one file."""
    del sharded
    for server in (whole, ranged):
        url = f"{server}/table.zarr"
        assert geoembz.open(url)["embedding"].values.shape[0] == 500
        assert not verify(url).problems


def test_servers_with_ranges_are_read(
    ranged: str, sharded: str, folder: Path, tmp_path: Path
) -> None:
    """The same stores, by their parts."""
    url = f"{ranged}/{sharded}"
    local = geoembz.open(folder / sharded)["embedding"].values
    assert_same_vectors(geoembz.open(url)["embedding"].values, local)
    assert not verify(url).problems
    assert sample(url, PLACE, crs="EPSG:32632").found.all()
    assert not verify(f"{ranged}/table.zarr").problems
