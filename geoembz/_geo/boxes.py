"""Longitudes come round, and so do boxes of coordinates: 181 and −179 are one place.

Grids and queries may use either range; what is asked is brought into the range of what is there. A
box across the antimeridian has a west that is larger than its east, as in GeoJSON (RFC 7946) and
STAC.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.crs import horizontal, parse_crs, same_crs
from geoembz.errors import InvalidConfigError

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
"""Share of a full turn within which edges meet: rounding of longitudes, 4 cm on the ground."""

_MARGIN = 0.05
"""Share of an extent's sides that its box in another CRS is made larger by."""

type BBox = tuple[float, float, float, float]
"""``(xmin, ymin, xmax, ymax)``."""


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


def unroll(crs: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coordinates with whole turns added where half the circle then holds all of them.

    Places on both sides of the antimeridian stand beside each other then, beyond 180.

    Examples
    --------
    >>> unroll("EPSG:4326", np.array([179.5, -179.5, np.nan]))
    array([179.5, 180.5,   nan])
    """
    turn, known = full_turn(crs), x[np.isfinite(x)]
    if turn is None or not len(known) or known.max() - known.min() <= turn / 2:
        return x
    low, high = narrowest(turn, np.column_stack([known, known]))
    return into_range(crs, x, low, high) if high - low <= turn / 2 else x


def refuse_empty_box(bbox: BBox, crs: str) -> None:
    """Refuse a box that holds nothing in its CRS.

    Raises
    ------
    InvalidConfigError
        If a number is not finite, ymin is above ymax, or xmin above xmax where x does not come
        round; or if the CRS is none.
    """
    xmin, ymin, xmax, ymax = bbox
    is_box = all(map(math.isfinite, bbox)) and ymin <= ymax
    if not is_box or (xmin > xmax and full_turn(crs) is None):
        raise InvalidConfigError(
            f"bbox {bbox}; expected xmin, ymin, xmax, ymax with xmin < xmax and ymin < ymax (in "
            "degrees a larger xmin means: across the antimeridian)"
        )


def box_of(crs: str, places: NDArray[np.float64]) -> BBox | None:
    """Return the box around places, shape ``(n, 2)``; None where none is known.

    Where they lie on both sides of the antimeridian, within half the circle, xmin is the larger.

    Examples
    --------
    >>> box_of("EPSG:4326", np.array([[179.0, -17.0], [-179.0, -16.0]]))
    (179.0, -17.0, -179.0, -16.0)
    """
    known = places[np.isfinite(places).all(axis=1)]
    if not len(known):
        return None
    x, y = unroll(crs, known[:, 0]), known[:, 1]
    west, east, turn = float(x.min()), float(x.max()), full_turn(crs)
    if turn is not None and east > known[:, 0].max():
        east -= turn
    return west, float(y.min()), east, float(y.max())


def placed_boxes(
    bbox: BBox, crs: str | None, target: str, extent: BBox | None = None
) -> list[BBox]:
    """Return the boxes around what a box holds, in another CRS.

    Parameters
    ----------
    bbox
        xmin may be the larger where x comes round.
    crs
        Of the box; None for `target`.
    target
        The other CRS.
    extent
        Of what the box is to be laid on, in `target`: what lies elsewhere is left out first, as a
        box around half the Earth reaches anywhere.

    Returns
    -------
    boxes
        One, or one for each side of the antimeridian; xmin may be the larger there, too. None
        where the box does not meet the extent.

    Raises
    ------
    InvalidConfigError
        If the box holds nothing, or `crs` is no CRS.

    Examples
    --------
    >>> placed_boxes((170.0, -20.0, -170.0, -10.0), None, "EPSG:4326")
    [(170.0, -20.0, -170.0, -10.0)]
    >>> len(placed_boxes((170.0, -20.0, -170.0, -10.0), "EPSG:4326", "EPSG:3857"))
    2
    """
    try:
        parse_crs(crs or target)
    except InvalidConfigError as error:
        raise InvalidConfigError(f"bbox CRS: {error}") from error
    refuse_empty_box(bbox, crs or target)
    if crs is None or same_crs(crs, target):
        return [bbox]
    parts = [bbox]
    if extent is not None:
        there = [box_around(half, target, crs) for half in _halves(extent, target)]
        if all(math.isfinite(number) for around in there for number in around):
            parts = [part for around in there for part in _common(bbox, around, crs)]
    halves = [half for part in parts for half in _halves(part, crs)]
    return [box_around(half, crs, target) for half in halves]


def box_around(bbox: BBox, crs: str, target: str) -> BBox:
    """Return the box around a box in another CRS; xmin is the larger across the antimeridian."""
    from pyproj import Transformer

    transformer = Transformer.from_crs(parse_crs(crs), parse_crs(target), always_xy=True)
    xmin, ymin, xmax, ymax = transformer.transform_bounds(*bbox)
    return float(xmin), float(ymin), float(xmax), float(ymax)


def _halves(bbox: BBox, crs: str) -> list[BBox]:
    """Return the parts of a box on the two sides of the antimeridian."""
    turn = full_turn(crs)
    if turn is None:
        return [bbox]
    sides = spans(crs, (bbox[0], bbox[2]), (-turn / 2, turn / 2))
    return [(low, bbox[1], high, bbox[3]) for low, high in sides]


def _common(bbox: BBox, around: BBox, crs: str) -> list[BBox]:
    """Return what a box has in common with another, and a little more: edges are curved."""
    west, south, east, north = around
    if west > east:
        east += full_turn(crs) or 0.0
    wide, high = (_MARGIN * (east - west), _MARGIN * (north - south))
    bottom, top = max(bbox[1], south - high), min(bbox[3], north + high)
    if bottom > top:
        return []
    if full_turn(crs) is None:
        sides = [(max(bbox[0], west - wide), min(bbox[2], east + wide))]
    else:
        sides = spans(crs, (bbox[0], bbox[2]), (west - wide, east + wide))
    return [(left, bottom, right, top) for left, right in sides if left <= right]
