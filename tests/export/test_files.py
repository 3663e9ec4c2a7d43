"""Pictures and GeoTIFFs show what the store holds, north up, where it lies."""

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

import geoembz
from geoembz._export import export_cog, preview
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.store import StoreReader
from tests.closeness import assert_same_vectors
from tests.export.conftest import HEIGHT, WIDTH, MakeStore, everything


def read(path: Path) -> NDArray[Any]:
    """Return all bands of a raster; a picture need not know where it lies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            return np.asarray(raster.read())


@pytest.mark.parametrize("space", ["original", "reduced", "codes"])
@pytest.mark.parametrize("options", [{}, {"quantizer": "int4"}, {"layout": "codec"}], ids=str)
def test_export_is_a_cog_with_the_same_numbers(
    make_store: MakeStore, tmp_path: Path, space: Any, options: dict[str, Any]
) -> None:
    """Bands are bit for bit what a read gives; missing pixels are nodata or masked."""
    from rio_cogeo.cogeo import cog_validate

    store = make_store(**options)
    summary = export_cog(store, tmp_path / "out.tif", space=space)
    valid, errors, notes = cog_validate(tmp_path / "out.tif", strict=True)
    assert valid, (errors, notes)
    expected = everything(store, space)
    assert_same_vectors(read(tmp_path / "out.tif"), expected)
    with rasterio.open(tmp_path / "out.tif") as raster:
        assert raster.crs.to_epsg() == 32632
        assert raster.transform[:6] == store.attributes.grid.transform
        missing = np.isnan(everything(store)[0])
        np.testing.assert_array_equal(raster.dataset_mask() == 0, missing)
    assert summary.shape == (HEIGHT, WIDTH)
    assert not list(tmp_path.glob(".out.tif*"))


def test_files_are_north_up(make_store: MakeStore, tmp_path: Path) -> None:
    """A store whose rows run north is turned round, place and all."""
    up = make_store(northwards=True)
    export_cog(up, tmp_path / "up.tif")
    preview(up, tmp_path / "up.png", size=35)
    assert_same_vectors(read(tmp_path / "up.tif"), everything(up)[:, ::-1])
    with rasterio.open(tmp_path / "up.tif") as raster:
        assert raster.transform[:6] == (10, 0, 500_000, 0, -10, 5_300_000)
    alpha = read(tmp_path / "up.png")[3]
    assert not alpha[:4, :3].any()
    assert alpha[10:, 5:].mean() > 250


def test_bbox_takes_the_pixels_it_touches(store: StoreReader, tmp_path: Path) -> None:
    """Corners on pixel borders take no neighbour; a box outside is an error that shows both."""
    box = (500_100.0, 5_299_500.0, 500_200.0, 5_299_630.0)
    summary = export_cog(store, tmp_path / "part.tif", bbox=box)
    assert summary.shape == (13, 10)
    assert_same_vectors(read(tmp_path / "part.tif"), everything(store)[:, 37:50, 10:20])
    with rasterio.open(tmp_path / "part.tif") as raster:
        assert tuple(raster.bounds) == box
    with pytest.raises(InvalidConfigError, match="outside"):
        export_cog(store, tmp_path / "none.tif", bbox=(0, 0, 1, 1))
    with pytest.raises(InvalidConfigError, match="xmin < xmax"):
        export_cog(store, tmp_path / "none.tif", bbox=(1, 0, 0, 1))
    export_cog(store, tmp_path / "lonlat.tif", bbox=(8.9, 47, 9.1, 48), bbox_crs="EPSG:4326")
    assert_same_vectors(read(tmp_path / "lonlat.tif"), everything(store))


def test_preview_stretches_the_first_three_components(store: StoreReader, tmp_path: Path) -> None:
    """Each band rises with its component; the middle 96 % use the whole range."""
    preview(store, tmp_path / "a.png")
    *bands, alpha = read(tmp_path / "a.png")
    scores = everything(store, "reduced")[:3]
    shown = ~np.isnan(scores[0])
    np.testing.assert_array_equal(alpha == 255, shown)
    for band, component in zip(bands, scores, strict=True):
        low, high = np.percentile(component[shown], [2, 98])
        assert (band[shown][component[shown] <= low] == 0).all()
        assert (band[shown][component[shown] >= high] == 255).all()
        order = np.argsort(component[shown])
        assert (np.diff(band[shown][order].astype(int)) >= 0).all()


@pytest.mark.parametrize("size", [7, 24, 70])
def test_preview_shows_every_nth_pixel(store: StoreReader, tmp_path: Path, size: int) -> None:
    """A `.tif` lies where the store does, and its pixels are every n-th of the store's."""
    summary = preview(store, tmp_path / "a.tif", size=size, bands=(1,))
    step = summary.step
    assert max(summary.shape) <= size
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert (raster.bounds.left, raster.bounds.top) == (500_000, 5_300_000)
        assert raster.transform.a == 10 * step
        np.testing.assert_array_equal(
            raster.read(2) == 255, ~np.isnan(everything(store)[0, ::step, ::step])
        )


@pytest.mark.parametrize("size", [1024, 7])
def test_preview_shows_small_grids_far_apart(
    size: int, make_raster: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Tiles that are smaller than a pixel of the map are one pixel of it each, where they lie."""
    tiles = []
    for zone in (31, 36):
        values = rng.normal(size=(4, 20, 20)).astype(np.float32)
        tiles.append(make_raster(tmp_path / f"{zone}.tif", values, crs=f"EPSG:326{zone}"))
    geoembz.convert(tiles, tmp_path / "a.zarr", pca=3)
    summary = preview(tmp_path / "a.zarr", tmp_path / "a.tif", size=size)
    with rasterio.open(tmp_path / "a.tif") as raster:
        rows, cols = np.nonzero(raster.read(4) == 255)
    assert max(summary.shape) == size
    assert (cols.min(), cols.max(), len(rows)) == (0, size - 1, 2)


def test_preview_of_nothing_is_an_error(store: StoreReader, tmp_path: Path) -> None:
    """Missing pixels only, unknown components, and other formats are refused."""
    with pytest.raises(NoValidPixelsError):
        preview(store, tmp_path / "a.png", bbox=(500_000, 5_299_950, 500_050, 5_300_000))
    with pytest.raises(InvalidConfigError, match="bands"):
        preview(store, tmp_path / "a.png", bands=(1, 2, 9))
    with pytest.raises(InvalidConfigError, match=r"\.png"):
        preview(store, tmp_path / "a.jpg")
    assert not list(tmp_path.glob("*a.png*"))


def test_memory_follows_the_block_not_the_store(
    make_raster: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Exporting holds much less than the decoded raster at any time."""
    import geoembz._export.cog as module

    values = rng.normal(size=(12, 240, 240)).astype(np.float32)
    source = make_raster(tmp_path / "large.tif", values)
    geoembz.convert(source, tmp_path / "large.zarr", pca=8, chunk=16, shard=32)
    store = StoreReader.open(str(tmp_path / "large.zarr"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", 64 * 64 * 12 * 4)
        export_cog(store, tmp_path / "warm.tif")
        tracemalloc.start()
        export_cog(store, tmp_path / "out.tif")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < values.nbytes
