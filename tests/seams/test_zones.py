"""Borders of UTM zones: an offset of one zone is found, and none in a landscape that goes on."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._geo import placed_points
from geoembz._seams.zones import HALF_WIDTH, meeting_zones, strips
from geoembz.store.grids import open_readers
from tests.products import write_raster
from tests.seams.conftest import offset

HEIGHT, WIDTH, BEYOND = 260, 110, 12
LATITUDE, DIMENSION, WAVES = 47.0, 8, 40

type Landscape = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def landscape(seed: int) -> Landscape:
    """Return what gives vectors ``(8, n)`` of places in metres from one that all zones share."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(2, WAVES)) / rng.choice([60, 150, 400], WAVES)
    phases, sizes = rng.uniform(0, 2 * np.pi, WAVES), rng.normal(size=(DIMENSION, WAVES))
    return lambda places: sizes @ np.cos((places @ slopes + phases).T) / np.sqrt(WAVES)


def write_zones(
    folder: Path, seed: int, size: float = 0.0, meridian: int = 12, hemisphere: int = 6
) -> list[Path]:
    """Write the pixels of two zones on both sides of a meridian, the east ones offset."""
    folder.mkdir(exist_ok=True)
    rng, vectors = np.random.default_rng(seed + 1), landscape(seed)
    latitude = LATITUDE if hemisphere == 6 else -LATITUDE
    around = f"+proj=tmerc +lon_0={meridian} +lat_0={latitude} +datum=WGS84"
    paths = []
    for east in (False, True):
        zone = (meridian + 180) // 6 % 60 + 1 if east else (meridian + 180) // 6
        crs = f"EPSG:32{hemisphere}{zone:02d}"
        ((x, y),) = placed_points(np.array([[meridian, latitude]]), "OGC:CRS84", crs).round(-1)
        left = x - 10 * (BEYOND if east else WIDTH - BEYOND)
        top = y + 5 * HEIGHT
        grid = np.meshgrid(
            left + 10 * (np.arange(WIDTH) + 0.5), top - 10 * (np.arange(HEIGHT) + 0.5)
        )
        places = np.column_stack([axis.ravel() for axis in grid])
        smooth = vectors(placed_points(places, crs, around)).reshape(DIMENSION, HEIGHT, WIDTH)
        values = (smooth + 0.05 * rng.normal(size=smooth.shape)).astype(np.float32)
        if east and size:
            values += offset(values, size, seed)[:, np.newaxis, np.newaxis]
        path, transform = folder / f"{zone}.tif", (10.0, 0.0, left, 0.0, -10.0, top)
        paths.append(write_raster(path, values, crs=crs, transform=transform))
    return paths


def check(folder: Path, seed: int, size: float, workers: int = 2) -> geoembz.SeamReport:
    """Convert two zones, and check their borders."""
    store = folder / f"{seed}-{size}.zarr"
    if not store.exists():
        tiles = write_zones(folder / f"{seed}-{size}", seed, size)
        geoembz.convert(tiles, store, recipe="int8", chunk=64, shard=128)
    return geoembz.check_seams(store, workers=workers)


def test_an_offset_between_zones_is_found(tmp_path: Path) -> None:
    """Along the whole meridian, measured as large as it is; and none without one."""
    clean = check(tmp_path, 0, 0.0)
    assert clean.checked["zone"] == 4
    assert not clean.seams
    assert not [note for note in clean.notes if "between the grids" in note]
    report = check(tmp_path, 0, 1.0)
    assert report.checked["zone"] == len(report.seams) == 4
    for seam in report.seams:
        assert seam.kind == "zone"
        assert seam.sides == ("utm32n", "utm33n")
        assert seam.effect == pytest.approx(1, abs=0.35)
        assert seam.bbox[::2] == pytest.approx((12, 12), abs=1e-9)
    souths = sorted(seam.bbox[1::2] for seam in report.seams)
    assert all(south < north < LATITUDE + 0.02 for south, north in souths)
    assert "4 of zones" in report.to_table()
    assert check(tmp_path, 0, 1.0, workers=1).borders == report.borders


def test_a_map_shows_the_meridian(tmp_path: Path) -> None:
    """As lines in longitude and latitude."""
    tiles = write_zones(tmp_path / "t", 1, 2.0)
    geoembz.convert(tiles, tmp_path / "a.zarr", recipe="int8", chunk=64, shard=128)
    geoembz.check_seams(tmp_path / "a.zarr", out=tmp_path / "a.geojson")
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    lines = [one for one in features if one["properties"]["kind"] == "zone"]
    assert len(lines) == 4
    for line in lines:
        lon, _ = np.array(line["geometry"]["coordinates"]).T
        np.testing.assert_allclose(lon, 12, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [0.0, *(pytest.param(size, marks=pytest.mark.long) for size in (1.0, 2.0))]
)
def test_many_landscapes(size: float, tmp_path: Path) -> None:
    """Of 20 clean ones none is accused; offsets of 1 and 2 usual steps are all found."""
    reports = [check(tmp_path, seed, size) for seed in range(10, 30)]
    found = [len(report.seams) for report in reports]
    assert found == [report.checked["zone"] if size else 0 for report in reports]


@pytest.mark.slow
def test_dates_are_compared_with_their_own(tmp_path: Path) -> None:
    """One that both zones have; a seam of one date is no seam of another."""
    store = tmp_path / "a.zarr"
    good, bad = write_zones(tmp_path / "b", 2), write_zones(tmp_path / "c", 2, 2.0)
    geoembz.convert(good, store, recipe="int8", chunk=64, shard=128, time="2023")
    for name, path in zip(("utm32n", "utm33n"), bad, strict=True):
        geoembz.append(store / name, path, time="2024")
    every = geoembz.check_seams(store)
    assert {seam.time for seam in every.seams} == {"2024-01-01"}
    assert every.checked["zone"] == 8
    assert geoembz.check_seams(store, time="2023").checked["zone"] == 4


@pytest.mark.parametrize(("meridian", "hemisphere"), [(12, 6), (180, 6), (-60, 7)])
def test_each_side_is_its_own_zones(meridian: int, hemisphere: int, tmp_path: Path) -> None:
    """Pixels west of the meridian come from the western grid, also at 180 degrees and in the south.

    Vectors are those of the place, to what a pixel is off.
    """
    tiles = write_zones(tmp_path / "t", 3, meridian=meridian, hemisphere=hemisphere)
    geoembz.convert(tiles, tmp_path / "a.zarr", recipe="float32", chunk=64, shard=128)
    readers = open_readers(tmp_path / "a.zarr")
    ((west, east),) = meeting_zones(readers)
    (strip,) = strips(west, east, None)
    values = strip.read(strip.grid.window)
    height, width = strip.grid.shape
    assert width == 2 * HALF_WIDTH
    middle = values[:, height // 2, :]
    known = np.flatnonzero(np.isfinite(middle[0]))
    reach = WIDTH - BEYOND
    assert known.min() == pytest.approx(HALF_WIDTH - reach, abs=8)
    assert known.max() == pytest.approx(HALF_WIDTH + reach, abs=8)
    latitude = LATITUDE if hemisphere == 6 else -LATITUDE
    around = f"+proj=tmerc +lon_0={meridian} +lat_0={latitude} +datum=WGS84"
    x = strip.grid.x[known]
    places = np.column_stack([x, np.full(len(x), strip.grid.y[height // 2])])
    wanted = landscape(3)(placed_points(places, strip.grid.crs_wkt, around))
    apart = np.linalg.norm(middle[:, known] - wanted, axis=0)
    usual = np.linalg.norm(np.diff(wanted, axis=1), axis=0).mean()
    assert np.median(apart) < 2 * usual + 0.3
    assert (
        np.median(apart)
        < 0.3 * np.linalg.norm(wanted - wanted.mean(axis=1)[:, None], axis=0).mean()
    )
