"""Where boxes of any CRS lie on the sphere: polygons in longitude and latitude.

Polygons are cut at the antimeridian and closed around a pole as RFC 7946 wants it (by the library
antimeridian); longitudes are within ±180.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.boxes import BBox, full_turn, narrowest
from geoembz._geo.crs import horizontal, parse_crs
from geoembz.errors import InvalidConfigError

_POINTS_PER_SIDE = 21
"""Of a UTM tile of 100 km at 60°, a side strays by about a metre between them."""

_LATTICE = 65
"""Places along each axis that are asked where a box reaches beyond its projection."""

_WORLD = "OGC:CRS84"
_ALL_ROUND, _AT_POLE, _SAME_PLACE = 1e-9, 1e-9, 1e-6
"""Degrees (the third: of places that went there and back) that rounding in PROJ may move."""

_SIMPLER = 1e-4
"""Share of an outline's size by which it may differ from the densified one."""


def outline(crs: str, bbox: BBox) -> list[Any]:
    """Return a box of a CRS as `shapely` polygons in longitude and latitude.

    A box without an area, such as that of a table of one place, is a point or a line.

    Parameters
    ----------
    crs
        In any form that PROJ knows.
    bbox
        ``(xmin, ymin, xmax, ymax)`` in it; xmin is the larger across the antimeridian.

    Raises
    ------
    InvalidConfigError
        If no part of the box lies on the Earth, or the CRS is none.

    Examples
    --------
    >>> [part.bounds for part in outline("EPSG:4326", (170.0, -20.0, 190.0, -10.0))]
    [(170.0, -20.0, 180.0, -10.0), (-180.0, -20.0, -170.0, -10.0)]
    """
    xmin, ymin, xmax, ymax = bbox
    if xmin > xmax and (turn := full_turn(crs)) is not None:  # across the antimeridian
        bbox = xmin, ymin, xmax + turn, ymax
    if bbox[0] == bbox[2] or bbox[1] == bbox[3]:
        return _flat(crs, bbox)
    if full_turn(crs) is not None:
        return _band(crs, bbox)
    ring = _ring(crs, bbox)
    if not np.isfinite(ring).all():
        return _bound_known_places(crs, bbox)
    return [_simple(polygon) for polygon in _close(crs, bbox, ring)]


def span_of(polygons: Sequence[Any]) -> BBox:
    """Return the box around polygons; west is the larger where it crosses the antimeridian.

    Parameters
    ----------
    polygons
        In longitudes within ±180.
    """
    bounds = np.array([polygon.bounds for polygon in polygons])
    west, east = narrowest(360.0, bounds[:, [0, 2]])
    if east - west >= 360 - _ALL_ROUND:
        west, east = -180.0, 180.0
    south, north = float(bounds[:, 1].min()), float(bounds[:, 3].max())
    return west, south, east - 360 if east > 180 else east, north


def _flat(crs: str, bbox: BBox) -> list[Any]:
    """Return the point or line that a box without an area is."""
    import antimeridian
    import shapely

    lon, lat = _degrees(crs, np.array([bbox[0], bbox[2]]), np.array([bbox[1], bbox[3]]))
    if not np.isfinite([lon, lat]).all():
        raise InvalidConfigError(f"bbox {bbox}: no place on Earth in {parse_crs(crs).name}")
    if bbox[0] == bbox[2] and bbox[1] == bbox[3]:
        return [shapely.Point((lon[0] + 180) % 360 - 180, lat[0])]
    line = antimeridian.fix_line_string(shapely.LineString(np.column_stack([lon, lat])), False)
    return list(line.geoms) if line.geom_type == "MultiLineString" else [line]


def _band(crs: str, bbox: BBox) -> list[Any]:
    """Return a box whose sides are meridians and parallels."""
    turn = full_turn(crs)
    assert turn is not None  # noqa: S101 - the caller looked
    xmin, ymin, xmax, ymax = bbox
    lon, lat = _degrees(crs, np.array([xmin, xmin]), np.array([ymin, ymax]))
    south, north = (float(value) for value in np.clip(lat, -90.0, 90.0))
    width = 360.0 * (xmax - xmin) / turn
    if not np.isfinite([lon[0], south, north]).all():
        raise InvalidConfigError(f"bbox {bbox}: no place on Earth in {parse_crs(crs).name}")
    if width >= 360 - _ALL_ROUND:
        return _boxes(-180.0, south, 360.0, north)
    return _boxes((float(lon[0]) + 180) % 360 - 180, south, width, north)


def _boxes(west: float, south: float, width: float, north: float) -> list[Any]:
    """Return a box, or its two parts on the sides of the antimeridian; west is within ±180."""
    from shapely import box

    east = west + width
    if east <= 180 + _ALL_ROUND:
        return [box(west, south, min(east, 180.0), north)]
    return [box(west, south, 180.0, north), box(-180.0, south, east - 360, north)]


def _ring(crs: str, bbox: BBox) -> NDArray[np.float64]:
    """Return points along the border of a box, counterclockwise, in degrees, shape ``(n, 2)``."""
    xmin, ymin, xmax, ymax = bbox
    share = np.linspace(0, 1, _POINTS_PER_SIDE)[:-1]
    corners = np.array([[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax], [xmin, ymin]])
    sides = (
        corners[:-1, np.newaxis] + share[:, np.newaxis] * np.diff(corners, axis=0)[:, np.newaxis]
    )
    x, y = np.concatenate([*sides, corners[:1]]).T
    ring = np.column_stack(_degrees(crs, x, y))
    return ring if np.isnan(ring).any() else _around_poles(ring)


def _around_poles(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a ring that reaches a pole it touches by the meridians of its neighbours."""
    open_ring, points = ring[:-1], []
    for before, here, after in zip(
        np.roll(open_ring, 1, axis=0), open_ring, np.roll(open_ring, -1, axis=0), strict=True
    ):
        at_pole = abs(here[1]) > 90 - _AT_POLE
        points += [[before[0], here[1]], [after[0], here[1]]] if at_pole else [here.tolist()]
    return np.array([*points, points[0]])


def _degrees(
    crs: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes; NaN where a projection has none, or those of other places.

    Beyond the edge of the Earth some projections answer with a place that lies elsewhere.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        transformer = Transformer.from_crs(horizontal(crs), _WORLD, always_xy=True)
    except ProjError as error:  # a local CRS, such as that of a building site
        raise InvalidConfigError(f"CRS {parse_crs(crs).name!r}: {error}") from error
    lon, lat = (np.asarray(part, np.float64) for part in transformer.transform(x, y))
    with np.errstate(invalid="ignore"):
        back = np.asarray(transformer.transform(lon, lat, direction="INVERSE"))
        slack = _SAME_PLACE * (1 + np.abs(x) + np.abs(y))
        same = (np.hypot(back[0] - x, back[1] - y) < slack) | (full_turn(crs) is not None)
    known = same & np.isfinite(lon) & np.isfinite(lat)
    return np.where(known, lon, np.nan), np.where(known, lat, np.nan)


def _poles(crs: str, bbox: BBox) -> tuple[bool, bool]:
    """Return whether the north and the south pole lie in a box."""
    from pyproj import Transformer

    to_crs = Transformer.from_crs(_WORLD, horizontal(crs), always_xy=True).transform
    x, y = to_crs([0.0, 0.0], [90.0, -90.0])
    _, lat = _degrees(crs, np.array(x), np.array(y))
    xmin, ymin, xmax, ymax = bbox
    north, south = (
        bool(xmin < x[i] < xmax and ymin < y[i] < ymax and abs(lat[i] - pole) < 1e-6)
        for i, pole in enumerate((90.0, -90.0))
    )
    return north, south


def _close(crs: str, bbox: BBox, ring: NDArray[np.float64]) -> list[Any]:
    """Return the polygons inside a ring on the sphere."""
    import antimeridian
    import shapely

    north, south = _poles(crs, bbox)
    fixed = antimeridian.fix_polygon(
        shapely.Polygon(ring),
        force_north_pole=north,
        force_south_pole=south,
        fix_winding=not (north or south),
        great_circle=False,
    )
    return list(fixed.geoms) if fixed.geom_type == "MultiPolygon" else [fixed]


def _simple(polygon: Any) -> Any:
    """Return a polygon without the points that a straight line goes through anyhow."""
    west, south, east, north = polygon.bounds
    simpler = polygon.simplify(_SIMPLER * max(east - west, north - south))
    return simpler if simpler.is_valid and not simpler.is_empty else polygon


def _bound_known_places(crs: str, bbox: BBox) -> list[Any]:
    """Return the box in degrees around the places of a box that its projection knows."""
    xmin, ymin, xmax, ymax = bbox
    x, y = np.meshgrid(np.linspace(xmin, xmax, _LATTICE), np.linspace(ymin, ymax, _LATTICE))
    lon, lat = _degrees(crs, x.ravel(), y.ravel())
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        raise InvalidConfigError(f"bbox {bbox}: no place on Earth in {parse_crs(crs).name}")
    lon, lat = lon[known], lat[known]
    north, south = _poles(crs, bbox)
    bottom = -90.0 if south else float(lat.min())
    top = 90.0 if north else float(lat.max())
    west, east = narrowest(360.0, np.column_stack([lon, lon]))
    if north or south or east - west > 360 * (1 - 2 / _LATTICE):
        west, east = -180.0, 180.0
    return _boxes((west + 180) % 360 - 180, bottom, east - west, top)
