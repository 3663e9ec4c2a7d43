"""What may be named: globs, directories, lists, STAC items, URLs."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from geoembz.errors import SourceError
from geoembz.sources import open_source
from geoembz.sources.inputs import expand
from tests import products
from tests.sources.serving import serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in (1, 2, 10):
        values = np.full((2, 4, 4), index, np.float32)
        transform = (10.0, 0.0, 500_000.0 + 40 * index, 0.0, -10.0, 5_300_000.0)
        products.write_raster(tmp_path / "in" / f"t{index}.tif", values, transform=transform)
    (tmp_path / "in" / "README.txt").write_text("no input")
    return tmp_path / "in"


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def test_directories_and_globs_in_natural_order(folder: Path) -> None:
    assert names(expand([folder])) == ["t1.tif", "t2.tif", "t10.tif"]
    assert names(expand([str(folder / "t1*.tif")])) == ["t1.tif", "t10.tif"]
    assert names(expand([f"file://{folder}/t?.tif"])) == ["t1.tif", "t2.tif"]


def test_lists_name_files_beside_them(folder: Path) -> None:
    listing = folder / "list.txt"
    listing.write_text(f"# tiles\nt2.tif\n\n{folder / 't10.tif'} # absolute\n")
    assert names(expand([listing])) == ["t2.tif", "t10.tif"]


@pytest.mark.parametrize("by_role", [False, True])
def test_stac_items_stand_for_their_embeddings(folder: Path, by_role: bool) -> None:
    asset = {"href": "./t2.tif", "roles": ["embeddings"] if by_role else ["data"]}
    item = {"type": "Feature", "assets": {"data" if by_role else "embeddings": asset}}
    (folder / "item.json").write_text(json.dumps(item))
    assert names(expand([folder / "item.json"])) == ["t2.tif"]


def test_stac_items_without_embeddings_are_refused(folder: Path) -> None:
    (folder / "item.json").write_text(json.dumps({"type": "Feature", "assets": {"thumb": {}}}))
    with pytest.raises(SourceError, match="assets thumb"):
        expand([folder / "item.json"])


def test_zarr_stores_are_one_input_each(tmp_path: Path) -> None:
    for name in ("a", "b.zarr"):
        products.write_aef_zarr(tmp_path / name, products.aef_codes(4, 4)[np.newaxis])
    assert names(expand([tmp_path])) == ["a", "b.zarr"]


def test_companions_of_tessera_tiles_are_no_inputs(tmp_path: Path) -> None:
    codes, scales = np.ones((4, 4, 128), np.int8), np.full((4, 4), 0.1, np.float32)
    products.write_tessera_npy(tmp_path, codes, scales)
    assert names(expand([tmp_path])) == ["grid_9.05_47.85.npy"]
    assert open_source(tmp_path).dimension == 128


def test_places_without_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no input in it"):
        expand([tmp_path])
    with pytest.raises(SourceError, match="no such file"):
        open_source(tmp_path / "absent.tif")


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP with byte ranges."""
    with serving(folder) as url:
        yield url


def test_urls_give_what_files_give(folder: Path, served: str) -> None:
    codes, scales = np.ones((4, 4, 128), np.int8), np.full((4, 4), 0.1, np.float32)
    products.write_tessera_npy(folder / "npy", codes, scales)
    for name in ("t2.tif", "npy/grid_9.05_47.85.npy"):
        near, far = open_source(folder / name), open_source(f"{served}/{name}?token=secret")
        window = near.grid.window
        np.testing.assert_array_equal(far.read(window).values, near.read(window).values)
        assert "secret" not in str(far.info) + far.name
