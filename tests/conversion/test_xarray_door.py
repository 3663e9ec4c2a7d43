"""An xarray object declares what a file declares, and the store is the same."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.typing import NDArray

import geoembz
from geoembz.errors import GeoembzError, SourceError
from tests.conftest import DEFAULT_TRANSFORM, MakeRaster

import rioxarray  # isort: skip  # after xarray, whose accessors it adds


def codes(store: Path) -> NDArray[Any]:
    """Return what a store holds."""
    return geoembz.open(store, space="codes")["embedding"].values


def per_band(values: NDArray[Any], attributes: dict[str, Any]) -> xr.Dataset:
    """Return a Dataset as odc-stac makes it: one variable per band, attributes of its own."""
    a, _, c, _, e, f = DEFAULT_TRANSFORM
    height, width = values.shape[1:]
    coordinates = {
        "time": np.array(["2024-01-01"], "M8[ns]"),
        "y": f + e * (np.arange(height) + 0.5),
        "x": c + a * (np.arange(width) + 0.5),
    }
    variables = {
        f"emb_{band}": (("time", "y", "x"), layer[np.newaxis], attributes)
        for band, layer in enumerate(values)
    }
    dataset: xr.Dataset = xr.Dataset(variables, coordinates).rio.write_crs(32632)
    return dataset


@pytest.fixture
def filled(scene: NDArray[np.float32], holes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a scene whose holes are −9999."""
    return np.where(holes, np.float32(-9999), scene)


@pytest.mark.parametrize("name", ["_FillValue", "missing_value", "nodata"])
@pytest.mark.parametrize("form", ["dataset", "squeezed", "cube", "turned", "lazy"])
def test_nodata_holds_wherever_it_is_declared(
    name: str, form: str, filled: NDArray[np.float32], holes: NDArray[np.bool_], tmp_path: Path
) -> None:
    """Per variable and per cube, in any order of dimensions, computed at once or later."""
    data: Any = per_band(filled, {name: -9999.0})
    if form == "squeezed":
        data = data.isel(time=0)
    elif form == "lazy":
        data = data.chunk({"y": 16, "x": 16})
    elif form in {"cube", "turned"}:
        data = data.isel(time=0).to_array("band").rename("embedding").assign_attrs({name: -9999.0})
        data = data.transpose("x", "band", "y") if form == "turned" else data
    summary = geoembz.convert(data, tmp_path / "out", quantizer="float32")
    assert summary.valid_pixels == (~holes).sum()
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    np.testing.assert_array_equal(decoded, np.where(holes, np.nan, filled))


@pytest.mark.parametrize("decoded", [True, False])
@pytest.mark.parametrize("form", ["cube", "variables"])
def test_a_scaled_raster_gives_the_codes_of_its_file(
    decoded: bool, form: str, make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Scale, offset and nodata, applied by xarray or not, make the store of the GeoTIFF."""
    stored = rng.integers(-300, 300, (4, 24, 20)).astype(np.int16)
    stored[:, 5:9] = -999
    path = make_raster(tmp_path / "in.tif", stored, nodata=-999)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01,) * 4, (0.5,) * 4
        dataset.descriptions = ("B0", "B1", "B2", "B3")
    data: Any = rioxarray.open_rasterio(
        path, mask_and_scale=decoded, band_as_variable=form == "variables"
    )
    first = geoembz.convert(path, tmp_path / "file", quantizer="float32")
    second = geoembz.convert(data, tmp_path / "xarray", quantizer="float32")
    assert first.valid_pixels == second.valid_pixels == 20 * 20
    ours, theirs = codes(tmp_path / "file"), codes(tmp_path / "xarray")
    if decoded:  # xarray multiplies in float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(ours, theirs)


def test_other_scales_per_band_hold(
    make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Rioxarray gives different scales as `scales`, and warns that it does nothing with them."""
    stored = rng.integers(-300, 300, (3, 24, 20)).astype(np.int16)
    path = make_raster(tmp_path / "in.tif", stored)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.01, 0.02, 0.03)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data: Any = rioxarray.open_rasterio(path)
    geoembz.convert(data, tmp_path / "out", quantizer="float32")
    expected = stored * np.array([0.01, 0.02, 0.03]).reshape(3, 1, 1)
    np.testing.assert_array_equal(codes(tmp_path / "out"), expected.astype(np.float32))


def test_int8_is_recognised_or_refused_as_in_a_file(
    make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """The file's name speaks for an array that was opened from it; else the codes are refused."""
    stored = rng.integers(-127, 128, (8, 20, 20)).astype(np.int8)
    path = make_raster(tmp_path / "olmoearth_tile.tif", stored, nodata=-128)
    geoembz.convert(path, tmp_path / "file")
    data: Any = rioxarray.open_rasterio(path)
    geoembz.convert(data, tmp_path / "xarray")
    np.testing.assert_array_equal(codes(tmp_path / "file"), codes(tmp_path / "xarray"))
    np.testing.assert_array_equal(codes(tmp_path / "file"), stored)
    with pytest.raises(SourceError, match="unknown product"):
        geoembz.convert(data.copy(data=stored).drop_encoding(), tmp_path / "other")
    geoembz.convert(data.drop_encoding(), tmp_path / "named", product="olmoearth")
    np.testing.assert_array_equal(codes(tmp_path / "named"), stored)


def test_names_of_bands_name_alphaearth(rng: np.random.Generator, tmp_path: Path) -> None:
    """Variables A00 to A63 are AlphaEarth's codes, −128 in all of them nodata."""
    vectors = rng.normal(size=(64, 16, 16))
    vectors /= np.linalg.norm(vectors, axis=0)
    stored = np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5).astype(np.int8)
    stored[:, :4] = -128
    data = per_band(stored, {"nodata": -128})
    names = {f"emb_{band}": f"A{band:02d}" for band in range(64)}
    summary = geoembz.convert(data.rename(names), tmp_path / "out")
    assert summary.recipe == "aef"
    assert summary.valid_pixels == 12 * 16
    np.testing.assert_array_equal(codes(tmp_path / "out"), stored)


@pytest.mark.parametrize("name", ["spatial_ref", "crs", "mapping"])
def test_the_crs_may_be_a_variable(name: str, filled: NDArray[np.float32], tmp_path: Path) -> None:
    """`xr.open_zarr` without `decode_coords` makes a variable of the grid mapping."""
    data = per_band(filled, {}).isel(time=0).rio.write_crs(32632, grid_mapping_name=name)
    plain = data.drop_vars("spatial_ref", errors="ignore") if name != "spatial_ref" else data
    plain.to_zarr(tmp_path / "own.zarr", consolidated=False)
    opened = xr.open_zarr(tmp_path / "own.zarr", consolidated=False)
    geoembz.convert(opened, tmp_path / "out", quantizer="float32", nodata=-9999)
    assert geoembz.open(tmp_path / "out").rio.crs.to_epsg() == 32632


def test_a_missing_crs_is_asked_for_in_python(filled: NDArray[np.float32], tmp_path: Path) -> None:
    """The message names the keyword, not the command's flag; the keyword helps."""
    data = per_band(filled, {}).drop_vars("spatial_ref")
    with pytest.raises(SourceError, match=r"crs='EPSG:…'") as caught:
        geoembz.convert(data, tmp_path / "out")
    assert "--crs" not in str(caught.value)
    options: dict[str, Any] = {"quantizer": "float32", "nodata": -9999}
    geoembz.convert(data, tmp_path / "out", crs="EPSG:32632", **options)
    labelled = data.assign_attrs(crs="EPSG:32632")
    geoembz.convert(labelled, tmp_path / "labelled", **options)
    assert geoembz.open(tmp_path / "labelled").rio.crs.to_epsg() == 32632


def test_the_variable_valid_is_a_mask(
    filled: NDArray[np.float32], holes: NDArray[np.bool_], tmp_path: Path
) -> None:
    """True where there are data; a mask of another name or type is refused in words."""
    data = per_band(filled, {}).isel(time=0)
    masked = data.assign(valid=(("y", "x"), ~holes))
    summary = geoembz.convert(masked, tmp_path / "out", quantizer="float32")
    assert summary.valid_pixels == (~holes).sum()
    for name, values in (("mask", holes), ("mask", holes.astype(np.uint8)), ("cloudy", holes)):
        with pytest.raises(SourceError, match=f"'{name}' looks like a mask"):
            geoembz.convert(data.assign({name: (("y", "x"), values)}), tmp_path / name)


def test_several_times_are_refused_or_chosen(scene: NDArray[np.float32], tmp_path: Path) -> None:
    """Two times are not two bands, and none is taken by itself."""
    one = per_band(scene, {})
    later = (one * 2).assign_coords(time=np.array(["2025-01-01"], "M8[ns]"))
    both = xr.concat([one, later], "time")
    for data in (both, both["emb_0"], both.to_array("band")):
        with pytest.raises(SourceError, match=r"isel\(time=0\)"):
            geoembz.convert(data, tmp_path / "out")
    geoembz.convert(both, tmp_path / "out", time="2025", quantizer="float32")
    np.testing.assert_array_equal(codes(tmp_path / "out")[0], scene * 2)


@pytest.mark.parametrize(
    ("attributes", "dtype", "words"),
    [
        ({}, "complex64", "expected real numbers"),
        ({}, "bool", "looks like a mask"),
        ({"_FillValue": "n/a"}, "float32", "expected numbers"),
        ({"scale_factor": [1, 2, 3]}, "float32", "expected one"),
        ({"_Unsigned": "true"}, "int8", "mask_and_scale"),
    ],
)
def test_what_cannot_be_read_is_refused(
    attributes: dict[str, Any],
    dtype: str,
    words: str,
    scene: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    """Each message says what was expected."""
    with pytest.raises(GeoembzError, match=words):
        geoembz.convert(per_band(scene.astype(dtype), attributes), tmp_path / "out")


def test_unknown_dimensions_are_named(scene: NDArray[np.float32], tmp_path: Path) -> None:
    """Rows and columns must be told apart."""
    with pytest.raises(GeoembzError, match="expected"):
        geoembz.convert(per_band(scene, {}).rename(y="row", x="col"), tmp_path / "out")


def test_codes_of_a_store_are_no_vectors(scene: NDArray[np.float32], tmp_path: Path) -> None:
    """What plain Zarr readers see of a store is refused; what geoembz opens is converted."""
    geoembz.convert(per_band(scene, {}), tmp_path / "out", quantizer="int8")
    with pytest.raises(SourceError, match=r"geoembz\.open"):
        geoembz.convert(xr.open_zarr(tmp_path / "out"), tmp_path / "second")
    geoembz.convert(geoembz.open(tmp_path / "out"), tmp_path / "second", quantizer="int8")
