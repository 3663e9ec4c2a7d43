"""Servers that send whole objects where a part is asked for, and those that do not."""

import http.server
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from benchmarks.serving import serving
from geoembz._export import export_cog, preview, sample
from geoembz._verify import verify
from geoembz.errors import GeoembzError
from geoembz.store.summary import describe
from tests import tables
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster

SAYS = "does not answer Range requests.*sharded stores need them"
PLACE = [[500_105.0, 5_299_895.0]]


class Whole(http.server.SimpleHTTPRequestHandler):
    """Python's own: it knows no ranges."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Iterator[str]:
    with serving(folder, handler=Whole) as served:
        yield served.url


@pytest.fixture(scope="module")
def ranged(folder: Path) -> Iterator[str]:
    with serving(folder) as served:
        yield served.url


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
