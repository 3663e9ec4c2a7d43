"""Pixels of another grid are those of the store under their centres, over all of its grids."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._export import patch as module
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster
from tests.export.conftest import MakeStore, everything
from tests.export.test_files import read

AROUND = (11.985, 46.992, 12.015, 47.008)
"""The overlap of the two zones, and some way around it, in degrees."""


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of zones 32 and 33 that meet, and overlap, around 12 degrees east.

    Zone 32 has no data in its western third, and in some pixels within the overlap.
    """
    folder, rng = tmp_path_factory.mktemp("zones"), np.random.default_rng(5)
    for name, crs, left, width in (("a", 32632, -600, 80), ("b", 32633, -200, 90)):
        to_zone = Transformer.from_crs("OGC:CRS84", f"EPSG:{crs}", always_xy=True)
        x, y = (round(value, -1) for value in to_zone.transform(12.0, 47.0))
        values = rng.normal(size=(6, 70, width)).astype(np.float32)
        if name == "a":
            values[:, :, :20] = np.nan
            values[:, 30:36, 60:70] = np.nan
        with rasterio.open(
            folder / f"{name}.tif", "w", driver="GTiff", count=6, height=70, width=width,
            dtype="float32", nodata=np.nan, crs=f"EPSG:{crs}",
            transform=rasterio.Affine(10, 0, x + left, 0, -10, y + 300),
        ) as raster:  # fmt: skip
            raster.write(values)
    store = folder / "zones.zarr"
    geoembz.convert([folder / "a.tif", folder / "b.tif"], store, pca=4, chunk=16, shard=32)
    return store


def look_up(store: Path, raster: Any, space: Any = "original") -> NDArray[Any]:
    """Return what lies under the centres of a raster's pixels, one by one."""
    layers = []
    for name in ("utm32n", "utm33n"):
        reader = StoreReader.open(str(store / name))
        grid = reader.attributes.grid
        to_grid = Transformer.from_crs(raster.crs, grid.crs_wkt, always_xy=True)
        layers.append((grid, to_grid, everything(reader, space), everything(reader)))
    result = np.full((len(layers[0][2]), *raster.shape), np.nan)
    for row, col in np.ndindex(raster.shape):
        place = raster.transform @ (col + 0.5, row + 0.5)
        for grid, to_grid, values, vectors in layers:
            y, x = (int(np.floor(v)) for v in grid.rows_cols(*to_grid.transform(*place)))
            inside = 0 <= y < grid.shape[0] and 0 <= x < grid.shape[1]
            if inside and not np.isnan(vectors[0, y, x]):
                result[:, row, col] = values[:, y, x]
                break
    return result


@pytest.mark.parametrize(("crs", "resolution"), [("EPSG:3857", 37.0), ("EPSG:4326", 0.0004)])
@pytest.mark.parametrize("space", ["original", "codes"])
def test_a_box_over_two_zones_is_one_raster(
    zones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    crs: str,
    resolution: float,
    space: Any,
) -> None:
    """Of overlapping zones the first with data; nodata elsewhere; codes are codes; by blocks."""
    monkeypatch.setattr(module, "_BLOCK", (16, 16))
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    out, box = tmp_path / "a.tif", ",".join(map(str, AROUND))
    words = ["export", str(zones), str(out), "--bbox", box, "--bbox-crs", "EPSG:4326"]
    words += ["--crs", crs, "--resolution", str(resolution), "--space", space]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    with rasterio.open(out) as raster:
        assert raster.crs.to_string() == crs
        assert raster.res == pytest.approx((resolution, resolution))
        edges = np.array([raster.transform.c, raster.transform.f]) / resolution
        np.testing.assert_allclose(edges, np.round(edges), atol=1e-6)
        to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        left, _, right, top = to_crs.transform_bounds(*AROUND)
        assert raster.bounds.left <= left < raster.bounds.left + resolution
        assert raster.bounds.top - resolution < top <= raster.bounds.top
        assert raster.bounds.right - resolution < right <= raster.bounds.right
        expected = look_up(zones, raster, space)
        found, valid = raster.read(), raster.dataset_mask() > 0
    np.testing.assert_array_equal(valid, ~np.isnan(expected[0]))
    assert 0.1 < valid.mean() < 0.9
    assert_same_vectors(found[:, valid], expected[:, valid])


def test_like_takes_the_grid_of_a_raster(zones: Path, tmp_path: Path) -> None:
    """Its CRS, size and corner, whatever it holds."""
    x, y = Transformer.from_crs("OGC:CRS84", "EPSG:3035", always_xy=True).transform(12.0, 47.0)
    with rasterio.open(
        tmp_path / "like.tif", "w", driver="GTiff", count=1, height=31, width=43, dtype="uint8",
        crs="EPSG:3035", transform=rasterio.Affine(17, 0, x - 700, 0, -19, y + 300),
    ) as raster:  # fmt: skip
        raster.write(np.ones((1, 31, 43), np.uint8))
        profile = raster.transform, raster.shape, raster.crs
    summary = geoembz.export(zones, tmp_path / "a.tif", like=tmp_path / "like.tif", space="reduced")
    assert summary.to_json()["shape"] == (31, 43)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert (raster.transform, raster.shape, raster.crs) == profile
        expected, found = look_up(zones, raster, "reduced"), raster.read()
    assert_same_vectors(found, expected.astype(np.float32))
    assert 0.2 < np.isnan(found[0]).mean() < 0.9


def test_masks_stay_where_codes_do_not_say_nodata(make_store: MakeStore, tmp_path: Path) -> None:
    """Of binary codes, outside and nodata alike; a store whose rows run north is looked up, too."""
    store = make_store(quantizer="binary", northwards=True)
    out, grid = tmp_path / "a.tif", store.attributes.grid
    box = (499_900.0, 5_299_500.0, 500_300.0, 5_300_100.0)
    geoembz.export(store, out, crs="EPSG:32632", resolution=20.0, bbox=box, space="codes")
    with rasterio.open(out) as raster:
        codes, valid = raster.read(), raster.dataset_mask() > 0
        x, y = (np.array(axis) for axis in zip(*map(raster.xy, range(30), [0] * 30), strict=True))
        assert raster.bounds == box
        x = raster.transform.c + 20 * (np.arange(20) + 0.5)
    rows, cols = (np.floor(at).astype(int) for at in grid.rows_cols(x[:20], y[:, np.newaxis]))
    rows, cols = np.broadcast_arrays(rows, cols)
    inside = (rows >= 0) & (rows < grid.shape[0]) & (cols >= 0) & (cols < grid.shape[1])
    expected = np.zeros_like(valid)
    expected[inside] = ~np.isnan(everything(store)[0, rows[inside], cols[inside]])
    np.testing.assert_array_equal(valid, expected)
    stored = everything(store, "codes")[:, rows[valid], cols[valid]]
    np.testing.assert_array_equal(codes[:, valid], stored)


def test_the_stores_own_grid_gives_its_own_pixels(store: StoreReader, tmp_path: Path) -> None:
    """Without a box its extent, without a resolution about that of its pixels."""
    summary = geoembz.export(store, tmp_path / "a.tif", crs="EPSG:32632")
    assert summary.to_json()["shape"] == (70, 50)
    assert_same_vectors(read(tmp_path / "a.tif"), everything(store))
    geoembz.export(store, tmp_path / "b.tif", crs="EPSG:3857")
    with rasterio.open(tmp_path / "b.tif") as raster:
        assert raster.res == pytest.approx((14.9, 14.9))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32760"])
def test_across_the_antimeridian_it_is_one_raster(
    tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator, crs: str
) -> None:
    """Longitudes run on beyond 180 in the written file, with or without a box."""
    values = rng.normal(size=(4, 40, 60)).astype(np.float32)
    transform = (0.01, 0.0, 179.7, 0.0, -0.01, -16.0)
    make_raster(tmp_path / "in.tif", values, crs="EPSG:4326", transform=transform)
    store = tmp_path / "a.zarr"
    geoembz.convert(tmp_path / "in.tif", store, quantizer="float32", chunk=16)
    options: dict[str, Any] = {"crs": crs, "resolution": 0.01 if crs == "EPSG:4326" else 1000.0}
    geoembz.export(store, tmp_path / "all.tif", **options)
    box = (179.8, -16.3, -179.9, -16.1)
    geoembz.export(store, tmp_path / "box.tif", bbox=box, bbox_crs="EPSG:4326", **options)
    for name in ("all", "box"):
        with rasterio.open(tmp_path / f"{name}.tif") as raster:
            found, to_degrees = (
                raster.read(),
                Transformer.from_crs(crs, "EPSG:4326", always_xy=True),
            )
            cols, rows = np.meshgrid(np.arange(raster.width), np.arange(raster.height))
            lon, lat = to_degrees.transform(*(raster.transform @ (cols + 0.5, rows + 0.5)))
            assert raster.width < 80
        lon = np.mod(lon, 360)
        row, col = np.floor((-16.0 - lat) / 0.01), np.floor((lon - 179.7) / 0.01)
        inside = (row >= 0) & (row < 40) & (col >= 0) & (col < 60)
        expected = np.full_like(found, np.nan)
        expected[:, inside] = values[:, row[inside].astype(int), col[inside].astype(int)]
        np.testing.assert_array_equal(found, expected)
        assert inside.mean() > 0.8


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_utm_zone_across_the_antimeridian_keeps_together(
    tmp_path: Path, make_raster: MakeRaster, crs: str
) -> None:
    """Without a box the extent is that of the store, not once around the Earth."""
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32760", always_xy=True).transform(180.0, -16.5)
    transform = (500.0, 0.0, x - 10_000, 0.0, -500.0, y + 10_000)
    values = np.ones((4, 40, 40), np.float32)
    make_raster(tmp_path / "in.tif", values, crs="EPSG:32760", transform=transform)
    geoembz.convert(tmp_path / "in.tif", tmp_path / "a.zarr", quantizer="float32", chunk=16)
    summary = geoembz.export(tmp_path / "a.zarr", tmp_path / "a.tif", crs=crs)
    assert max(summary.to_json()["shape"]) < 60
    assert (~np.isnan(read(tmp_path / "a.tif")[0])).mean() > 0.8


def test_memory_is_bounded_by_blocks(
    store: StoreReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the pixels take no more."""
    monkeypatch.setattr(module, "_BLOCK", (64, 64))
    monkeypatch.setattr(module, "_BLOCK_BYTES", 64 * 64 * 12 * 4)
    peaks = []
    for resolution in (2.0, 1.0):
        tracemalloc.start()
        geoembz.export(
            store, tmp_path / f"{resolution}.tif", crs="EPSG:32632", resolution=resolution
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**20
    assert peaks[1] < 700 * 500 * 12 * 4 / 3


def test_what_cannot_be_laid_over_a_store_is_refused(zones: Path, tmp_path: Path) -> None:
    """Each says what was expected; nothing is written."""
    out, like = tmp_path / "a.tif", zones.parent / "a.tif"
    for options, message in (
        ({"resolution": 10.0}, r"resolution: of which CRS\?"),
        ({"crs": "EPSG:4326", "bbox": (0.0, 0.0, 1.0, 1.0)}, r"outside .*zones\.zarr"),
        ({"crs": "EPSG:3857", "bbox": (1.0, 0.0, 0.0, 1.0), "bbox_crs": "EPSG:32632"}, "xmin < x"),
        ({"crs": "EPSG:3857", "resolution": 1e-4}, "expected at most 16777216 each way"),
        ({"crs": "EPSG:3857", "resolution": -1.0}, "expected a number above 0"),
        ({"like": like, "crs": "EPSG:3857"}, "leave out crs, resolution and bbox"),
        ({"like": like, "grid": "utm32n"}, "look in all grids; leave it out"),
    ):
        keywords: dict[str, Any] = options
        with pytest.raises(InvalidConfigError, match=message):
            geoembz.export(zones, out, **keywords)
    assert not list(tmp_path.iterdir())
