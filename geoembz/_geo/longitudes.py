"""Longitudes come round: 181 and −179 are one place, and so are 0 and 360.

Grids and queries may use either range; what is asked is brought into the range of what is there.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.systems import horizontal

_CYLINDRICAL = {
    "Equidistant Cylindrical",
    "Equidistant Cylindrical (Spherical)",
    "Lambert Cylindrical Equal Area",
    "Lambert Cylindrical Equal Area (Spherical)",
    "Mercator (variant A)",
    "Mercator (variant B)",
    "Mercator (variant C)",
    "Mercator (Spherical)",
    "Popular Visualisation Pseudo Mercator",
}
"""Projections whose x is longitude times a constant, and so comes round as well."""

_ROUNDING = 1e-9


@lru_cache(maxsize=256)
def full_turn(crs: str) -> float | None:
    """Return after how much x one is at the same place again, in CRS units; None where never.

    Examples
    --------
    >>> full_turn("EPSG:4326"), full_turn("EPSG:32633"), round(full_turn("EPSG:3857"))
    (360.0, None, 40075017)
    """
    system = horizontal(crs)
    if system.is_geographic:
        return round(2 * math.pi / float(system.axis_info[0].unit_conversion_factor), 9)
    operation = system.coordinate_operation if system.is_projected else None
    if operation is None or operation.method_name not in _CYLINDRICAL:
        return None
    from pyproj import Transformer

    to_x = Transformer.from_crs(system.geodetic_crs, system, always_xy=True)
    start = next(p.value for p in operation.params if p.name.startswith("Longitude of"))
    quarter = to_x.transform(start + 90.0, 0.0)[0] - to_x.transform(start, 0.0)[0]
    return abs(float(quarter)) * 4


def into_range(crs: str, x: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return coordinates with whole turns added where that brings them between two bounds.

    Parameters
    ----------
    crs
        Of the coordinates: where x does not come round they are returned as they are.
    x
        Of any shape; NaN stays NaN.
    low, high
        Bounds of what is there, such as a grid's.

    Examples
    --------
    >>> into_range("EPSG:4326", np.array([-179.99, 179.99, 10.0]), 179.98, 180.02)
    array([180.01, 179.99,  10.  ])
    """
    turn = full_turn(crs)
    if turn is None or not math.isfinite(low) or not math.isfinite(high):
        return x
    with np.errstate(invalid="ignore"):
        outside = np.isfinite(x) & ((x < low) | (x > high))
        moved = x - np.floor((x - low) / turn) * turn
        return np.where(outside & (moved <= high), moved, x)


def shifts(crs: str, x: tuple[float, float], bounds: tuple[float, float]) -> list[float]:
    """Return the whole turns that bring a range of x onto the range of something.

    Parameters
    ----------
    crs
        Of both.
    x
        Least and largest x of what is asked.
    bounds
        Least and largest x of what is there.

    Returns
    -------
    shifts
        To be added to x, ascending: 0 alone where x does not come round.

    Examples
    --------
    >>> shifts("EPSG:4326", (-180, 180), (0, 360)), shifts("EPSG:4326", (1, 2), (0, 360))
    ([0.0, 360.0], [0.0])
    """
    turn = full_turn(crs)
    if turn is None or not all(map(math.isfinite, (*x, *bounds))):
        return [0.0]
    first = math.ceil((bounds[0] - x[1]) / turn - _ROUNDING)
    last = math.floor((bounds[1] - x[0]) / turn + _ROUNDING)
    return [number * turn for number in range(first, last + 1)]


def spans(
    crs: str, x: tuple[float, float], bounds: tuple[float, float]
) -> list[tuple[float, float]]:
    """Return the parts of something that lie between two x, where the first may be the larger.

    A range from 170 to −170 is one across the antimeridian. Parts that touch each other are joined.

    Parameters
    ----------
    crs
        Of both.
    x
        From, to.
    bounds
        Least and largest x of what is there.

    Examples
    --------
    >>> spans("EPSG:4326", (-180, 180), (0, 360)), spans("EPSG:4326", (-10, 10), (0, 360))
    ([(0.0, 360.0)], [(0.0, 10.0), (350.0, 360.0)])
    >>> spans("EPSG:4326", (170, -170), (-180, 180))
    [(-180.0, -170.0), (170.0, 180.0)]
    """
    turn = full_turn(crs)
    west, east = float(x[0]), float(x[1])
    if turn is None:
        return [(west, east)]
    if west > east:
        east += math.ceil((west - east) / turn) * turn
    east = min(east, west + turn)
    low, high = bounds
    found: list[tuple[float, float]] = []
    for shift in shifts(crs, (west, east), bounds):
        part = max(west + shift, float(low)), min(east + shift, float(high))
        if found and part[0] <= found[-1][1] + _ROUNDING * turn:
            found[-1] = found[-1][0], max(found[-1][1], part[1])
        else:
            found.append(part)
    return found


def narrowest(turn: float, ranges: NDArray[np.float64]) -> tuple[float, float]:
    """Return the shortest range that holds all of several ranges on a circle.

    Parameters
    ----------
    turn
        Of the circle.
    ranges
        From and to, shape ``(n, 2)``, the second not the smaller.

    Returns
    -------
    low, high
        ``low`` is one of the ranges' own, ``high`` not the smaller, and up to a turn larger.

    Examples
    --------
    >>> narrowest(360.0, np.array([[-180.0, -179.0], [179.0, 180.0]]))
    (179.0, 181.0)
    """
    order = np.argsort(np.mod(ranges[:, 0], turn), kind="stable")
    low, widths = ranges[order, 0], (ranges[:, 1] - ranges[:, 0])[order]
    starts = np.mod(low, turn)
    reach = np.maximum.accumulate(starts + widths)  # how far the ranges up to each one come
    gaps = np.append(starts[1:], starts[0] + turn) - np.maximum(reach, reach[-1] - turn)
    widest = int(np.argmax(gaps))
    if gaps[widest] <= 0:
        return float(ranges[:, 0].min()), float(ranges[:, 0].min() + turn)
    first = float(low[(widest + 1) % len(low)])
    return first, first + turn - float(gaps[widest])


def unrolled(crs: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coordinates with whole turns added where half the circle then holds all of them.

    Places on both sides of the antimeridian stand beside each other then, beyond 180.

    Examples
    --------
    >>> unrolled("EPSG:4326", np.array([179.5, -179.5, np.nan]))
    array([179.5, 180.5,   nan])
    """
    turn, known = full_turn(crs), x[np.isfinite(x)]
    if turn is None or not len(known) or known.max() - known.min() <= turn / 2:
        return x
    low, high = narrowest(turn, np.column_stack([known, known]))
    return into_range(crs, x, low, high) if high - low <= turn / 2 else x
