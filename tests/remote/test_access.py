"""What stores that are cut for one way of reading cost there: requests and bytes on a server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import geoembz
from benchmarks.serving import Served, Traffic, serving
from geoembz._cli.app import app
from geoembz._geo.grid import Window
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.products import unit_vectors, write_raster

SIDE, DIMENSION = 512, 32
POINT_BYTES, TILE_REQUESTS = 128 * 2**10, 4
RECIPES = ("pca24-int8", "pca32-int4", "rot-binary", "float32")

type Cut = Callable[..., StoreReader]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("access")
    write_raster(folder / "a.tif", unit_vectors(SIDE, SIDE, DIMENSION))
    with serving(folder) as served:
        yield served


@pytest.fixture(scope="module")
def cut(served: Served) -> Cut:
    """Convert the scene for a way of reading, once, and open it on the server."""

    def convert(recipe: str, access: Any) -> StoreReader:
        store = served.folder / f"{recipe}-{access}"
        if not store.exists():
            geoembz.convert(served.folder / "a.tif", store, recipe=recipe, access=access)
        return StoreReader.open(f"{served.url}/{store.name}")

    return convert


def read(served: Served, reader: StoreReader, window: Window, n: int | None = None) -> Traffic:
    """Return what it took to read codes and validity of a window."""
    before = served.traffic
    reader.read_codes(window, components=n)
    reader.read_mask(window)
    return served.traffic - before


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_point_is_little(served: Served, cut: Cut, recipe: str) -> None:
    """Two requests for each array, and all of them below the bound, wherever the point lies."""
    for row, col in ((0, 0), (300, 77), (SIDE - 1, SIDE - 1)):
        reader = cut(recipe, "points")
        taken = read(served, reader, Window(row, col, 1, 1))
        assert taken.size_bytes <= POINT_BYTES
        assert taken.requests == (2 if reader.mask is None else 4)
    assert read(served, cut("float32", None), Window(0, 0, 1, 1)).size_bytes > POINT_BYTES


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_tile_is_few_requests(served: Served, cut: Cut, recipe: str) -> None:
    """Of 256 x 256 pixels, where a map has them."""
    for row, col in ((0, 0), (256, 256)):
        taken = read(served, cut(recipe, "browser"), Window(row, col, 256, 256))
        assert 1 < taken.requests <= TILE_REQUESTS


def test_a_picture_of_a_tile_takes_a_part_of_it(served: Served, cut: Cut) -> None:
    """The first components are read alone, in two requests."""
    tile = Window(0, 256, 256, 256)
    everything = read(served, cut("pca24-int8", "browser"), tile)
    picture = read(served, cut("pca24-int8", "browser"), tile, 3)
    assert picture.requests == 2
    assert picture.size_bytes < 0.6 * everything.size_bytes


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_scan_takes_no_more_than_by_default(served: Served, cut: Cut, recipe: str) -> None:
    """The same vectors in as many requests, hardly more bytes and larger chunks."""
    taken = {}
    for access in (None, "bulk"):
        reader = cut(recipe, access)
        taken[access] = read(served, reader, Window(0, 0, SIDE, SIDE))
        assert np.prod(reader.codes.chunks) >= np.prod(cut(recipe, None).codes.chunks)
    assert taken["bulk"].requests <= taken[None].requests
    assert taken["bulk"].size_bytes <= 1.05 * taken[None].size_bytes


def test_all_cuts_hold_the_same_vectors(cut: Cut) -> None:
    window = Window(250, 190, 20, 90)
    stored = [cut("pca24-int8", access) for access in (None, "browser", "points", "bulk")]
    for reader in stored[1:]:
        np.testing.assert_array_equal(reader.read_codes(window), stored[0].read_codes(window))
    assert len({reader.codes.chunks for reader in stored}) == 4


def test_what_is_said_of_chunks_holds(served: Served, tmp_path: Path) -> None:
    """Sides and parts that are named stay as they are named."""
    source = served.folder / "a.tif"
    named: dict[str, Any] = {"chunk": 64, "shard": 128, "prefix_chunks": 12}
    geoembz.convert(source, tmp_path / "a", recipe="pca24-int8", access="browser", **named)
    codes = StoreReader.open(str(tmp_path / "a")).codes
    assert (codes.chunks, codes.shards) == ((12, 64, 64), (24, 128, 128))


def test_the_command_takes_it_and_others_are_refused(served: Served, tmp_path: Path) -> None:
    source = str(served.folder / "a.tif")
    command = ["convert", source, str(tmp_path / "a"), "--recipe", "pca24-int8", "--for", "points"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert StoreReader.open(str(tmp_path / "a")).codes.chunks == (24, 32, 32)
    with pytest.raises(InvalidConfigError, match="access='tiles'; expected one of"):
        geoembz.convert(source, tmp_path / "b", access="tiles")  # type: ignore[arg-type]


def test_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("lon,lat,e0,e1\n1,2,3,4\n5,6,7,8\n")
    with pytest.raises(InvalidConfigError, match="access=…: for rasters only"):
        geoembz.convert(tmp_path / "t.csv", tmp_path / "t", access="points")
