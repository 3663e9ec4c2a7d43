"""Where a store's grids lie on Earth, as GeoJSON in longitude and latitude.

Knows grid attributes and pyproj. Grids that cross the antimeridian are cut there (RFC 7946).
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from geoembz.errors import StoreError

_POINTS_PER_SIDE = 20
_DECIMALS = 7


@dataclass(frozen=True)
class Footprint:
    """A GeoJSON geometry and its bounding box, west, south, east, north.

    West is larger than east where the box crosses the antimeridian.
    """

    geometry: dict[str, Any]
    bbox: tuple[float, float, float, float]


def footprint(grids: Iterable[Mapping[str, Any]]) -> Footprint:
    """Return where grids lie.

    Parameters
    ----------
    grids
        Attributes of each, with `spatial:bbox` and one of `proj:code`, `proj:wkt2`,
        `proj:projjson`.

    Raises
    ------
    StoreError
        If a CRS or a box cannot be understood.
    """
    rings = [_ring(grid) for grid in grids]
    polygons = [part for ring in rings for part in _cut(ring)]
    flat = len(polygons) == 1 and _without_area(polygons[0])
    if flat:
        geometry = flat
    elif len(polygons) == 1:
        geometry = {"type": "Polygon", "coordinates": [polygons[0]]}
    else:
        geometry = {"type": "MultiPolygon", "coordinates": [[ring] for ring in polygons]}
    longitudes = [lon for ring in rings for lon, _ in ring]
    latitudes = [lat for ring in rings for _, lat in ring]
    west, east = min(longitudes), max(longitudes)
    if east - west >= 360:
        west, east = -180.0, 180.0
    east = east - 360 if east > 180 else east
    return Footprint(geometry, (west, min(latitudes), east, max(latitudes)))


def _ring(grid: Mapping[str, Any]) -> list[list[float]]:
    """Return a grid's outline; longitudes run on beyond 180 rather than jump."""
    from pyproj import Transformer
    from pyproj.exceptions import CRSError, ProjError

    crs = grid.get("proj:code") or grid.get("proj:wkt2") or grid.get("proj:projjson")
    try:
        xmin, ymin, xmax, ymax = map(float, grid["spatial:bbox"])
        to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        x, y = zip(*_outline(xmin, ymin, xmax, ymax), strict=True)
        lon, lat = to_lonlat.transform(x, y, errcheck=True)
    except (CRSError, ProjError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"stac: a grid with CRS {str(crs)[:60]!r} and spatial:bbox {grid.get('spatial:bbox')} "
            f"has no place on Earth: {error}"
        ) from error
    ring, before = [], lon[0]
    for east, north in zip(lon, lat, strict=True):
        while east - before > 180:
            east -= 360
        while east - before < -180:
            east += 360
        ring.append([round(east, _DECIMALS), round(north, _DECIMALS)])
        before = east
    shift = 360 if min(point[0] for point in ring) < -180 else 0
    return [[lon + shift, lat] for lon, lat in ring]


def _outline(xmin: float, ymin: float, xmax: float, ymax: float) -> list[tuple[float, float]]:
    corners = [(xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax), (xmin, ymin)]
    points = []
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        for i in range(_POINTS_PER_SIDE):
            share = i / _POINTS_PER_SIDE
            points.append((x0 + (x1 - x0) * share, y0 + (y1 - y0) * share))
    return [*points, corners[-1]]


def _without_area(ring: list[list[float]]) -> dict[str, Any] | None:
    """Return the point or line that a ring is, as of tables of one place; None if it is neither."""
    ends = [min(ring), max(ring)]
    if ends[0] == ends[1]:
        return {"type": "Point", "coordinates": ends[0]}
    (west, south), (east, north) = ends
    if west == east or all(latitude == south for _, latitude in ring):
        return {"type": "LineString", "coordinates": [[west, south], [east, north]]}
    return None


def _cut(ring: list[list[float]]) -> list[list[list[float]]]:
    """Return a ring as it is, or as two boxes on the sides of the antimeridian."""
    if max(lon for lon, _ in ring) <= 180:
        return [ring]
    west, east = min(lon for lon, _ in ring), max(lon for lon, _ in ring) - 360
    south, north = min(lat for _, lat in ring), max(lat for _, lat in ring)
    return [
        [[w, south], [e, south], [e, north], [w, north], [w, south]]
        for w, e in ((west, 180.0), (-180.0, east))
    ]
