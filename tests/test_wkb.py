"""Geometries survive the way through WKB, whoever wrote them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoembz._geo.wkb import Geometry, bounds_of, column_bounds, decode, encode, encode_points
from geoembz.errors import SourceError

number = st.floats(-1e6, 1e6)
vertex = st.tuples(number, number).map(list)
ring = st.lists(vertex, min_size=3, max_size=5).map(lambda vs: [*vs, vs[0]])
polygon = st.lists(ring, min_size=1, max_size=2)
geometries = st.one_of(
    vertex.map(lambda c: {"type": "Point", "coordinates": c}),
    st.lists(vertex, min_size=2, max_size=4).map(
        lambda c: {"type": "LineString", "coordinates": c}
    ),
    polygon.map(lambda c: {"type": "Polygon", "coordinates": c}),
    st.lists(polygon, min_size=1, max_size=3).map(
        lambda c: {"type": "MultiPolygon", "coordinates": c}
    ),
)


@given(geometry=geometries)
def test_decode_inverts_encode(geometry: Geometry) -> None:
    """Types, rings and coordinates are the same to the last bit."""
    assert decode(encode(geometry)) == geometry


@given(geometry=geometries)
def test_other_writers_are_understood(geometry: Geometry) -> None:
    """What shapely writes, in either byte order, with Z or with a CRS inside, is the same."""
    shapely = pytest.importorskip("shapely")
    shape = shapely.geometry.shape(geometry)
    for options in ({"byte_order": 0}, {"byte_order": 1}, {"include_srid": True}):
        content = shapely.to_wkb(shapely.set_srid(shape, 4326), **options)
        assert decode(content) == geometry
    for flavor in ("iso", "extended"):
        content = shapely.to_wkb(shapely.force_3d(shape, 7.0), flavor=flavor)
        assert decode(content) == geometry


@given(column=st.lists(st.none() | geometries, max_size=12))
def test_bounds_of_a_column_are_those_of_its_members(column: list[Geometry | None]) -> None:
    """The quick way for points and boxes and the slow way agree; nulls are NaN."""
    parts = [b"" if geometry is None else encode(geometry) for geometry in column]
    data = np.frombuffer(b"".join(parts), dtype=np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    expected = [(np.nan,) * 4 if g is None else bounds_of(g) for g in column]
    np.testing.assert_array_equal(column_bounds(data, offsets), np.reshape(expected, (-1, 4)))


def test_points_are_packed_as_one_block() -> None:
    """A block of points is the points one after the other."""
    x, y = np.array([1.5, -2.0]), np.array([0.25, 9.0])
    block = encode_points(x, y)
    for row, place in zip(block, zip(x, y, strict=True), strict=True):
        assert row.tobytes() == encode({"type": "Point", "coordinates": list(place)})


@pytest.mark.parametrize("content", [b"", b"\x01\x03\x00\x00\x00\x01", b"\x01\x09\x00\x00\x00"])
def test_damaged_geometries_are_refused(content: bytes) -> None:
    """Cut short, or of an unknown type."""
    with pytest.raises(SourceError, match="WKB"):
        decode(content)
