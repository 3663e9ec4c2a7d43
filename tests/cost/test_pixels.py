"""Pixels from areas are exact; areas of polygons are the ellipsoid's."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geoembz
from geoembz._cost.sizes import geodesic_area_km2, pixels_from_area
from geoembz._geo.geojson import features_of
from geoembz.errors import InvalidConfigError

EARTH_KM2 = 510_065_621.724  # surface of the WGS 84 ellipsoid


def box(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def polygon(*coordinates: float) -> dict[str, Any]:
    west, south, east, north = coordinates
    return {"type": "Polygon", "coordinates": box(west, south, east, north)}


def area(geojson: dict[str, Any]) -> float:
    """Return the area of GeoJSON, in square kilometres."""
    return geodesic_area_km2(features_of(geojson, "region").geometries)


def zone_area_km2(south: float, north: float, width_degrees: float) -> float:
    """Area between two parallels on WGS 84, in closed form (Snyder 1987, 3-12)."""
    a, f = 6378.137, 1 / 298.257223563
    e = math.sqrt(f * (2 - f))

    def q(lat: float) -> float:
        s = math.sin(math.radians(lat))
        return (1 - e * e) * (s / (1 - (e * s) ** 2) + math.atanh(e * s) / e)

    return a * a / 2 * (q(north) - q(south)) * math.radians(width_degrees)


@given(
    pixels=st.integers(1, 10**15),
    gsd=st.sampled_from([0.3, 0.6, 1, 2.5, 10, 30, 100, 320]),
)
def test_whole_pixels_survive(pixels: int, gsd: float) -> None:
    """An area of n pixels holds n pixels, exactly, at any size."""
    side = Fraction(str(gsd))
    assert pixels_from_area(pixels * side**2 / 1_000_000, gsd) == pixels


@pytest.mark.parametrize(
    ("size", "gsd"),
    [(0, 10), (-1, 10), (float("nan"), 10), (float("inf"), 10), (1, 0), (1, -1), (1e-12, 10)],
)
def test_no_pixel_is_an_error(size: float, gsd: float) -> None:
    """Areas and pixels that do not exist are refused."""
    with pytest.raises(InvalidConfigError, match="cost:"):
        pixels_from_area(size, gsd)


@pytest.mark.parametrize(
    "bounds", [(0, 0, 10, 10), (-170, -60, 170, -30), (-180, 40, 180, 80), (5, 44.5, 5.5, 45)]
)
def test_boxes_between_parallels(bounds: tuple[float, float, float, float]) -> None:
    """A box in longitude and latitude has the closed-form area, wide ones too, to one in 10,000."""
    west, south, east, north = bounds
    parts = [polygon(west, south, (west + east) / 2, north),
             polygon((west + east) / 2, south, east, north)]  # fmt: skip
    whole = {"type": "GeometryCollection", "geometries": parts}
    expected = zone_area_km2(south, north, east - west)
    assert area(whole) == pytest.approx(expected, rel=1e-4)


def test_whole_earth() -> None:
    """Two hemispheres make the ellipsoid's surface."""
    halves = [box(-180, -90, 0, 90), box(0, -90, 180, 90)]
    whole = area({"type": "MultiPolygon", "coordinates": halves})
    assert whole == pytest.approx(EARTH_KM2, rel=1e-9)


def test_holes_direction_and_nesting_do_not_matter() -> None:
    """Holes are taken out; ring direction and GeoJSON wrapping change nothing."""
    outer, hole = box(0, 0, 1, 1)[0], box(0.25, 0.25, 0.75, 0.75)[0]
    donut = {"type": "Polygon", "coordinates": [outer, hole]}
    turned = {"type": "Polygon", "coordinates": [outer[::-1], hole[::-1]]}
    feature = {"type": "Feature", "properties": {}, "geometry": donut}
    expected = area(polygon(0, 0, 1, 1)) - area(polygon(0.25, 0.25, 0.75, 0.75))
    assert area(donut) == pytest.approx(expected, rel=1e-12)
    assert area(turned) == pytest.approx(expected, rel=1e-12)
    assert area({"type": "FeatureCollection", "features": [feature]}) == (
        pytest.approx(expected, rel=1e-12)
    )


def test_small_polygons_are_pyproj_s_own() -> None:
    """Edges below one degree are geodesics: the area is pyproj's to the last digit."""
    from pyproj import Geod

    lon, lat = [11.0, 11.7, 11.4, 11.0], [47.0, 47.1, 47.8, 47.0]
    triangle = {"type": "Polygon", "coordinates": [list(zip(lon, lat, strict=True))]}
    expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0]) / 1e6
    assert area(triangle) == expected


def region_pixels(path: Path, geojson: dict[str, Any]) -> int:
    """Return the pixels of 10 m in a region."""
    path.write_text(json.dumps(geojson))
    (found,) = geoembz.cost(model="aef", region=path).estimates
    return found.holding.pixels


@pytest.mark.parametrize(
    ("geojson", "reason"),
    [
        ({"type": "Point", "coordinates": [0, 0]}, "holds no polygon"),
        ({}, "region.geojson: GeoJSON of type None"),
        ({"type": "FeatureCollection", "features": []}, "holds no polygon"),
        ({"type": "Feature", "geometry": None}, "holds no polygon"),
        (polygon(500000, 4000000, 600000, 4100000), "longitude and latitude"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, "expected 4 or more"),
        ({"type": "Polygon", "coordinates": [["a", "b"]]}, r"expected a list"),
        (polygon(179, 0, -179, 1), "antimeridian"),
    ],
)
def test_regions_that_are_none(geojson: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """What is not a polygon in longitude and latitude is refused with the reason."""
    with pytest.raises(InvalidConfigError, match=f"cost: .*{reason}"):
        region_pixels(tmp_path / "region.geojson", geojson)


def test_regions_of_another_crs(tmp_path: Path) -> None:
    """A kilometre square of a UTM zone is one on the ground, but for the zone's scale."""
    square = polygon(500_000, 5_000_000, 501_000, 5_001_000)
    named = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}}
    pixels = region_pixels(tmp_path / "region.geojson", square | named)
    assert pixels == pytest.approx(10_000 / 0.9996**2, abs=2)
