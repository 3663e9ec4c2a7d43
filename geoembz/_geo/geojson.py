"""Read GeoJSON that others wrote: features whose every part is what RFC 7946 says, or a refusal.

Files are bounded by bytes. What comes out has geometries of shapely's and plain numbers and text
only, so that whoever reads features (labels, places to sample, regions) need not look again.
"""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoembz._geo.geoparquet import CRS84
from geoembz._geo.wkb import Geometry
from geoembz._text import printable
from geoembz._util.bounded_json import parse_json
from geoembz.errors import SourceError

MOST_BYTES = 256 * 2**20
"""Longest file read: as Python objects it takes some ten times as much."""

_NESTING = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
"""How deep the positions of each kind of geometry lie."""

_COLLECTION, _DEEPEST_COLLECTION = "GeometryCollection", 10
_RING_POSITIONS = 4
_MOST_SHOWN = 80


@dataclass(frozen=True)
class FeatureList:
    """Features in one CRS.

    Parameters
    ----------
    geometries
        One per feature, with x and y only; None where there is none, or an empty one.
    properties
        One per feature, its `id` among them.
    crs
        As the document says it, in a form that PROJ knows.
    """

    geometries: tuple[Geometry | None, ...]
    properties: tuple[dict[str, Any], ...]
    crs: str


def read_geojson(path: Path, crs: str | None = None) -> FeatureList:
    """Read a GeoJSON file.

    Parameters
    ----------
    path
        The file.
    crs
        Replaces the CRS that it declares.

    Raises
    ------
    SourceError
        If it cannot be read, is longer than `MOST_BYTES`, or malformed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror or error}); expected a GeoJSON file"
        ) from error
    if len(content) > MOST_BYTES:
        raise SourceError(
            f"{path}: more than {MOST_BYTES:,} bytes of GeoJSON; expected fewer, which fit into "
            "memory; convert it to GeoParquet, or cut it"
        )
    document = parse_json(content, str(path), expected="GeoJSON", most_bytes=MOST_BYTES)
    return features_of(document, str(path), crs)


def features_of(document: Any, where: str, crs: str | None = None) -> FeatureList:
    """Return the features of a GeoJSON object: a FeatureCollection, a Feature, or a geometry.

    Parameters
    ----------
    document
        As `json` reads it, or from ``__geo_interface__``.
    where
        Where it comes from, for messages.
    crs
        Replaces the CRS that it declares.

    Raises
    ------
    SourceError
        If it is malformed; the message names the feature.

    Examples
    --------
    >>> point = {"type": "Point", "coordinates": (1, 2, 300)}
    >>> features_of(point, "example").geometries
    (<POINT (1 2)>,)
    """
    features = _features(document, where)
    geometries, properties = [], []
    for number, feature in enumerate(features):
        place = f"{where}: feature {number}"
        if not isinstance(feature, Mapping):
            raise SourceError(f"{place} is {_short(feature)}; expected a GeoJSON object")
        geometries.append(geometry_of(feature.get("geometry"), place))
        properties.append(_properties(feature, place))
    declared = _declared_crs(document, where) if crs is None else crs
    return FeatureList(tuple(geometries), tuple(properties), declared)


def geometry_of(value: Any, where: str) -> Geometry | None:
    """Return a geometry with x and y; None for null and for an empty one.

    Raises
    ------
    SourceError
        If it is no GeoJSON geometry.

    Examples
    --------
    >>> geometry_of({"type": "Point", "coordinates": []}, "example") is None
    True
    """
    import shapely

    checked = _check_geometry(value, where)
    if checked is None:
        return None
    try:
        return shapely.geometry.shape(checked)
    except shapely.errors.ShapelyError as error:  # a line of one position
        raise SourceError(f"{where}: a {checked['type']} that is none: {error}") from error


def _check_geometry(value: Any, where: str, depth: int = 0) -> dict[str, Any] | None:
    """Return a geometry in plain lists of x and y, its rings closed."""
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == _COLLECTION and depth < _DEEPEST_COLLECTION:
        parts = _list(value.get("geometries"), where, "geometries")
        found = [_check_geometry(part, where, depth + 1) for part in parts]
        kept = [part for part in found if part is not None]
        return {"type": kind, "geometries": kept} if kept else None
    if not isinstance(kind, str) or kind not in _NESTING:
        raise SourceError(
            f"{where}: a geometry of type {_short(kind)} ({_short(value)}); expected one of "
            f"{', '.join(_NESTING)}"
        )
    coordinates = _coordinates(value.get("coordinates"), _NESTING[kind], where)
    if not coordinates:
        return None
    if kind == "Polygon":
        _close_rings(coordinates, where)
    elif kind == "MultiPolygon":
        for polygon in coordinates:
            _close_rings(polygon, where)
    return {"type": kind, "coordinates": coordinates}


def _features(document: Any, where: str) -> Sequence[Any]:
    kind = document.get("type") if isinstance(document, Mapping) else None
    if kind == "FeatureCollection" or (kind is None and isinstance(document, Mapping)
                                       and "features" in document):  # fmt: skip
        return _list(document.get("features"), where, "features")
    if kind == "Feature":
        return [document]
    if isinstance(kind, str) and kind in (*_NESTING, _COLLECTION):
        return [{"geometry": document}]
    raise SourceError(f"{where}: GeoJSON of type {_short(kind)}; expected a FeatureCollection")


def _list(value: Any, where: str, name: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise SourceError(f"{where}: {name} is {_short(value)}; expected a list")
    return value


def _properties(feature: Mapping[str, Any], where: str) -> dict[str, Any]:
    properties = feature.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, Mapping):
        raise SourceError(f"{where}: properties are {_short(properties)}; expected a JSON object")
    found = {str(name): value for name, value in properties.items()}
    if "id" in feature:
        found.setdefault("id", feature["id"])
    return found


def _coordinates(value: Any, nesting: int, where: str) -> list[Any]:
    """Return positions at the depth of a geometry's kind, as lists of two floats."""
    if not isinstance(value, list | tuple):
        raise SourceError(f"{where}: coordinates hold {_short(value)}; expected a list")
    if nesting:
        parts = (_coordinates(part, nesting - 1, where) for part in value)
        return [part for part in parts if part]
    if not value:
        return []
    try:
        x, y = float(value[0]), float(value[1])
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise _no_position(value, where) from error
    if not (math.isfinite(x) and math.isfinite(y)) or isinstance(value[0], str | bool):
        raise _no_position(value, where)
    return [x, y]


def _no_position(value: Any, where: str) -> SourceError:
    return SourceError(f"{where}: a position is {_short(value)}; expected [x, y], two numbers")


def _close_rings(polygon: Sequence[list[Any]], where: str) -> None:
    """Close the rings that end before their first position; refuse those that enclose nothing."""
    for ring in polygon:
        if ring[0] != ring[-1]:
            ring.append(ring[0])
        if len(ring) < _RING_POSITIONS:
            raise SourceError(
                f"{where}: a ring of {len(ring)} positions; expected {_RING_POSITIONS} or more, "
                "the last like the first"
            )


def _declared_crs(document: Any, where: str) -> str:
    """Return the CRS that GeoJSON of before RFC 7946 names; longitude, latitude without one."""
    declared = document.get("crs")
    if isinstance(declared, Mapping):
        properties = declared.get("properties")
        declared = properties.get("name") if isinstance(properties, Mapping) else declared
    if declared is None:
        return CRS84
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        CRS.from_user_input(declared if isinstance(declared, str) else "")
    except CRSError as error:
        raise SourceError(
            f"{where}: its crs is {_short(declared)}, which is none that PROJ knows; expected a "
            "name such as EPSG:32633, or none for longitude and latitude; correct it"
        ) from error
    return str(declared)


def _short(value: Any) -> str:
    return printable(reprlib.repr(value), _MOST_SHOWN)
