"""Geometries survive the way through WKB, whoever wrote them."""

import struct
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geoembz._geo.wkb import column_bounds, encode_points, from_wkb
from geoembz.errors import SourceError

number = st.floats(-1e6, 1e6)
vertex = st.tuples(number, number).map(list)
ring = st.lists(vertex, min_size=3, max_size=5).map(lambda vs: [*vs, vs[0]])
polygon = st.lists(ring, min_size=1, max_size=2).map(
    lambda rings: shapely.Polygon(rings[0], rings[1:])
)
geometries = st.one_of(
    vertex.map(shapely.Point),
    st.lists(vertex, min_size=2, max_size=4).map(shapely.LineString),
    st.lists(vertex, min_size=1, max_size=3).map(shapely.MultiPoint),
    polygon,
    st.lists(polygon, min_size=1, max_size=3).map(shapely.MultiPolygon),
)


@given(geometry=geometries)
def test_every_writer_is_understood(geometry: Any) -> None:
    """Either byte order, with Z, with M or with a CRS inside: the same x and y to the last bit."""
    for options in ({"byte_order": 0}, {"byte_order": 1}, {"include_srid": True}):
        content = shapely.to_wkb(shapely.set_srid(geometry, 4326), **options)
        assert shapely.equals_identical(from_wkb([content])[0], geometry)
    for flavor in ("iso", "extended"):
        content = shapely.to_wkb(shapely.force_3d(geometry, 7.0), flavor=flavor)
        assert shapely.equals_identical(from_wkb([None, content])[1], geometry)


@given(column=st.lists(st.none() | geometries, max_size=12))
def test_bounds_of_a_column_are_those_of_its_members(column: list[Any]) -> None:
    """The quick way for points and shapely agree; nulls are NaN."""
    parts = [b"" if geometry is None else shapely.to_wkb(geometry) for geometry in column]
    data = np.frombuffer(b"".join(parts), dtype=np.uint8)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    expected = shapely.bounds(np.array(column, dtype=object)).reshape(-1, 4)
    np.testing.assert_array_equal(column_bounds(data, offsets), expected)


def test_points_are_packed_as_one_block() -> None:
    """A block of points is the points one after the other, big-endian ones are read as well."""
    x, y = np.array([1.5, -2.0]), np.array([0.25, 9.0])
    block = encode_points(x, y)
    shapes = shapely.points(x, y)
    assert [row.tobytes() for row in block] == shapely.to_wkb(shapes, byte_order=1).tolist()
    big = np.frombuffer(b"".join(shapely.to_wkb(shapes, byte_order=0)), np.uint8)
    np.testing.assert_array_equal(
        column_bounds(big, np.array([0, 21, 42])), np.column_stack([x, y, x, y])
    )


def nest(kind: int, depth: int) -> bytes:
    """Return collections within each other, in which nothing lies."""
    return struct.pack("<BII", 1, kind, 1) * depth


LARGE = shapely.to_wkb(shapely.MultiPolygon([shapely.Point(n, 0).buffer(0.4) for n in range(9)]))


def test_large_collections_are_read() -> None:
    """Of areas, lines and points, whatever their writer."""
    areas = shapely.from_wkb(LARGE)
    for shape in (
        areas,
        shapely.boundary(areas),
        shapely.MultiPoint(shapely.get_coordinates(areas)),
    ):
        for options in ({"byte_order": 0}, {"flavor": "iso"}, {"include_srid": True}):
            tall = shapely.set_srid(shapely.force_3d(shape, 1.0), 4326)
            content = shapely.to_wkb(tall, **options)
            assert len(content) > 4096
            assert shapely.equals_identical(from_wkb([content])[0], shape)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x03\x00\x00\x00\x01",
        b"\x01\x09\x00\x00\x00",
        b"not a geometry, but a text",
        struct.pack("<BII", 1, 3, 2**32 - 1),
        struct.pack("<BII", 1, 7, 0),
        struct.pack("<BII", 1, 8, 0),
        LARGE[:-1],
        *(nest(kind, 200_000) for kind in (4, 5, 6, 7)),
    ],
    ids=range(12),
)
def test_damaged_geometries_are_refused(content: bytes) -> None:
    """Cut short, of another type, or so deep that GEOS would end the process."""
    with pytest.raises(SourceError, match=f"geometry of {len(content)} bytes .*WKB"):
        from_wkb([LARGE, None, content])
