"""One rule from nodata to valid: all components, or a value that no component can have."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

import geoembz
from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources import open_source
from geoembz.sources.nodata import Nodata, apply_nodata
from tests import products
from tests.conftest import MakeRaster


def valid(raw: NDArray[Any], declared: list[Any]) -> list[bool]:
    """Return which pixels of ``(dimension, n)`` are valid."""
    data = apply_nodata(raw, None, Nodata.of(declared))
    known = np.ones(raw.shape[1], np.bool_) if data.valid is None else data.valid
    return [bool(value) for value in known]


@pytest.mark.parametrize("value", [0.0, -1.0, 1.0, 255.0])
def test_a_value_that_components_can_have_is_nodata_in_all_of_them(value: float) -> None:
    """GDAL's rule for vectors; pixels with it in some components are counted, and stay."""
    raw = np.array([[value, value, 2], [value, 2, 2]], np.float32)
    data = apply_nodata(raw, None, Nodata.of([value, value]))
    assert valid(raw, [value, value]) == [False, True, True]
    assert (data.partial, data.rejected) == (1, 0)


@pytest.mark.parametrize("value", [-9999.0, -32768.0, 1e20, np.finfo(np.float32).min])
def test_a_value_that_no_component_has_damages_a_vector(value: float) -> None:
    """−9999 in some components only is no number: the pixel is rejected, and counted."""
    raw = np.array([[value, value, 2], [value, 2, 2]], np.float32)
    data = apply_nodata(raw, None, Nodata.of([value, value]))
    assert valid(raw, [value, value]) == [False, False, True]
    assert (data.partial, data.rejected) == (0, 1)


def test_bands_may_declare_other_values_or_none() -> None:
    """A pixel is nodata where every band that declares a value has its own."""
    raw = np.array([[1, 1, 1, 5], [2, 2, 5, 2], [3, 5, 3, 3]], np.float32)
    assert valid(raw, [1, 2, 3]) == [False, True, True, True]
    assert valid(raw, [1, 2, None]) == [False, False, True, True]
    assert valid(raw, [[1, 9], [2, 9], None]) == [False, False, True, True]


@pytest.mark.parametrize(
    ("dtype", "declared", "stored"),
    [
        ("float32", -3.4028234663852886e38, np.finfo(np.float32).min),
        ("float32", -3.40282347e38, np.finfo(np.float32).min),
        ("float32", 0.1, np.float32(0.1)),
        ("uint8", 255, 255),
        ("int64", -9007199254740993, -9007199254740992),
    ],
)
def test_numbers_are_compared_in_the_type_that_they_are_stored_in(
    dtype: str, declared: float, stored: Any
) -> None:
    """A float32 holds the nearest number to what was declared."""
    raw = np.array([[stored, 1]], dtype)
    assert valid(raw, [declared]) == [False, True]


@pytest.mark.parametrize("declared", [-9999, 255.5, 300, 1e40, np.nan])
def test_what_a_type_cannot_hold_is_nowhere(declared: float) -> None:
    """−9999 of uint8 is no pixel's value, whatever it would wrap to."""
    raw = np.array([[241, 0, 255, 44]], np.uint8)
    assert valid(raw, [declared]) == [True] * 4


@pytest.mark.parametrize("fill", [-3.4028234663852886e38, 3.4e38, -1e32, 9.969209968386869e36])
@pytest.mark.parametrize("recipe", ["int8", "pca4-int8", "l2-pca4-int8", "float32"])
def test_undeclared_extremes_are_rejected_wherever_they_are(
    fill: float,
    recipe: str,
    scene: NDArray[np.float32],
    holes: NDArray[np.bool_],
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    """GDAL's and netCDF's favourite fills make a pixel invalid, though nobody declared them."""
    values = np.where(holes, np.float32(fill), scene)
    values[3, 0, 0] = fill  # one component of one pixel
    path = make_raster(tmp_path / "in.tif", values.astype(np.float32))
    summary = geoembz.convert(path, tmp_path / "out", recipe=recipe)
    expected = ~holes
    expected[0, 0] = False
    assert summary.valid_pixels == expected.sum()
    assert summary.rejected_pixels == (~expected).sum()
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    np.testing.assert_array_equal(np.isfinite(decoded).all(axis=0), expected)


def test_zero_of_a_relu_is_a_number(
    scene: NDArray[np.float32], holes: NDArray[np.bool_], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Nodata 0 takes the pixels that are 0 throughout; the summary counts the others with a 0."""
    values = np.where(holes, 0, np.maximum(scene + 0.3, 0)).astype(np.float32)
    some, every = (values == 0).any(axis=0), (values == 0).all(axis=0)
    assert some.sum() > 2 * every.sum()
    path = make_raster(tmp_path / "in.tif", values, nodata=0)
    summary = geoembz.convert(path, tmp_path / "out", quantizer="float32")
    assert summary.valid_pixels == (~every).sum()
    assert summary.partial_pixels == (some & ~every).sum()
    assert f"nodata in part      {summary.partial_pixels:,}" in summary.to_table()
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    np.testing.assert_array_equal(decoded, np.where(every, np.nan, values))


@pytest.mark.parametrize("scaled", [True, False])
def test_one_file_per_band_is_the_same_as_one_file(
    scaled: bool, make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Scale, offset and nodata of each file hold for the joined vectors, all components of them."""
    stored = rng.integers(-300, 300, (5, 8, 9)).astype(np.int16)
    stored[:, 2:4] = -1  # nodata of a value that numbers have, too
    folder = tmp_path / "bands"
    folder.mkdir()
    one = make_raster(tmp_path / "one.tif", stored, nodata=-1)
    files = [
        make_raster(folder / f"emb_{band}.tif", stored[band : band + 1], nodata=-1)
        for band in range(5)
    ]
    for place, path in enumerate([one, *files]):
        with rasterio.open(path, "r+") as dataset:
            scales = [0.001 * (band + 1) for band in range(5)]
            if scaled:
                dataset.scales = scales if place == 0 else scales[place - 1 : place]
                dataset.offsets = [0.5] * dataset.count
    whole, parts = open_source(one), open_source(folder)
    assert whole.dtype == parts.dtype == (np.float32 if scaled else np.int16)
    window = Window(1, 0, 6, 9)
    a, b = whole.read(window), parts.read(window)
    np.testing.assert_array_equal(a.values, b.values)
    assert a.values.dtype == whole.dtype
    assert a.valid is not None
    assert b.valid is not None
    np.testing.assert_array_equal(a.valid, b.valid)
    np.testing.assert_array_equal(a.valid, ~(stored[:, 1:7] == -1).all(axis=0))
    if scaled:
        exact = stored[:, 1:7] * np.array(scales).reshape(-1, 1, 1) + 0.5
        np.testing.assert_array_equal(a.values, exact.astype(np.float32))


def test_a_declared_scale_says_that_int8_are_numbers(
    make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Int8 with a scale needs no product: the file says what its numbers mean."""
    stored = rng.integers(-127, 128, (12, 20, 20)).astype(np.int8)
    path = make_raster(tmp_path / "in.tif", stored)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.01,) * 12
    geoembz.convert(path, tmp_path / "out", quantizer="float32")
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    np.testing.assert_array_equal(decoded, (stored * 0.01).astype(np.float32))


def test_tiles_with_other_scales_are_one_mosaic(
    make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Each tile of a mosaic is scaled by its own factor, also where two are read together."""
    stored = rng.integers(1, 100, (3, 8, 8)).astype(np.int16)
    for column, scale in enumerate((0.1, 0.5)):
        transform = (10.0, 0.0, 500_000.0 + 80 * column, 0.0, -10.0, 5_200_000.0)
        path = make_raster(tmp_path / f"tile_{column}.tif", stored, transform=transform)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (scale,) * 3
    mosaic = open_source([tmp_path / "tile_0.tif", tmp_path / "tile_1.tif"])
    read = mosaic.read(Window(0, 0, 8, 16))
    expected = np.concatenate([stored * 0.1, stored * 0.5], axis=2).astype(np.float32)
    np.testing.assert_array_equal(read.values, expected)


@pytest.mark.parametrize("place", ["olmoearth_vs_clay", "OlmoEarth-v1", "grid_0.15_52.05_2024"])
def test_folders_name_no_product(
    place: str, make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """A folder called olmoearth holds other models' int8, too: they are refused as elsewhere."""
    folder = tmp_path / place
    folder.mkdir()
    codes = rng.integers(-127, 128, (16, 20, 20)).astype(np.int8)
    path = make_raster(folder / "clay_int8.tif", codes)
    with pytest.raises(geoembz.errors.SourceError, match="unknown product"):
        open_source(path)


def test_masks_of_single_bands_hold(
    make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Where each band has a mask of its own, a pixel needs all of them."""
    values = rng.normal(size=(3, 6, 7)).astype(np.float32)
    path = make_raster(tmp_path / "in.tif", values)
    masks = np.full((3, 6, 7), 255, np.uint8)
    masks[0, 0], masks[2, :, 1] = 0, 0
    sidecar = make_raster(tmp_path / "mask.tif", masks)
    with rasterio.open(sidecar, "r+") as dataset:
        dataset.update_tags(**{f"INTERNAL_MASK_FLAGS_{band}": "0" for band in (1, 2, 3)})
    sidecar.rename(tmp_path / "in.tif.msk")
    with rasterio.open(path) as dataset:
        assert dataset.mask_flag_enums == ([], [], [])
    read = open_source(path).read(Window(0, 0, 6, 7))
    assert read.valid is not None
    np.testing.assert_array_equal(read.valid, masks.min(axis=0) > 0)


@pytest.mark.parametrize("on", [1, 255])
def test_masks_of_ones_are_masks(
    on: int, make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Whatever is not 0 is valid, in 0/1 as in 0/255."""
    values = rng.normal(size=(3, 6, 7)).astype(np.float32)
    path = make_raster(tmp_path / "in.tif", values)
    mask = np.full((1, 6, 7), on, np.uint8)
    mask[0, 2:4] = 0
    sidecar = make_raster(tmp_path / "mask.tif", mask)
    with rasterio.open(sidecar, "r+") as dataset:
        dataset.update_tags(INTERNAL_MASK_FLAGS_1="2")
    sidecar.rename(tmp_path / "in.tif.msk")
    read = open_source(path).read(Window(0, 0, 6, 7))
    assert read.valid is not None
    np.testing.assert_array_equal(read.valid, mask[0] > 0)


NAMES = tuple(f"A{band:02d}" for band in range(64))
VECTORS = products.power_values(products.aef_codes(20, 20))


@pytest.mark.parametrize("fill", [0.0, -1.0, -((128 / 127.5) ** 2), -128.0, -9999.0, 0.05])
@pytest.mark.parametrize("named", [True, False])
def test_fill_of_alphaearth_is_no_vector(fill: float, named: bool, tmp_path: Path) -> None:
    """Floats of one number throughout are rejected wherever they are read, or refused in words."""
    values = VECTORS.copy()
    values[:, :, :8] = fill
    path = products.write_raster(tmp_path / "in.tif", values, names=NAMES if named else ())
    if not named:  # by its contents it may be anyone's; the way out is named, and works
        with pytest.raises(SourceError, match=r"1\d\d of 3\d\d .* pass nodata=") as caught:
            geoembz.convert(path, tmp_path / "out")
        nodata = float(str(caught.value).partition("nodata=")[2].split(",")[0].strip("'\""))
        summary = geoembz.convert(path, tmp_path / "out", nodata=nodata)
        assert (summary.valid_pixels, summary.rejected_pixels) == (240, 0)
        whole = geoembz.convert(path, tmp_path / "whole", nodata="none")
        assert whole.valid_pixels == 400
        return
    summary = geoembz.convert(path, tmp_path / "out")
    assert (summary.recipe, summary.valid_pixels, summary.rejected_pixels) == ("aef", 240, 160)
    decoded = geoembz.open(tmp_path / "out")["embedding"].values
    assert np.isnan(decoded[:, :, :8]).all()
    np.testing.assert_array_equal(decoded[:, :, 8:], VECTORS[:, :, 8:])


def test_every_window_rejects_the_same_pixels(tmp_path: Path) -> None:
    """A pixel is judged by itself: one damaged component, a long vector, one fill pixel."""
    values = VECTORS.copy()
    values[5, 3, 3] = -1.00786  # an unmasked −128 in one band
    values[:, 7, 1] *= 2
    values[:, 9, 9] = 0
    values[:, 11] *= 0.7  # averages are shorter
    path = products.write_raster(tmp_path / "in.tif", values, names=NAMES)
    source = open_source(path)
    expected = np.ones((20, 20), np.bool_)
    expected[3, 3] = expected[7, 1] = expected[9, 9] = False
    for row, col, side in ((0, 0, 20), (3, 3, 1), (1, 1, 9), (9, 9, 5), (11, 0, 3)):
        read = source.read(Window(row, col, side, side))
        known = np.ones((side, side), np.bool_) if read.valid is None else read.valid
        wanted = expected[row : row + side, col : col + side]
        np.testing.assert_array_equal(known, wanted)
        assert read.rejected == (~wanted).sum()


@pytest.mark.parametrize("code", [0, 127, -127])
def test_codes_of_one_number_are_no_vectors(code: int, tmp_path: Path) -> None:
    """Int8 tiles whose fill is not −128."""
    codes = products.aef_codes(20, 20)
    codes[:, :, :3] = code
    codes[:, 0] = products.NODATA
    path = products.write_aef(tmp_path / "in.tif", codes)
    summary = geoembz.convert(path, tmp_path / "out")
    assert (summary.valid_pixels, summary.rejected_pixels) == (19 * 17, 19 * 3)


def test_averages_of_alphaearth_stay_valid(tmp_path: Path) -> None:
    """Means of unit vectors are shorter, some by much."""
    factors = np.linspace(0.05, 1, 400).reshape(20, 20)
    values = (VECTORS * factors).astype(np.float32)
    path = products.write_raster(tmp_path / "in.tif", values, names=NAMES)
    summary = geoembz.convert(path, tmp_path / "out", quantizer="float32")
    assert (summary.valid_pixels, summary.rejected_pixels) == (400, 0)


@pytest.mark.parametrize("fill", [-9999.0, 65535.0, 1e20])
def test_undeclared_fill_is_asked_for(
    fill: float,
    scene: NDArray[np.float32],
    holes: NDArray[np.bool_],
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    """Numbers that no component has, in all of them: the error says what to pass."""
    path = make_raster(tmp_path / "in.tif", np.where(holes, fill, scene).astype(np.float32))
    with pytest.raises(SourceError, match=r"in\.tif.* in all components.*nodata=") as caught:
        geoembz.convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    nodata = str(caught.value).partition("nodata=")[2].split(",")[0].strip("'\"")
    summary = geoembz.convert(path, tmp_path / "out", nodata=nodata)
    assert summary.valid_pixels == (~holes).sum()


def test_zero_vectors_of_other_models_stay(
    scene: NDArray[np.float32], holes: NDArray[np.bool_], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """A ReLU makes vectors of zeros; nothing but unit lengths of the others speaks against them."""
    values = np.where(holes, 0, np.maximum(scene, 0)).astype(np.float32)
    path = make_raster(tmp_path / "in.tif", values)
    summary = geoembz.convert(path, tmp_path / "out", quantizer="float32")
    assert summary.valid_pixels == holes.size


def test_the_check_by_place_knows_what_is_rejected(
    scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """`check` agrees where undeclared fill is left out, and where nodata is a number in part."""
    values = np.maximum(scene, 0).astype(np.float32)
    values[:, :9] = np.finfo(np.float32).min
    values[:, 20:30] = 0
    path = make_raster(tmp_path / "in.tif", values, nodata=0)
    summary = geoembz.convert(path, tmp_path / "out", quantizer="int8", check=True)
    assert summary.valid_pixels < (values[0] > -1).sum()
    assert summary.checked_pixels


def test_several_values_may_be_given(make_raster: MakeRaster, tmp_path: Path) -> None:
    """A raster that fills with two numbers; what was declared is named again."""
    values = products.unit_vectors(20, 20, dimension=16)
    values[:, :3], values[:, 5] = -9999, 0
    path = make_raster(tmp_path / "in.tif", values, nodata=-9999)
    with pytest.raises(SourceError, match="hold 0 in all components"):
        geoembz.convert(path, tmp_path / "out")
    summary = geoembz.convert(path, tmp_path / "out", nodata="0,-9999", check=True)
    assert summary.valid_pixels == 16 * 20


@pytest.mark.parametrize("split", [False, True])
def test_codes_with_a_scale_contradict_their_law(split: bool, tmp_path: Path) -> None:
    """AlphaEarth's int8 under a declared linear scale: neither law is taken without a word."""
    codes = products.aef_codes(20, 20)[:2] if split else products.aef_codes(20, 20)
    groups = [[0], [1]] if split else [list(range(64))]
    for number, bands in enumerate(groups):
        names = [NAMES[band] for band in bands]
        path = products.write_raster(tmp_path / f"in/{number}.tif", codes[bands], names=names)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (1 / 127.5,) * len(bands)
    with pytest.raises(SourceError, match="declared scale"):
        open_source(tmp_path / "in")
    if not split:
        source = open_source(tmp_path / "in", product="raster")
        read = source.read(Window(0, 0, 20, 20)).values
        np.testing.assert_array_equal(read, (codes / 127.5).astype(np.float32))
