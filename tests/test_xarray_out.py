"""Opened datasets are written, pickled and tabulated as any other."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import geoembz
from geoembz._xarray.plain_attributes import JsonText
from tests import tables
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster


@pytest.fixture
def values(rng: np.random.Generator) -> Any:
    values = rng.normal(size=(5, 20, 24)).astype(np.float32)
    values[:, :3, :4] = np.nan
    return values


@pytest.fixture
def source(tmp_path: Path, make_raster: MakeRaster, values: Any) -> Path:
    return make_raster(tmp_path / "a.tif", values)


@pytest.mark.parametrize("space", ["original", "reduced", "codes"])
@pytest.mark.parametrize("recipe", ["int8", "int4", "float16", "binary"])
def test_netcdf_and_zarr_round_trips(source: Path, tmp_path: Path, recipe: str, space: Any) -> None:
    """Numbers, coordinates, CRS and attributes come back, from netCDF and from Zarr."""
    geoembz.convert(source, tmp_path / "a.zarr", recipe=recipe, time="2024", license="CC0-1.0")
    dataset = geoembz.open(tmp_path / "a.zarr", space=space)
    dataset.to_netcdf(tmp_path / "a.nc")
    dataset.to_zarr(tmp_path / "copy.zarr", zarr_format=3, consolidated=False)
    opened: list[tuple[Path, dict[str, Any]]]
    opened = [
        (tmp_path / "a.nc", {}),
        (tmp_path / "copy.zarr", {"engine": "zarr", "consolidated": False}),
    ]
    for path, options in opened:
        with xr.open_dataset(path, decode_coords="all", **options) as again:
            expected = dataset["embedding"].values.astype(np.float32)
            assert_same_vectors(again["embedding"].values.astype(np.float32), expected)
            for name in ("x", "y", "time"):
                np.testing.assert_array_equal(again[name], dataset[name])
            crs = {again[name].attrs["crs_wkt"] for name in again.coords if name == "spatial_ref"}
            assert crs == {dataset["spatial_ref"].attrs["crs_wkt"]}
            assert again.attrs["geoembz:license"] == "CC0-1.0"
            assert again.attrs["geoembz:pixels"] == str.__str__(dataset.attrs["geoembz:pixels"])


def test_attributes_stay_what_they_say(source: Path, tmp_path: Path, values: Any) -> None:
    """JSON text answers as its value too, through copies and processes."""
    geoembz.convert(source, tmp_path / "a.zarr", pca=2)
    dataset = geoembz.open(tmp_path / "a.zarr")
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    for opened in (dataset, copy.deepcopy(dataset), again):
        pixels = opened.attrs["geoembz:pixels"]
        assert isinstance(pixels, JsonText)
        assert pixels["total"] == 480
        assert dict(pixels.items())["valid"] == 468
        assert pixels == {"total": 480, "valid": 468} | {
            key: pixels[key] for key in pixels if key not in {"total", "valid"}
        }
        assert opened.attrs["spatial:shape"] == [20, 24]
    assert_same_vectors(again["embedding"].values, dataset["embedding"].values)


def test_tables_and_other_libraries(source: Path, tmp_path: Path, values: Any) -> None:
    """A table of chips is written as well; rasters become data frames and GeoTIFFs."""
    import rasterio
    import rioxarray  # noqa: F401 - registers .rio

    table = tables.plain(tmp_path / "t.parquet", np.random.default_rng(0)).path
    geoembz.convert(table, tmp_path / "t.zarr", pca=2)
    rows = geoembz.open(tmp_path / "t.zarr")
    rows.to_netcdf(tmp_path / "t.nc")
    with xr.open_dataset(tmp_path / "t.nc") as again:
        assert_same_vectors(again["embedding"].values, rows["embedding"].values)
    geoembz.convert(source, tmp_path / "a.zarr", recipe="float32")
    dataset = geoembz.open(tmp_path / "a.zarr")
    assert len(dataset.to_dataframe()) == values.size
    dataset["embedding"].rio.to_raster(tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as raster:
        np.testing.assert_array_equal(raster.read(), values)
        assert raster.crs.to_epsg() == 32632


def test_trees_of_several_grids(
    source: Path, tmp_path: Path, make_raster: MakeRaster, values: Any
) -> None:
    """``open_datatree`` has a node for each grid; of one grid the root is the store."""
    east = make_raster(tmp_path / "east.tif", values[:, ::-1], crs="EPSG:32633")
    geoembz.convert([source, east], tmp_path / "two.zarr", recipe="float32")
    tree = xr.open_datatree(tmp_path / "two.zarr", engine="geoembz", space="reduced")
    assert sorted(tree.children) == ["utm32n", "utm33n"]
    np.testing.assert_array_equal(tree["utm32n/embedding"], values)
    assert tree.attrs["geoembz:recipe"] == "float32"
    groups = xr.open_groups(tmp_path / "two.zarr", engine="geoembz")
    assert set(groups) == {"/", "/utm32n", "/utm33n"}
    tree.to_netcdf(tmp_path / "two.nc")
    geoembz.convert(source, tmp_path / "one.zarr", recipe="float32")
    one = xr.open_datatree(tmp_path / "one.zarr", engine="geoembz")
    np.testing.assert_array_equal(one["embedding"], values)
