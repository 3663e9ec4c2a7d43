"""Every raster product: what comes out is what the generator put in."""

from pathlib import Path

import numpy as np
import pytest

from geoembz._geo.grid import Window
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import ReadOptions, open_source, open_sources
from geoembz.sources.base import traits_of
from tests import products


def vectors(path: Path, **options: object) -> np.ndarray:
    source = open_source(path, **options)  # type: ignore[arg-type]
    data = source.read(source.grid.window)
    values = data.decode().values.astype(np.float32)
    if data.valid is not None:
        values[:, ~data.valid] = np.nan
    return values


@pytest.mark.parametrize("bottom_up", [True, False])
def test_aef_comes_out_north_up(tmp_path: Path, bottom_up: bool) -> None:
    """Bottom-up tiles have the same pixels in the same places as north-up ones."""
    codes = products.aef_codes(24, 40)
    codes[:, 3, 5] = -128
    path = products.write_aef(tmp_path / "a.tif", codes, bottom_up=bottom_up)
    expected = products.power_values(codes)
    expected[:, 3, 5] = np.nan
    np.testing.assert_array_equal(vectors(path), expected)
    assert open_source(path).grid.transform == products.UTM_TRANSFORM


def test_every_window_of_a_turned_source_is_its_part(tmp_path: Path) -> None:
    path = products.write_aef(tmp_path / "a.tif", products.aef_codes(40, 24))
    source, whole = open_source(path), vectors(path)
    for window in (Window(0, 0, 1, 1), Window(7, 3, 20, 11), Window(39, 23, 1, 1)):
        part = source.read(window).decode().values
        np.testing.assert_array_equal(part, whole[:, *window.slices])


def test_mirrored_columns_are_turned(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(3, 4, 5)).astype(np.float32)
    mirrored = (-10.0, 0.0, 500_050.0, 0.0, -10.0, 5_300_000.0)
    path = products.write_raster(tmp_path / "m.tif", values, transform=mirrored)
    np.testing.assert_array_equal(vectors(path), values[:, :, ::-1])
    assert "east to west" in traits_of(open_source(path)).notes[0]


def test_pixels_with_some_nodata_codes_are_rejected_and_counted(tmp_path: Path) -> None:
    codes = products.aef_codes(8, 8)
    codes[5, 2, 2], codes[:, 1, 1] = -128, -128
    source = open_source(products.write_aef(tmp_path / "a.tif", codes))
    data = source.read(source.grid.window)
    assert data.valid is not None
    assert (int((~data.valid).sum()), data.rejected) == (2, 1)


def test_unnamed_aef_is_known_by_its_norm(tmp_path: Path) -> None:
    path = products.write_aef(tmp_path / "x.tif", products.aef_codes(16, 16), named=False)
    assert traits_of(open_source(path)).product == "aef"


def test_float_aef_recovers_the_codes(tmp_path: Path) -> None:
    """Earth Engine's floats lie on the grid of the codes, so their recipe is the lossless one."""
    names = [f"A{band:02d}" for band in range(64)]
    values = products.power_values(products.aef_codes(16, 16)).astype(np.float64)
    path = products.write_raster(tmp_path / "ee.tif", values, names=names)
    assert traits_of(open_source(path)).recipe == "aef"
    off = products.write_raster(tmp_path / "off.tif", values * 0.999, names=names)
    assert traits_of(open_source(off)).recipe is None


@pytest.mark.parametrize("per_component", [False, True])
def test_tessera_npy(tmp_path: Path, rng: np.random.Generator, per_component: bool) -> None:
    """Codes times scales; water is invalid, corrupt scales are rejected one by one and counted."""
    codes = rng.integers(-127, 128, size=(12, 10, 128), dtype=np.int8)
    scales = rng.uniform(0.01, 0.2, size=(12, 10)).astype(np.float32)
    land = np.ones((12, 10), np.uint8)
    land[0] = 0
    for place, bad in enumerate((np.nan, np.inf, -161_685.0, 0.0, 1.0)):
        scales[3, place] = bad
    scales[0, 0] = -1.0  # on water: invalid, but not counted as corrupt
    stored = np.repeat(scales[..., np.newaxis], 128, axis=2) if per_component else scales
    path = products.write_tessera_npy(tmp_path, codes, stored, landmask=land)
    source = open_source(path)
    data = source.read(source.grid.window)
    valid = (land == 1) & ~(np.arange(12)[:, None] == 3) | (
        (np.arange(12)[:, None] == 3) & (np.arange(10) >= 5)
    )
    assert data.rejected == 5
    np.testing.assert_array_equal(data.valid, valid)
    expected = (codes.astype(np.float32) * scales[..., np.newaxis]).transpose(2, 0, 1)
    np.testing.assert_array_equal(data.decode().values[:, valid], expected[:, valid])
    assert (source.dimension, source.grid.shape) == (128, (12, 10))


def test_tessera_land_mask_in_the_archives_folder(tmp_path: Path) -> None:
    folder = tmp_path / "2024" / "grid_9.05_47.85"
    path = products.write_tessera_npy(
        folder,
        np.ones((4, 4, 128), np.int8),
        np.full((4, 4), 0.1, np.float32),
        mask_folder=tmp_path / "global_0.1_degree_tiff_all",
    )
    assert open_source(path).grid.crs_code == "EPSG:32632"


@pytest.mark.parametrize("missing", ["_scales.npy", ".tiff"])
def test_tessera_names_the_file_that_is_missing(tmp_path: Path, missing: str) -> None:
    path = products.write_tessera_npy(
        tmp_path, np.ones((4, 4, 128), np.int8), np.full((4, 4), 0.1, np.float32)
    )
    path.with_name(path.stem + missing).unlink()
    with pytest.raises(SourceError, match=missing):
        open_source(path)


def test_truncated_npy_is_refused(tmp_path: Path) -> None:
    path = products.write_tessera_npy(
        tmp_path, np.ones((4, 4, 128), np.int8), np.full((4, 4), 0.1, np.float32)
    )
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match="truncated"):
        open_source(path)


def test_tessera_tiff(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(128, 6, 5)).astype(np.float32)
    values[:, 0, 0] = np.nan
    path = products.write_tessera_tiff(tmp_path, values)
    np.testing.assert_array_equal(vectors(path), values)
    assert traits_of(open_source(path)).product == "tessera"


def test_tessera_zarr_has_a_source_per_zone(tmp_path: Path, rng: np.random.Generator) -> None:
    codes = rng.integers(-127, 128, size=(2, 128, 20, 24), dtype=np.int8)
    scales = rng.uniform(0.01, 0.2, size=(2, 20, 24)).astype(np.float32)
    scales[1, 0, 0], scales[1, 0, 1], scales[1, 0, 2] = np.nan, np.inf, -5.0
    zones = {32: (codes, scales), 33: (codes, scales)}
    path = products.write_tessera_zarr(tmp_path / "t.zarr", zones, years=(2023, 2024))
    sources = open_sources([path], ReadOptions(year=2024))
    assert list(sources) == ["utm32n", "utm33n"]
    data = sources["utm33n"].read(Window(0, 0, 20, 24))
    assert data.valid is not None
    assert (int((~data.valid).sum()), data.rejected) == (3, 1)
    expected = codes[1].astype(np.float32) * scales[1]
    np.testing.assert_array_equal(data.decode().values[:, data.valid], expected[:, data.valid])
    with pytest.raises(InvalidConfigError, match="2023, 2024"):
        open_sources([path], ReadOptions())


def test_aef_zarr(tmp_path: Path) -> None:
    codes = products.aef_codes(20, 24)
    codes[:, 2, 2] = -128
    path = products.write_aef_zarr(tmp_path / "mosaic.zarr", codes[np.newaxis])
    expected = products.power_values(codes)
    expected[:, 2, 2] = np.nan
    np.testing.assert_array_equal(vectors(path), expected)
    assert open_source(path).grid.crs_code == "EPSG:4326"


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_olmoearth(tmp_path: Path, rng: np.random.Generator, dtype: type[np.generic]) -> None:
    codes = rng.integers(-127, 128, size=(768, 4, 3), dtype=np.int8)
    codes[:, 0, 0] = -128
    stored = codes if dtype is np.int8 else products.power_values(codes)
    path = products.write_olmoearth(tmp_path / "olmoearth_base.tif", stored)
    source = open_source(path)
    data = source.read(source.grid.window)
    assert traits_of(source).product == "olmoearth"
    valid = np.ones((4, 3), bool) if data.valid is None else data.valid
    expected = products.power_values(codes)
    np.testing.assert_array_equal(data.decode().values[:, valid], expected[:, valid])


@pytest.mark.parametrize("bands_per_file", [1, 3])
def test_files_of_few_bands_form_one_embedding(
    tmp_path: Path, rng: np.random.Generator, bands_per_file: int
) -> None:
    """Bands stand in the order of their numbers, whatever the order of the files."""
    values = rng.normal(size=(12, 5, 6)).astype(np.float32)
    names = [f"X_{band}" for band in range(12)]
    paths = products.write_band_files(tmp_path, values, names, bands_per_file=bands_per_file)
    source = open_source(paths[::-1])
    np.testing.assert_array_equal(source.read(source.grid.window).values, values)


def test_aef_bands_in_files_are_aef(tmp_path: Path) -> None:
    codes = products.aef_codes(8, 8)
    names = [f"A{band:02d}" for band in range(64)]
    products.write_band_files(tmp_path, products.power_values(codes), names)
    traits = traits_of(open_source(tmp_path))
    assert (traits.product, traits.recipe, traits.unit_norm) == ("aef", "aef", True)


def test_int8_of_an_unknown_product_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    codes = rng.integers(-127, 128, size=(7, 4, 4), dtype=np.int8)
    path = products.write_raster(tmp_path / "x.tif", codes)
    with pytest.raises(SourceError, match='product="aef" or "olmoearth"'):
        open_source(path)
    np.testing.assert_array_equal(vectors(path, product="raster"), codes.astype(np.float32))
    np.testing.assert_array_equal(vectors(path, product="olmoearth"), products.power_values(codes))


def test_products_and_nodata_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = products.write_aef(tmp_path / "a.tif", products.aef_codes(4, 4))
    with pytest.raises(InvalidConfigError, match="expected one of aef"):
        open_source(path, product="aeff")
    with pytest.raises(InvalidConfigError, match="its nodata by definition"):
        open_source(path, nodata=0)


def test_dataarray_in_any_order_of_dimensions(rng: np.random.Generator) -> None:
    import xarray as xr

    from geoembz._convert.inputs import open_inputs

    values = rng.normal(size=(6, 5, 4)).astype(np.float32)
    array = xr.DataArray(
        values,
        dims=("lat", "lon", "feature"),
        coords={"lat": np.linspace(40, 41, 6), "lon": np.linspace(9, 10, 5)},
    )
    for data in (array, array.to_dataset(name="embedding")):
        (source,) = open_inputs(data, ReadOptions()).values()
        read = source.read(source.grid.window).values
        np.testing.assert_array_equal(read, values.transpose(2, 0, 1)[:, ::-1])  # north-up
        assert source.grid.transform[4] < 0
    flat = xr.Dataset({f"b{i}": array[..., i] for i in range(4)})
    (source,) = open_inputs(flat, ReadOptions()).values()
    np.testing.assert_array_equal(source.read(source.grid.window).values, read)
