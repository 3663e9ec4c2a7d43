"""Read and write geometries as well-known binary, the form that GeoParquet stores.

Knows only NumPy and the standard library. Geometries come out as GeoJSON objects, which rasterio
takes; whole columns of points or of equal boxes are read without a loop. Z and M are left out.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import SourceError

type Geometry = dict[str, Any]
"""A GeoJSON geometry object."""

_TYPES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
}
_POINT_BYTES = 21


def encode_points(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return points as little-endian WKB, uint8, shape ``(n, 21)``.

    Examples
    --------
    >>> decode(encode_points(np.array([1.0]), np.array([2.0]))[0].tobytes())
    {'type': 'Point', 'coordinates': [1.0, 2.0]}
    """
    records = np.empty(len(x), dtype=[("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
    records["order"], records["type"], records["x"], records["y"] = 1, 1, x, y
    return records.view(np.uint8).reshape(len(x), _POINT_BYTES)


def encode(geometry: Geometry) -> bytes:
    """Return a GeoJSON point, line or polygon, or a collection of one kind, as 2-D WKB.

    Raises
    ------
    SourceError
        If the geometry is of another type.
    """
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    codes = {name: code for code, name in _TYPES.items()}
    if kind not in codes or coordinates is None:
        raise SourceError(f"geometry of type {kind!r}; expected one of {', '.join(codes)}")
    header = struct.pack("<BI", 1, codes[kind])
    if kind == "Point":
        return header + struct.pack("<2d", *coordinates[:2])
    if kind == "LineString":
        return header + _path_bytes(coordinates)
    if kind == "Polygon":
        rings = b"".join(_path_bytes(ring) for ring in coordinates)
        return header + struct.pack("<I", len(coordinates)) + rings
    single = kind.removeprefix("Multi")
    parts = [encode({"type": single, "coordinates": part}) for part in coordinates]
    return header + struct.pack("<I", len(parts)) + b"".join(parts)


def decode(content: bytes) -> Geometry:
    """Return one WKB geometry as a GeoJSON object.

    Raises
    ------
    SourceError
        If it is cut short, or of a type that is neither point, line nor polygon.
    """
    try:
        geometry, _ = _read(content, 0)
    except (struct.error, ValueError, IndexError) as error:
        raise SourceError(f"geometry of {len(content)} bytes is no well-formed WKB") from error
    return geometry


def bounds_of(geometry: Geometry) -> tuple[float, float, float, float]:
    """Return ``(xmin, ymin, xmax, ymax)`` of a GeoJSON geometry; NaN where it is empty.

    Examples
    --------
    >>> bounds_of({"type": "MultiPoint", "coordinates": [[0, 3], [2, 1]]})
    (0.0, 1.0, 2.0, 3.0)
    """
    flat = np.array([vertex[:2] for vertex in _vertices(geometry["coordinates"])], np.float64)
    if not len(flat):
        return (np.nan,) * 4
    low, high = flat.min(axis=0), flat.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def paths_of(geometry: Geometry) -> list[NDArray[np.float64]]:
    """Return the points, lines and rings of a GeoJSON geometry, arrays ``(n, 2)`` of vertices.

    Examples
    --------
    >>> [len(path) for path in paths_of({"type": "MultiPoint", "coordinates": [[0, 3], [2, 1]]})]
    [1, 1]
    """

    def runs(coordinates: Sequence[Any], kind: str) -> list[Sequence[Any]]:
        if not coordinates:
            return []
        if _is_vertex(coordinates):
            return [[coordinates]]
        if _is_vertex(coordinates[0]) and kind != "MultiPoint":
            return [coordinates]
        return [run for part in coordinates for run in runs(part, kind)]

    found = runs(geometry["coordinates"], geometry["type"])
    return [np.array([vertex[:2] for vertex in run], np.float64) for run in found]


def column_bounds(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the bounds of a column of geometries, shape ``(n, 4)``; NaN where one is empty.

    Parameters
    ----------
    data
        All geometries' bytes, one after the other.
    offsets
        Where each begins, and the end of the last, shape ``(n + 1,)``; an empty span is a null.
    """
    out = np.full((len(offsets) - 1, 4), np.nan)
    lengths = np.diff(offsets)
    for length in np.unique(lengths[lengths > 0]):
        rows = np.flatnonzero(lengths == length)
        if len(rows) == len(lengths):
            block = data[offsets[0] : offsets[-1]].reshape(-1, length)
        else:
            block = data[offsets[rows, np.newaxis] + np.arange(length)]
        quick = _is_simple(block)
        if quick.any():
            out[rows[quick]] = _simple_bounds(block[quick])
        for row, content in zip(rows[~quick], block[~quick], strict=True):
            out[row] = bounds_of(decode(content.tobytes()))
    return out


def map_vertices(
    geometry: Geometry, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Geometry:
    """Return the geometry with `function` applied to arrays ``(n, 2)`` of its vertices."""

    def moved(coordinates: Sequence[Any]) -> Any:
        if not coordinates:
            return []
        if _is_vertex(coordinates):
            return function(np.array([coordinates[:2]], np.float64))[0].tolist()
        if _is_vertex(coordinates[0]):
            return function(np.array([v[:2] for v in coordinates], np.float64)).tolist()
        return [moved(part) for part in coordinates]

    return {"type": geometry["type"], "coordinates": moved(geometry["coordinates"])}


def _path_bytes(vertices: Sequence[Sequence[float]]) -> bytes:
    flat = np.array([vertex[:2] for vertex in vertices], dtype="<f8").reshape(-1, 2)
    return struct.pack("<I", len(flat)) + flat.tobytes()


def _is_vertex(item: Any) -> bool:
    return bool(item) and isinstance(item[0], int | float)


def _vertices(coordinates: Sequence[Any]) -> list[Sequence[float]]:
    if not coordinates:
        return []
    if _is_vertex(coordinates):
        return [coordinates]
    return [vertex for part in coordinates for vertex in _vertices(part)]


def _is_simple(block: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which equally long geometries are 2-D points or polygons of one ring, no other."""
    length = block.shape[1]
    if length < _POINT_BYTES or length > 1000:
        return np.zeros(len(block), dtype=np.bool_)
    little = block[:, 0] == 1
    kind = block[:, 1:5].copy().view("<u4")[:, 0]
    if length == _POINT_BYTES:
        return np.asarray(little & (kind == 1))
    rings, points = (block[:, at : at + 4].copy().view("<u4")[:, 0] for at in (5, 9))
    ring = (rings == 1) & (points * 16 + 13 == length) & (points > 0)
    return np.asarray(little & (kind == 3) & ring)


def _simple_bounds(block: NDArray[np.uint8]) -> NDArray[np.float64]:
    start = 5 if block.shape[1] == _POINT_BYTES else 13
    vertices = block[:, start:].copy().view("<f8").reshape(len(block), -1, 2)
    return np.concatenate([vertices.min(axis=1), vertices.max(axis=1)], axis=1)


def _read(content: bytes, at: int) -> tuple[Geometry, int]:
    """Return the geometry that begins at byte `at`, and where it ends."""
    order = "<" if content[at] == 1 else ">"
    code = struct.unpack_from(f"{order}I", content, at + 1)[0]
    at += 5
    if code & 0x20000000:  # EWKB keeps a CRS here, which the file declares already
        at += 4
    width = 2 + bool(code & 0x80000000) + bool(code & 0x40000000)
    code &= 0x0FFFFFFF
    width, code = max(width, (2, 3, 3, 4)[code // 1000]), code % 1000
    kind = _TYPES.get(code)
    if kind is None:
        raise ValueError(code)
    if kind == "Point":
        vertices, at = _read_vertices(content, at, order, width, 1)
        return {"type": kind, "coordinates": vertices[0]}, at
    count, at = struct.unpack_from(f"{order}I", content, at)[0], at + 4
    if kind == "LineString":
        vertices, at = _read_vertices(content, at, order, width, count)
        return {"type": kind, "coordinates": vertices}, at
    parts: list[Any] = []
    for _ in range(count):
        if kind == "Polygon":
            size = struct.unpack_from(f"{order}I", content, at)[0]
            part, at = _read_vertices(content, at + 4, order, width, size)
        else:
            inner, at = _read(content, at)
            part = inner["coordinates"]
        parts.append(part)
    return {"type": kind, "coordinates": parts}, at


def _read_vertices(
    content: bytes, at: int, order: str, width: int, count: int
) -> tuple[list[list[float]], int]:
    flat = np.frombuffer(content, f"{order}f8", count * width, at).reshape(count, width)
    return flat[:, :2].tolist(), at + 8 * count * width
