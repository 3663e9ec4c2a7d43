"""How many pixels of each UTM grid a region needs.

Knows only GeoJSON mappings and projections. A zone's pixels are squares of its own plane, so they
differ from the true area by the projection's scale (0.04 % too few at the central meridian, up to
0.1 % too many at the equator's zone edges).
"""

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from geoembz._cost.pixels import pixels_from_area
from geoembz._cost.regions import Ring, densify, polygons
from geoembz.errors import InvalidConfigError

_UTM_LATITUDES = (-80.0, 84.0)
_PLANE_EDGE_DEGREES = 0.1


def pixels_per_utm_grid(geojson: Mapping[str, Any], gsd_m: float | Fraction) -> dict[str, int]:
    """Return how many pixels of each UTM zone's grid cover GeoJSON polygons.

    Zones are plain 6 degree strips, cut at the equator; the exceptions of Norway and Svalbard are
    not made, and what lies beyond 80° S and 84° N has no UTM zone.

    Parameters
    ----------
    geojson
        As for `geodesic_area_km2`, with longitudes from -180 to 180.
    gsd_m
        Side of one pixel in the zone's plane, in metres.

    Returns
    -------
    pixels
        Pixels by CRS, ``{"EPSG:32632": …}``, in ascending order of code; at least one.

    Raises
    ------
    InvalidConfigError
        If no polygon lies in any zone.

    Examples
    --------
    >>> box = [[[5.9, 0], [6.1, 0], [6.1, 0.2], [5.9, 0.2], [5.9, 0]]]
    >>> list(pixels_per_utm_grid({"type": "Polygon", "coordinates": box}, 10))
    ['EPSG:32631', 'EPSG:32632']
    """
    areas: dict[str, float] = {}
    for shell, *holes in polygons(geojson):
        for zone in _zones(shell):
            for hemisphere, (south, north) in enumerate(((0.0, 84.0), (-80.0, 0.0))):
                code = f"EPSG:{(32600, 32700)[hemisphere] + zone}"
                box = (zone * 6 - 186.0, south, zone * 6 - 180.0, north)
                area = _plane_area_km2(_clip(shell, box), code)
                area -= sum(_plane_area_km2(_clip(hole, box), code) for hole in holes)
                areas[code] = areas.get(code, 0.0) + area
    half_pixel_km2 = float(gsd_m) ** 2 / 2e6
    kept = {code: area for code, area in sorted(areas.items()) if area >= half_pixel_km2}
    if not kept:
        raise InvalidConfigError(
            f"cost: the region covers no UTM pixel of {gsd_m} m; expected polygons between "
            f"latitudes {_UTM_LATITUDES[0]} and {_UTM_LATITUDES[1]}, longitudes -180 to 180"
        )
    return {code: pixels_from_area(area, gsd_m) for code, area in kept.items()}


def _zones(ring: Ring) -> range:
    longitudes = [lon for lon, _ in ring]
    first = max(1, int((min(longitudes) + 180) // 6) + 1)
    return range(first, min(60, int((max(longitudes) + 180) // 6) + 1) + 1)


def _clip(ring: Ring, box: tuple[float, float, float, float]) -> Ring:
    """Cut a ring to a box, one side after the other (Sutherland and Hodgman, 1974)."""
    for side, bound in enumerate(box):
        axis, keep_above = side % 2, side < 2
        kept: Ring = []
        for before, point in pairwise(ring):
            inside = (point[axis] >= bound) == keep_above or point[axis] == bound
            was_inside = (before[axis] >= bound) == keep_above or before[axis] == bound
            if inside != was_inside:
                share = (bound - before[axis]) / (point[axis] - before[axis])
                other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis])
                kept.append((bound, other) if axis == 0 else (other, bound))
            if inside:
                kept.append(point)
        ring = [*kept, kept[0]] if kept else []
    return ring


def _plane_area_km2(ring: Ring, code: str) -> float:
    if len(ring) < 4:
        return 0.0
    from pyproj import Transformer

    to_plane = Transformer.from_crs("EPSG:4326", code, always_xy=True)
    lon, lat = zip(*densify(ring, _PLANE_EDGE_DEGREES), strict=True)
    x, y = to_plane.transform(lon, lat)
    twice = sum(
        (x0 - x[0]) * (y1 - y[0]) - (x1 - x[0]) * (y0 - y[0])
        for x0, y0, x1, y1 in zip(x, y, x[1:], y[1:], strict=False)
    )
    return float(abs(twice)) / 2e6
