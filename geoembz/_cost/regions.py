"""How many pixels an area has: one given as a number, or as GeoJSON polygons.

Knows only GeoJSON mappings; opens no files. pyproj is imported where it is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from geoembz.errors import InvalidConfigError

LAND_AREA_KM2 = 150_000_000
"""Land surface of the Earth as the seed article rounds it, in square kilometres."""

type Ring = list[tuple[float, float]]
type Polygon = list[Ring]

_MAX_EDGE_DEGREES = 1.0
_LONLAT_CRS = ("CRS84", "EPSG::4326", "EPSG:4326")


def pixels_from_area(area_km2: float | Fraction, gsd_m: float | Fraction) -> int:
    """Return the number of pixels of an area, exactly, rounded half up.

    Parameters
    ----------
    area_km2
        Area in square kilometres; a float counts as the decimal number it prints as.
    gsd_m
        Side of one pixel, in metres.

    Raises
    ------
    InvalidConfigError
        If a number is not positive and finite, or less than half a pixel results.

    Examples
    --------
    >>> pixels_from_area(LAND_AREA_KM2, 10)
    1500000000000
    """
    area = _positive(area_km2, "area", "km²")
    gsd = _positive(gsd_m, "ground sampling distance", "m")
    pixels = int(area * 1_000_000 / gsd**2 + Fraction(1, 2))
    if pixels < 1:
        raise InvalidConfigError(
            f"cost: an area of {area_km2} km² holds no pixel of {gsd_m} m; "
            "give a larger area or a smaller --gsd"
        )
    return pixels


def _positive(value: float | Fraction, what: str, unit: str) -> Fraction:
    try:
        number = Fraction(str(value))
    except ValueError:
        number = Fraction(0)
    if number <= 0:
        raise InvalidConfigError(f"cost: {what} of {value} {unit}; expected a number above 0")
    return number


def geodesic_area_km2(geojson: Mapping[str, Any]) -> float:
    """Return the area of GeoJSON polygons on the WGS 84 ellipsoid.

    Edges of up to one degree are geodesics; longer ones follow straight lines in longitude and
    latitude, as RFC 7946 defines them. Polygons that overlap are counted twice.

    Parameters
    ----------
    geojson
        Polygon, MultiPolygon, GeometryCollection, Feature or FeatureCollection, in longitude and
        latitude.

    Returns
    -------
    area_km2
        Area in square kilometres, holes taken out.

    Raises
    ------
    InvalidConfigError
        If there is no polygon, or the coordinates are not longitudes and latitudes.

    References
    ----------
    Karney, C. F. F. Algorithms for geodesics. J. Geodesy 87, 2013; RFC 7946.

    Examples
    --------
    >>> box = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    >>> round(geodesic_area_km2({"type": "Polygon", "coordinates": box}))
    12309
    """
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    total = 0.0
    for shell, *holes in polygons(geojson):
        areas = []
        for ring in (shell, *holes):
            lon, lat = zip(*densify(ring), strict=True)
            areas.append(abs(geod.polygon_area_perimeter(lon, lat)[0]))
        total += areas[0] - sum(areas[1:])
    return total / 1e6


def pixels_in_region(geojson: Mapping[str, Any], gsd_m: float | Fraction) -> int:
    """Return how many pixels of true side `gsd_m` cover GeoJSON polygons.

    Examples
    --------
    >>> box = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    >>> pixels_in_region({"type": "Polygon", "coordinates": box}, 10)
    123087784
    """
    return pixels_from_area(geodesic_area_km2(geojson), gsd_m)


def polygons(geojson: Mapping[str, Any]) -> list[Polygon]:
    """Return every polygon in a GeoJSON mapping as rings, shell first; see `geodesic_area_km2`."""
    crs = _declared_crs(geojson.get("crs"))
    if not crs.endswith(_LONLAT_CRS):
        raise InvalidConfigError(
            f"cost: the region is in {crs}; expected longitude and latitude (RFC 7946); "
            "reproject it, e.g. ogr2ogr -t_srs EPSG:4326"
        )
    found = [
        [_checked_ring(ring) for ring in _rings(area)] for area in _coordinates(geojson) if area
    ]
    if not found:
        raise InvalidConfigError(
            f"cost: the region (GeoJSON type {geojson.get('type')!r}) holds no polygon; "
            "expected Polygon, MultiPolygon, GeometryCollection, Feature or FeatureCollection"
        )
    return found


def _declared_crs(declared: Any) -> str:
    """Return the name of a region's CRS; longitude and latitude where none is declared."""
    properties = declared.get("properties") if isinstance(declared, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else declared
    return "CRS84" if name is None else str(name)


def _rings(area: Any) -> Sequence[Any]:
    if not isinstance(area, list | tuple):
        raise InvalidConfigError(f"cost: a polygon of the region is {area!r}; expected its rings")
    return area


def _coordinates(geojson: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    match geojson:
        case {"type": "FeatureCollection", "features": [*parts]}:
            pass
        case {"type": "Feature", "geometry": Mapping() as geometry}:
            parts = [geometry]
        case {"type": "GeometryCollection", "geometries": [*parts]}:
            pass
        case {"type": "MultiPolygon", "coordinates": [*many]}:
            yield from many
            return
        case {"type": "Polygon", "coordinates": [*rings]}:
            yield rings
            return
        case _:
            return
    for part in parts:
        yield from _coordinates(part)


def _checked_ring(raw: Sequence[Any]) -> Ring:
    try:
        ring = [(float(point[0]), float(point[1])) for point in raw]
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise InvalidConfigError(
            f"cost: a ring of the region is not a list of [longitude, latitude]: {error}"
        ) from error
    bad = [point for point in ring if not (abs(point[0]) <= 360 and abs(point[1]) <= 90)]
    if len(ring) < 4 or ring[0] != ring[-1] or bad:
        raise InvalidConfigError(
            f"cost: a ring of the region has {len(ring)} points, first {ring[:1]}, last "
            f"{ring[-1:]}, outside longitude and latitude {bad[:1]}; expected at least 4 points, "
            "the last equal to the first, |longitude| <= 360 and |latitude| <= 90"
        )
    return ring


def densify(ring: Ring, max_degrees: float = _MAX_EDGE_DEGREES) -> Ring:
    """Return a closed ring with points added so that no edge is longer than `max_degrees`.

    Raises
    ------
    InvalidConfigError
        If an edge jumps across the antimeridian: which way it goes cannot be told.

    Examples
    --------
    >>> densify([(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (0.0, 0.0)], 1.0)[:3]
    [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]
    """
    points = [ring[0]]
    for (lon0, lat0), (lon1, lat1) in pairwise(ring):
        if 180 < abs(lon1 - lon0) < 360:
            raise InvalidConfigError(
                f"cost: an edge of the region goes from longitude {lon0} to {lon1}; cut polygons "
                "at the antimeridian (RFC 7946, section 3.1.9), or add points along the edge"
            )
        steps = max(1, -int(-max(abs(lon1 - lon0), abs(lat1 - lat0)) // max_degrees))
        points += [
            (lon0 + (lon1 - lon0) * i / steps, lat0 + (lat1 - lat0) * i / steps)
            for i in range(1, steps)
        ]
        points.append((lon1, lat1))
    return points
