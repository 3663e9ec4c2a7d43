"""Outlines hold what lies in a box, and nothing else, wherever on the sphere it is."""

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer

from geoembz._geo import BBox, outline, span_of
from geoembz.errors import InvalidConfigError

BOXES: dict[str, tuple[str, BBox]] = {
    "0 to 360": ("EPSG:4326", (350.0, 49.8, 350.2, 50.0)),
    "across 180 in degrees": ("EPSG:4326", (170.0, -20.0, 390.0, 10.0)),
    "UTM zone 60": ("EPSG:32660", (700_000.0, 0.0, 900_000.0, 100_000.0)),
    "UTM zone 1": ("EPSG:32701", (100_000.0, 8_100_000.0, 300_000.0, 8_200_000.0)),
    "south pole": ("EPSG:3031", (-1e6, -1e6, 1e6, 1e6)),
    "north pole": ("EPSG:3413", (-1e6, -5e5, 1e6, 1.5e6)),
    "north pole, equal areas": ("EPSG:3571", (-1e6, -1e6, 1e6, 1e6)),
    "corner at the south pole": ("EPSG:3031", (0.0, 0.0, 1e6, 1e6)),
    "corner at the north pole": ("EPSG:3413", (0.0, 0.0, 1e6, 1e6)),
    "across 180 in the south": ("EPSG:3031", (-1e6, -2e6, 1e6, -1e6)),
    "Europe": ("EPSG:3035", (2.5e6, 1.5e6, 6e6, 5e6)),
    "Alaska": ("EPSG:3338", (-2.2e6, 4e5, 1.5e6, 2.4e6)),
    "New Zealand": ("EPSG:2193", (1e6, 4.7e6, 2.5e6, 6.2e6)),
    "Mercator across 180": ("EPSG:3857", (19.9e6, 0.0, 20.2e6, 1e6)),
    "Mercator of the Pacific": ("EPSG:3832", (0.0, -1e6, 6e6, 1e6)),
}


@pytest.mark.parametrize("name", BOXES)
def test_an_outline_holds_what_lies_in_the_box(name: str) -> None:
    """Points of the box are in it and points beyond are not; parts are valid and within ±180."""
    crs, (xmin, ymin, xmax, ymax) = BOXES[name]
    polygons = outline(crs, (xmin, ymin, xmax, ymax))
    move = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform
    share = np.linspace(-0.2, 1.2, 29) + 0.003  # no point at 180° exactly
    share = share[(abs(share) > 0.02) & (abs(share - 1) > 0.02)]
    u, v = (axis.ravel() for axis in np.meshgrid(share, share))
    lon, lat = move(xmin + u * (xmax - xmin), ymin + v * (ymax - ymin))
    lon = (np.asarray(lon) + 180) % 360 - 180
    inside = (u > 0) & (u < 1) & (v > 0) & (v < 1)
    found = np.any([shapely.contains_xy(polygon, lon, lat) for polygon in polygons], axis=0)
    np.testing.assert_array_equal(found, inside)
    for polygon in polygons:
        west, south, east, north = polygon.bounds
        assert polygon.is_valid
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90


@pytest.mark.parametrize("name", ["Europe", "north pole, equal areas"])
def test_equal_areas_stay_equal(name: str) -> None:
    """What an equal-area projection says is the outline's area on the ellipsoid."""
    crs, (xmin, ymin, xmax, ymax) = BOXES[name]
    geod = Geod(ellps="WGS84")
    areas = [
        geod.geometry_area_perimeter(shapely.segmentize(polygon, 0.2))[0]
        for polygon in outline(crs, (xmin, ymin, xmax, ymax))
    ]
    assert sum(map(abs, areas)) == pytest.approx((xmax - xmin) * (ymax - ymin), rel=2e-3)


@pytest.mark.parametrize("box", [(-180.0, -90.0, 180.0, 90.0), (0.0, -90.0, 360.0, 90.0)])
def test_the_globe_is_one_box(box: BBox) -> None:
    (polygon,) = outline("EPSG:4326", box)
    assert polygon.bounds == (-180.0, -90.0, 180.0, 90.0)
    assert span_of([polygon]) == (-180.0, -90.0, 180.0, 90.0)


def test_boxes_around_parts_cross_the_antimeridian() -> None:
    """West is larger than east there (RFC 7946), and a pole takes all longitudes."""
    assert span_of(outline("EPSG:4326", (170.0, -20.0, -150.0, 10.0))) == (
        170.0,
        -20.0,
        -150.0,
        10.0,
    )
    assert span_of(outline(*BOXES["across 180 in degrees"])) == (170.0, -20.0, 30.0, 10.0)
    west, _, east, _ = span_of(outline(*BOXES["UTM zone 1"]))
    assert (179 < west < 180, -180 < east < -178) == (True, True)
    south = span_of(outline(*BOXES["south pole"]))
    assert south[:3] == (-180.0, -90.0, 180.0)
    zones = [*outline(*BOXES["UTM zone 60"]), *outline(*BOXES["UTM zone 1"])]
    assert span_of(zones)[0] > span_of(zones)[2]


def test_what_lies_beyond_the_earth_is_left_out() -> None:
    """MODIS's sinusoidal tiles reach over its edge; of some nothing is left."""
    sinusoidal = "+proj=sinu +R=6371007.181 +type=crs"
    (polygon,) = outline(sinusoidal, (-20_015_109.0, -1_111_950.0, -18_903_159.0, 0.0))
    np.testing.assert_allclose(polygon.bounds, (-180, -10, -170, 0), atol=0.2)
    with pytest.raises(InvalidConfigError, match="no place on Earth"):
        outline(sinusoidal, (-20_015_109.0, 6_671_703.0, -18_903_158.0, 7_783_653.0))


def test_boxes_without_an_area_are_points_and_lines() -> None:
    """Tables of one place, or of places along a parallel."""
    (point,) = outline("EPSG:4326", (190.0, 10.0, 190.0, 10.0))
    assert (point.geom_type, point.coords[0]) == ("Point", (-170.0, 10.0))
    (line,) = outline("EPSG:32633", (500_000.0, 0.0, 500_000.0, 100_000.0))
    assert line.geom_type == "LineString"
    assert line.coords[0] == pytest.approx((15.0, 0.0))
