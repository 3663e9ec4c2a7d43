"""What a coordinate reference system is, whatever its text looks like, and how large its units are.

Rasters keep x (east) before y (north) whatever order a CRS declares, so axis order tells nothing.
Lengths on the ground follow from the ellipsoid's radii of curvature and the projection's
derivatives, taken as differences over some ten metres.
"""

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid
from geoembz.errors import InvalidConfigError

_UTM_SCALE, _UTM_EASTING, _UTM_SOUTH = 0.9996, 500_000.0, 10_000_000.0
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")
_WGS_84 = "EPSG:4326"
_ORIGIN = ("Latitude", "Longitude")
_SAMPLES = 33
"""Places along each axis over which the area of a pixel is averaged."""

_STEP_METRES, _STEP_DEGREES = 10.0, 1e-4
"""Width of central differences: short against a bend of any projection, long against rounding."""

_AS_DECLARED = 2e-3
"""Below this share the scale of a projection is no news: UTM keeps within it in its zone."""

_DIGITS = 3
"""Significant digits of a size that a projection has changed: it varies over a raster anyhow."""


@lru_cache(maxsize=256)
def parse_crs(crs: str) -> Any:
    """Return a `pyproj.CRS`.

    Raises
    ------
    InvalidConfigError
        If PROJ does not know it.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise InvalidConfigError(
            f"crs {crs!r}: {error}; expected a CRS such as EPSG:32633"
        ) from error


@lru_cache(maxsize=1024)
def same_crs(one: str, other: str) -> bool:
    """Whether the same x and y mean the same place in two systems.

    Names, codes, the dialect of the text, axis order, heights and a declared way to WGS 84 make no
    difference; datum, projection, parameters and units do.

    Parameters
    ----------
    one, other
        In any form that PROJ knows.

    Examples
    --------
    >>> same_crs("EPSG:4326", "OGC:CRS84"), same_crs("EPSG:32616", "EPSG:26716")
    (True, False)
    """
    if one == other:
        return True
    first, second = horizontal(one), horizontal(other)
    return bool(
        first.equals(second, ignore_axis_order=True)
        or _exchange_axes(first).equals(second, ignore_axis_order=True)
    )


def placed_points(points: NDArray[np.float64], crs: str, target: str) -> NDArray[np.float64]:
    """Return points in another CRS, NaN where PROJ has no answer.

    Parameters
    ----------
    points
        x and y, shape ``(n, 2)``.
    crs, target
        In any form that PROJ knows.

    Raises
    ------
    InvalidConfigError
        If PROJ does not know one of the two.
    """
    if same_crs(crs, target):
        return points
    moved = np.column_stack(_transformer(crs, target).transform(points[:, 0], points[:, 1]))
    moved[~np.isfinite(moved).all(axis=1)] = np.nan
    return moved


@lru_cache(maxsize=256)
def _transformer(crs: str, target: str) -> Any:
    """Return a transformer of x and y; to make one takes longer than thousands of points."""
    from pyproj import Transformer

    return Transformer.from_crs(parse_crs(crs), parse_crs(target), always_xy=True)


def is_geographic(crs: str) -> bool:
    """Whether x and y are longitude and latitude."""
    return bool(horizontal(crs).is_geographic)


@lru_cache(maxsize=256)
def utm_zone(crs: str) -> str | None:
    """Return a UTM zone of any datum by its parameters, such as ``32n``; None for others.

    Examples
    --------
    >>> utm_zone("EPSG:32632"), utm_zone("EPSG:26716"), utm_zone("EPSG:3857")
    ('32n', '16n', None)
    """
    system = horizontal(crs)
    operation = system.coordinate_operation
    if not system.is_projected or operation.method_name != "Transverse Mercator":
        return None
    if {axis.unit_conversion_factor for axis in system.axis_info} != {1.0}:
        return None
    values = {parameter.name: parameter.value for parameter in operation.params}
    latitude, longitude = (values.get(f"{name} of natural origin") for name in _ORIGIN)
    scale = values.get("Scale factor at natural origin")
    easting, northing = values.get("False easting"), values.get("False northing")
    if (latitude, scale, easting) != (0.0, _UTM_SCALE, _UTM_EASTING) or longitude is None:
        return None
    zone = (longitude + 183) / 6
    if northing not in {0.0, _UTM_SOUTH} or zone != int(zone) or not 1 <= zone <= 60:
        return None
    return f"{int(zone):02d}{'s' if northing else 'n'}"


@lru_cache(maxsize=256)
def datum_label(crs: str) -> str | None:
    """Return a short name of what coordinates refer to, such as ``nad27``; None for WGS 84.

    Examples
    --------
    >>> datum_label("EPSG:26716"), datum_label("EPSG:32616")
    ('nad27', None)
    """
    geodetic = horizontal(crs).geodetic_crs
    if geodetic is None:
        return "local"
    if same_crs(geodetic.to_wkt(), _WGS_84):
        return None
    name = geodetic.name if geodetic.name != "unknown" else geodetic.datum.name
    return _NOT_A_NAME.sub("", str(name).lower()) or "datum"


@lru_cache(maxsize=256)
def horizontal(crs: str) -> Any:
    """Return a system without heights, and without a transformation to another that it carries."""
    system = parse_crs(crs)
    while system.is_bound or system.is_compound:
        system = system.source_crs if system.is_bound else system.sub_crs_list[0]
    return system.to_2d() if len(system.axis_info) == 3 else system


def _exchange_axes(system: Any) -> Any:
    """Return a projected system with its two axes exchanged; others as they are."""
    from pyproj import CRS

    if not system.is_projected:
        return system
    document = system.to_json_dict()
    document["coordinate_system"]["axis"].reverse()
    document.pop("id", None)
    return CRS.from_json_dict(document)


def gsd(grid: Grid) -> float | None:
    """Return the width of a pixel on the ground at a grid's centre, in metres.

    Three significant digits where the projection changes the size: the same on every computer.
    None where the CRS has no unit of length.

    Examples
    --------
    >>> from geoembz._geo import parse_crs
    >>> size, mercator = (10.0, 0.0, 1200000.0, 0.0, -10.0, 8400000.0), parse_crs("EPSG:3857")
    >>> gsd(Grid(mercator.to_wkt(), None, size, (64, 64)))
    5.01
    """
    system = horizontal(grid.crs_wkt)
    if not system.is_projected:
        return None
    unit, width = metres_per_unit(grid.crs_wkt, *_centre(grid))[0], abs(grid.transform[0])
    return width * unit if unit == _unit(system) else float(f"{width * unit:.{_DIGITS}g}")


def declared_gsd(grid: Grid) -> float | None:
    """Return the width of a pixel by the CRS's unit of length alone, in metres; None without one.

    What stores of format 0.1 say; off by a half in Web Mercator at 60° N.
    """
    system = horizontal(grid.crs_wkt)
    return abs(grid.transform[0]) * _unit(system) if system.is_projected else None


def metres_per_unit(crs: str, x: float, y: float) -> tuple[float, float]:
    """Return the length on the ground of one CRS unit at a place, along x and along y, in metres.

    The declared length of the unit where that is right within 0.2 %: UTM keeps within it.

    Parameters
    ----------
    crs
        In any form that PROJ knows.
    x, y
        The place, in the CRS.

    Examples
    --------
    >>> across, down = metres_per_unit("EPSG:4326", 0.0, 60.0)
    >>> round(across), round(down)
    (55800, 111412)
    """
    system = horizontal(crs)
    unit = _unit(system)
    across, down = (float(scale[0]) for scale in _scales(crs, np.array([x]), np.array([y]))[:2])
    if not (np.isfinite([across, down]).all() and across > 0 and down > 0):
        return unit, unit  # outside the projection, or at a pole
    as_declared = all(abs(scale / unit - 1) < _AS_DECLARED for scale in (across, down))
    return (unit, unit) if as_declared and system.is_projected else (across, down)


def pixel_area(grid: Grid) -> float:
    """Return the area on the ground of a grid's pixels in the mean, in square metres.

    As for `gsd`, what the projection says holds where that is right within 0.4 %.
    """
    xmin, ymin, xmax, ymax = grid.bbox
    shares = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    x, y = np.meshgrid(xmin + shares * (xmax - xmin), ymin + shares * (ymax - ymin))
    _, _, areas = _scales(grid.crs_wkt, x.ravel(), y.ravel())
    known = areas[np.isfinite(areas) & (areas > 0)]
    system = horizontal(grid.crs_wkt)
    declared = _unit(system) ** 2
    scale = float(known.mean()) if len(known) else declared
    if not system.is_geographic and abs(scale / declared - 1) < 2 * _AS_DECLARED:
        scale = declared
    return abs(grid.transform[0] * grid.transform[4]) * scale


def _centre(grid: Grid) -> tuple[float, float]:
    xmin, ymin, xmax, ymax = grid.bbox
    return (xmin + xmax) / 2, (ymin + ymax) / 2


def unit_symbol(crs: str) -> str:
    """Return how the unit of a CRS's axes stands behind a number.

    Examples
    --------
    >>> unit_symbol("EPSG:32632"), unit_symbol("EPSG:4326"), unit_symbol("EPSG:2263")
    (' m', '°', ' US survey foot')
    """
    name = parse_crs(crs).axis_info[0].unit_name
    return {"metre": " m", "degree": "°"}.get(name, f" {name}")


def _unit(system: Any) -> float:
    """Return the declared length of a unit, in metres; of an angle on the equator."""
    axis = system.axis_info[0]
    factor = float(axis.unit_conversion_factor) or 1.0
    return factor * float(system.ellipsoid.semi_major_metre) if system.is_geographic else factor


def _scales(
    crs: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return metres along x and along y, and square metres, of one unit at places ``(n,)``."""
    system = horizontal(crs)
    if system.geodetic_crs is None:  # a local CRS: the plane is all there is
        unit = np.full(len(x), _unit(system))
        return unit, unit, unit**2
    step = _STEP_DEGREES if system.is_geographic else _STEP_METRES / _unit(system)
    east, north = np.array([step, 0.0]) / 2, np.array([0.0, step]) / 2
    x_east, x_north = _derivative(crs, x, y, east)
    y_east, y_north = _derivative(crs, x, y, north)
    along_x = np.hypot(x_east, x_north) / step
    along_y = np.hypot(y_east, y_north) / step
    return along_x, along_y, np.abs(x_east * y_north - x_north * y_east) / step**2


def _derivative(
    crs: str, x: NDArray[np.float64], y: NDArray[np.float64], half: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far east and north one gets, in metres, from ``-half`` to ``+half`` of places."""
    to_radians, ellipsoid = _to_radians(crs)
    a, b = ellipsoid
    lon0, lat0 = to_radians(x - half[0], y - half[1])
    lon1, lat1 = to_radians(x + half[0], y + half[1])
    with np.errstate(invalid="ignore"):
        middle = (lat0 + lat1) / 2
        squared = 1 - (b / a) ** 2
        root = np.sqrt(1 - squared * np.sin(middle) ** 2)
        turn = np.remainder(lon1 - lon0 + np.pi, 2 * np.pi) - np.pi
        return turn * np.cos(middle) * a / root, (lat1 - lat0) * a * (1 - squared) / root**3


@lru_cache(maxsize=64)
def _to_radians(crs: str) -> tuple[Any, tuple[float, float]]:
    """Return a function from x and y to the datum's own longitude and latitude, and radii."""
    from pyproj import Transformer

    system = horizontal(crs)
    geodetic = system.geodetic_crs
    transformer = Transformer.from_crs(system, geodetic, always_xy=True)
    factor = float(geodetic.axis_info[0].unit_conversion_factor)

    def to_radians(x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
        lon, lat = transformer.transform(x, y)
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        known = np.isfinite(lon) & np.isfinite(lat)
        return np.where(known, lon, np.nan) * factor, np.where(known, lat, np.nan) * factor

    ellipsoid = geodetic.ellipsoid
    return to_radians, (float(ellipsoid.semi_major_metre), float(ellipsoid.semi_minor_metre))
