"""Sizes on the ground, against geodesic distances and areas that pyproj computes."""

import numpy as np
import pytest
from pyproj import CRS, Geod, Transformer

from geoembz._geo import gsd, metres_per_unit, pixel_area
from geoembz._geo.grid import Grid, Transform

PLACES = (
    ("EPSG:3857", (10.0, 0.0, 1_200_000.0, 0.0, -10.0, 8_400_000.0)),
    ("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0)),
    ("EPSG:4326", (1e-4, 0.0, 10.0, 0.0, -1e-4, 60.0)),
    ("EPSG:6933", (10.0, 0.0, 0.0, 0.0, -10.0, 6_000_000.0)),
    ("EPSG:3031", (10.0, 0.0, 0.0, 0.0, -10.0, 1_000_000.0)),
    ("EPSG:2263", (10.0, 0.0, 980_000.0, 0.0, -10.0, 200_000.0)),
)


def grid_of(crs: str, transform: Transform, shape: tuple[int, int] = (64, 64)) -> Grid:
    return Grid(CRS.from_user_input(crs).to_wkt(), None, transform, shape)


def outline(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of the border, many per side, counterclockwise."""
    xmin, ymin, xmax, ymax = grid.bbox
    share = np.linspace(0, 1, 200)
    east, north = xmin + share * (xmax - xmin), ymin + share * (ymax - ymin)
    x = np.concatenate([east, np.full(200, xmax), east[::-1], np.full(200, xmin)])
    y = np.concatenate([np.full(200, ymin), north, np.full(200, ymax), north[::-1]])
    system = CRS.from_wkt(grid.crs_wkt)
    lon, lat = Transformer.from_crs(system, system.geodetic_crs, always_xy=True).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


@pytest.mark.parametrize(("crs", "transform"), PLACES)
def test_lengths_are_geodesic(crs: str, transform: Transform) -> None:
    """One unit is as long as the geodesic between its ends, but for 0.2 % of the unit itself."""
    system = CRS.from_user_input(crs)
    x, y = transform[2], transform[5]
    step = 1e-4 if system.is_geographic else 10.0
    to_degrees = Transformer.from_crs(system, system.geodetic_crs, always_xy=True).transform
    geod = Geod(ellps="GRS80" if crs == "EPSG:2263" else "WGS84")
    for axis, found in enumerate(metres_per_unit(crs, x, y)):
        move = np.array([0.0, 0.0])
        move[axis] = step / 2
        ends = to_degrees(*(np.array([x, y]) - move)), to_degrees(*(np.array([x, y]) + move))
        slack = 1e-6 if crs in {"EPSG:3857", "EPSG:4326", "EPSG:6933", "EPSG:3031"} else 2e-3
        assert found == pytest.approx(geod.inv(*ends[0], *ends[1])[2] / step, rel=slack)


@pytest.mark.parametrize(("crs", "transform"), PLACES)
def test_areas_are_geodesic(crs: str, transform: Transform) -> None:
    """The mean pixel is the raster's area by its pixels; 0.4 % of a projection's own are let be."""
    grid = grid_of(crs, transform)
    lon, lat = outline(grid)
    area, _ = Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
    assert pixel_area(grid) == pytest.approx(abs(area) / grid.window.size, rel=4e-3)


def test_the_whole_earth_has_its_area() -> None:
    grid = grid_of("EPSG:4326", (0.1, 0.0, -180.0, 0.0, -0.1, 90.0), (1800, 3600))
    assert pixel_area(grid) * grid.window.size == pytest.approx(510.0656e12, rel=1e-3)


def test_mercator_pixels_are_half_as_wide_at_60_degrees() -> None:
    grid = grid_of(*PLACES[0])
    assert gsd(grid) == 5.01
    assert 1e9 / pixel_area(grid) == pytest.approx(40e6, rel=0.005)


def test_utm_pixels_are_what_they_say() -> None:
    """Scale factors of 0.9996 to 1.001 leave 10 m at 10.0, all over a zone."""
    for easting in (170_000.0, 500_000.0, 830_000.0):
        grid = grid_of("EPSG:32633", (10.0, 0.0, easting, 0.0, -10.0, 100_000.0))
        assert gsd(grid) == 10.0
        assert pixel_area(grid) == 100.0


def test_degrees_have_no_gsd() -> None:
    assert gsd(grid_of(*PLACES[2])) is None
