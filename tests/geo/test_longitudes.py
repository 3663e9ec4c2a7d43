"""Longitudes come round: whatever range is asked for, it is brought to what is there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoembz._geo import full_turn, into_range, narrowest, shifts, spans, unroll

DEGREES = st.floats(-540, 540).map(lambda value: round(value, 3))


def test_what_comes_round() -> None:
    assert full_turn("EPSG:4326") == 360.0
    assert full_turn("OGC:CRS84") == 360.0
    assert full_turn("EPSG:3857") == pytest.approx(2 * 20_037_508.342789, abs=1e-3)
    assert full_turn("EPSG:6933") == pytest.approx(2 * 17_367_530.445, abs=1e-2)
    for crs in ("EPSG:32633", "EPSG:3031", "EPSG:3035"):
        assert full_turn(crs) is None


@given(longitude=DEGREES, low=DEGREES)
def test_a_whole_turn_holds_every_longitude(longitude: float, low: float) -> None:
    """Whole turns bring any longitude into a range of 360°; what is inside stays as it is."""
    (moved,) = into_range("EPSG:4326", np.array([longitude]), low, low + 360)
    assert low - 1e-9 <= moved <= low + 360 + 1e-9
    assert (moved - longitude) / 360 == pytest.approx(round((moved - longitude) / 360), abs=1e-9)
    if low <= longitude <= low + 360:
        assert moved == longitude


@given(west=DEGREES, width=st.floats(0.001, 360), low=DEGREES, extent=st.floats(0.001, 360))
def test_spans_hold_what_lies_between(west: float, width: float, low: float, extent: float) -> None:
    """A longitude of something is in one of the spans exactly if some turn brings it between."""
    east, high = west + width, low + extent
    found = spans("EPSG:4326", (west, east), (low, high))
    for x in np.linspace(low, high, 17):
        inside = any(a <= x <= b for a, b in found)
        between = (x - west) % 360 <= width
        near = min(abs((x - edge + 180) % 360 - 180) for edge in (west, east)) < 1e-6
        assert near or inside == between


def test_plane_coordinates_stay() -> None:
    """UTM has no seam; a box is what it is."""
    x = np.array([-1.0, 5e5, np.nan])
    np.testing.assert_array_equal(into_range("EPSG:32633", x, 0.0, 10.0), x)
    assert shifts("EPSG:32633", (1.0, 2.0), (5.0, 6.0)) == [0.0]
    assert spans("EPSG:32633", (1.0, 2.0), (5.0, 6.0)) == [(1.0, 2.0)]


def test_the_shortest_way_round() -> None:
    """Over the antimeridian, over Greenwich, or all around."""
    assert narrowest(360.0, np.array([[-180.0, -179.0], [179.0, 180.0]])) == (179.0, 181.0)
    assert narrowest(360.0, np.array([[359.0, 360.0], [0.0, 1.0]])) == (359.0, 361.0)
    assert narrowest(360.0, np.array([[-180.0, 180.0]])) == (-180.0, 180.0)
    assert narrowest(360.0, np.array([[10.0, 20.0], [12.0, 13.0]])) == (10.0, 20.0)
    assert narrowest(360.0, np.array([[350.0, 370.0], [5.0, 8.0]])) == (350.0, 370.0)


def test_scattered_places_stand_beside_each_other() -> None:
    x = np.array([179.0, -179.0, np.nan, 178.0])
    np.testing.assert_array_equal(unroll("EPSG:4326", x), [179.0, 181.0, np.nan, 178.0])
    np.testing.assert_array_equal(unroll("EPSG:4326", x[:1]), x[:1])
