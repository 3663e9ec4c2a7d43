"""What a sparse GeoTIFF lacks is not read, and changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import geoembz
from geoembz._geo.grid import Window
from geoembz.sources import ReadOptions
from geoembz.sources.base import occupies
from geoembz.sources.raster import RasterSource

SIDE, BLOCK = 128, 32


def write_sparse(path: Path, nodata: float | None, **options: Any) -> Path:
    """Write a raster of 4 x 4 blocks, of which only (1, 2) was ever written."""
    profile = {
        "driver": "GTiff", "width": SIDE, "height": SIDE, "count": 4, "dtype": "float32",
        "crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5.3e6),
        "nodata": nodata, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
        "SPARSE_OK": True,
    }  # fmt: skip
    values = np.random.default_rng(1).normal(size=(4, BLOCK, BLOCK)).astype(np.float32)
    with rasterio.open(path, "w", **{**profile, **options}) as raster:
        raster.write(values, window=rasterio.windows.Window(2 * BLOCK, BLOCK, BLOCK, BLOCK))
    return path


def block(row: int, col: int) -> Window:
    return Window(row * BLOCK, col * BLOCK, BLOCK, BLOCK)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("compress", [None, "deflate"])
@pytest.mark.parametrize("nodata", [-9999.0, 0.0, np.nan])
def test_blocks_that_are_absent_are_known(
    interleave: str, compress: str | None, nodata: float, tmp_path: Path
) -> None:
    """Exactly those without a valid pixel."""
    options = {"interleave": interleave} | ({"compress": compress} if compress else {})
    source = RasterSource(write_sparse(tmp_path / "a.tif", nodata, **options))
    for row in range(4):
        for col in range(4):
            assert occupies(source, block(row, col)) == ((row, col) == (1, 2))
    assert occupies(source, Window(0, 0, SIDE, SIDE))
    assert occupies(source, Window(BLOCK - 1, 2 * BLOCK - 1, 2, 2))
    assert not occupies(source, Window(0, 0, BLOCK, SIDE))


@pytest.mark.parametrize("form", [{"ENDIANNESS": "BIG"}, {"BIGTIFF": "YES"}])
def test_blocks_are_known_in_every_form_of_tiff(form: dict[str, str], tmp_path: Path) -> None:
    source = RasterSource(write_sparse(tmp_path / "a.tif", -1.0, **form))
    assert [occupies(source, block(row, 2)) for row in range(4)] == [False, True, False, False]


def test_strips_that_are_absent_are_known(tmp_path: Path) -> None:
    source = RasterSource(write_sparse(tmp_path / "a.tif", -1.0, tiled=False, blockysize=BLOCK))
    assert [occupies(source, block(row, 0)) for row in range(4)] == [False, True, False, False]


@pytest.mark.parametrize(
    ("nodata", "override"), [(None, None), (-9999.0, "none"), (-9999.0, "5"), (None, "5")]
)
def test_absent_blocks_that_read_as_numbers_are_read(
    nodata: float | None, override: str | None, tmp_path: Path
) -> None:
    """Without nodata GDAL gives zeros, which are vectors like others."""
    source = RasterSource(write_sparse(tmp_path / "a.tif", nodata), ReadOptions(nodata=override))
    assert all(occupies(source, block(row, 0)) for row in range(4))


def test_a_full_raster_is_occupied_everywhere(tmp_path: Path) -> None:
    path = write_sparse(tmp_path / "a.tif", -1.0, SPARSE_OK=False)
    assert occupies(RasterSource(path), block(0, 0))


def test_the_store_is_that_of_the_raster_written_in_full(tmp_path: Path) -> None:
    """Codes, counts and coordinates; only the empty shards are not even looked at."""
    sparse = write_sparse(tmp_path / "sparse.tif", -9999.0)
    with rasterio.open(sparse) as raster:
        profile, values = {**raster.profile, "SPARSE_OK": False}, raster.read()
    with rasterio.open(tmp_path / "full.tif", "w", **profile) as raster:
        raster.write(values)
    stores = []
    for name in ("sparse", "full"):
        store = tmp_path / f"{name}.zarr"
        geoembz.convert(tmp_path / f"{name}.tif", store, recipe="float32", chunk=32, shard=32)
        stores.append(geoembz.open(store))
    np.testing.assert_array_equal(stores[0]["embedding"], stores[1]["embedding"])
    first, other = (data["embedding"].notnull().sum().item() for data in stores)
    assert first == other == 4 * BLOCK * BLOCK
