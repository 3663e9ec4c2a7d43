"""Every recipe in every space is a GeoTIFF that rasterio reads: numbers, nodata, place, names."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr

import geoembz
from geoembz._export import export_cog
from geoembz._export.cog import band_labels
from geoembz._export.tiling import draft_side, tile_side, window_shape
from geoembz.store import StoreReader
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster
from tests.export.conftest import everything

RECIPES = (
    "float32", "float16", "int8", "int4", "int2", "binary", "ternary", "pca5-float16", "pca6-int8",
    "pca6-ternary", "rot-binary", "pq4x8", "l2-pca8-int4-lloyd", "aef",
)  # fmt: skip


@pytest.fixture(scope="module")
def values() -> Any:
    """Vectors ``(12, 30, 41)`` of length 1, some of them missing."""
    rng = np.random.default_rng(0)
    values = np.tensordot(rng.normal(size=(12, 4)), rng.normal(size=(4, 30, 41)), 1)
    values += 0.1 * rng.normal(size=values.shape)
    values = (values / np.linalg.norm(values, axis=0)).astype(np.float32)
    values[:, :5, :7] = np.nan
    values[:, 20, 33] = np.nan
    return values


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_in_every_space(
    recipe: str, values: Any, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """What rasterio reads is what the store holds; what is missing there is missing here."""
    from rio_cogeo.cogeo import cog_validate

    source = make_raster(tmp_path / "a.tif", values)
    geoembz.convert(source, tmp_path / "a.zarr", recipe=recipe, chunk=16, shard=32)
    store = StoreReader.open(str(tmp_path / "a.zarr"))
    missing = np.isnan(values[0])
    for space in ("original", "reduced", "codes"):
        summary = export_cog(store, tmp_path / f"{space}.tif", space=space)
        expected = everything(store, space)
        assert cog_validate(tmp_path / f"{space}.tif", strict=True)[0]
        with rasterio.open(tmp_path / f"{space}.tif") as raster:
            assert_same_vectors(raster.read(), expected)
            assert raster.dtypes == (str(expected.dtype),) * len(expected)
            np.testing.assert_array_equal(raster.dataset_mask() == 0, missing)
            assert raster.descriptions == band_labels(store, space, len(expected))
            assert raster.crs.to_epsg() == 32632
            assert raster.transform[:6] == store.attributes.grid.transform
            assert raster.tags()["geoembz_recipe"] == str(store.encoding.recipe)
        assert summary.dtype == str(expected.dtype)


@pytest.mark.parametrize("patch", [False, True])
def test_codes_of_eight_bits_say_how_they_are_components(
    patch: bool, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """Scale and offset of each band: GDAL and QGIS show components; the numbers are the codes."""
    values = np.random.default_rng(0).normal(size=(5, 40, 30)).astype(np.float32)
    source = make_raster(tmp_path / "a.tif", values)
    geoembz.convert(source, tmp_path / "a.zarr", recipe="pca3-int8", chunk=16, shard=32)
    where: dict[str, Any] = {"like": source} if patch else {}
    geoembz.export(tmp_path / "a.zarr", tmp_path / "codes.tif", space="codes", **where)
    store = StoreReader.open(str(tmp_path / "a.zarr"))
    arrays = zarr.open_group(tmp_path / "a.zarr" / "encoding", mode="r")
    with rasterio.open(tmp_path / "codes.tif") as raster:
        np.testing.assert_array_equal(raster.read(), everything(store, "codes"))
        np.testing.assert_array_equal(raster.scales, np.asarray(arrays["scale"]))
        np.testing.assert_array_equal(raster.offsets, np.asarray(arrays["offset"]))


def test_overviews_of_float16_are_means(tmp_path: Path, make_raster: MakeRaster) -> None:
    """GDAL's own fail for several bands; ours halve until one tile holds all."""
    values = np.random.default_rng(0).normal(size=(3, 520, 1_300)).astype(np.float32)
    geoembz.convert(make_raster(tmp_path / "a.tif", values), tmp_path / "a.zarr", recipe="float16")
    export_cog(tmp_path / "a.zarr", tmp_path / "out.tif", space="codes")
    with rasterio.open(tmp_path / "out.tif") as raster:
        assert raster.overviews(1) == [2, 4]
        halved = raster.read(out_shape=(3, 260, 650))
    expected = values.reshape(3, 260, 2, 650, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(halved, expected, atol=2e-3)


def test_many_bands_of_a_small_raster(tmp_path: Path, make_raster: MakeRaster) -> None:
    """2,048 bands of 24 x 24 pixels are 5 MB, not 2 GB of padding; memory stays small."""
    values = np.random.default_rng(0).normal(size=(2_048, 24, 24)).astype(np.float32)
    geoembz.convert(make_raster(tmp_path / "a.tif", values), tmp_path / "a.zarr", recipe="float32")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    export_cog(tmp_path / "a.zarr", tmp_path / "out.tif")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 300 * 2**20
    with rasterio.open(tmp_path / "out.tif") as raster:
        assert raster.block_shapes[0] == (32, 32)
        np.testing.assert_array_equal(raster.read(), values)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3_000), (512, 512), (513, 400), (5_000, 7_000)])
def test_tiles_pad_little(shape: tuple[int, int]) -> None:
    """Tiles are multiples of 16, at most 512, and at most 15 pixels larger than a raster."""
    side = tile_side(shape)
    assert side % 16 == 0
    assert 16 <= side <= min(512, max(16, min(shape) + 15))
    padded = np.prod([-(-size // side) * side for size in shape])
    assert padded <= max(1.5 * np.prod(shape), np.prod([size + 31 for size in shape]))


def test_windows_and_tiles_are_bounded_by_bytes() -> None:
    """However many bands there are, a window and a draft's tile stay within their bytes."""
    for bands in (1, 64, 2_048, 16_384):
        rows, cols = window_shape((1_024, 1_024), 5_000, bands * 4, 64 * 2**20)
        assert rows * cols * bands * 4 <= 64 * 2**20
        side = draft_side((5_000, 5_000), bands * 4, 4 * 2**20)
        assert side == 16 or side**2 * bands * 4 <= 4 * 2**20
