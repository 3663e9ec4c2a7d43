"""Boxes of coordinates in other systems, also across the antimeridian.

There a box has a west that is larger than its east, as in GeoJSON (RFC 7946) and STAC.
"""

import math

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.longitudes import full_turn, spans, unrolled
from geoembz._geo.systems import parsed, same_crs
from geoembz.errors import InvalidConfigError

_MARGIN = 0.05
"""Share of an extent's sides that its box in another CRS is made larger by."""

type BBox = tuple[float, float, float, float]
"""``(xmin, ymin, xmax, ymax)``."""


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
    x, y = unrolled(crs, known[:, 0]), known[:, 1]
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
        parsed(crs or target)
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

    transformer = Transformer.from_crs(parsed(crs), parsed(target), always_xy=True)
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
