"""Grids of sources: made of CRS, transform and shape; and whether several share their pixels."""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from geoembz._geo import is_geographic, parse_crs, same_crs, utm_zone
from geoembz._geo.grid import TOLERANCE_PIXELS, Grid, Transform, Window
from geoembz.errors import InvalidConfigError, SourceError

_LARGEST_EASTING = 1_200_000.0
"""UTM eastings stay within 0 to 1,000 km, and tiles reach a little over the edge of a zone."""

_DEGREE_SLACK = 0.5
"""How far global grids reach beyond a pole: half a pixel of 1°, where centres lie on it."""


def make_grid(
    name: str,
    system: Any,
    transform: Transform,
    shape: tuple[int, int],
    override: str | None,
    *,
    are_degrees: bool = False,
) -> Grid:
    """Return a checked grid.

    Parameters
    ----------
    name
        The input, for messages.
    system
        Its CRS, in any form that PROJ knows; None where it has none.
    transform
        Affine coefficients ``(a, b, c, d, e, f)``.
    shape
        Height and width, in pixels.
    override
        A CRS that replaces `system`.
    are_degrees
        Coordinates called latitude and longitude stand in the input, whatever their numbers.

    Raises
    ------
    SourceError
        If there is no CRS or no transform, the grid is rotated, or its coordinates look swapped.
    InvalidConfigError
        If `override` is no CRS.
    """
    if not are_degrees and is_identity(transform):
        raise SourceError(_unplaced(name, transform))
    if system is None and override is None:
        raise SourceError(
            f"{name}: no coordinate reference system; expected a georeferenced raster; give it one "
            "with --crs EPSG:…"
        )
    wkt, code = _describe(name, system, override)
    grid = Grid(wkt, code, transform, shape).straighten()
    if not is_geographic(wkt) and _counts_pixels(grid):
        raise SourceError(_unplaced(name, transform))
    if not grid.is_rectilinear:
        raise SourceError(
            f"{name}: rotated or sheared grid {grid.transform}; expected rows and columns along "
            "the axes; warp it first, for example with `gdalwarp SRC DST`"
        )
    _refuse_swapped(name, grid)
    return grid


def is_identity(transform: Transform) -> bool:
    """Whether coordinates are numbers of rows and columns: what GDAL says where there are none.

    Pixels counted by their corners or, as coordinates, by their centres.

    Examples
    --------
    >>> is_identity((1.0, 0.0, 0.0, 0.0, 1.0, 0.0)), is_identity((1.0, 0.0, 7.0, 0.0, 1.0, 0.0))
    (True, False)
    """
    a, b, c, d, e, f = transform
    return (a, b, d, e) == (1.0, 0.0, 0.0, 1.0) and {c, f} <= {0.0, -0.5}


def _counts_pixels(grid: Grid) -> bool:
    """Whether x and y count pixels from zero, in whichever direction.

    In degrees that may be a true grid of 1°; in a projection nobody measures so.
    """
    xmin, ymin, _, ymax = grid.bbox
    a, b, _, d, e, _ = grid.transform
    starts = {0.0, -0.5}
    return (
        (abs(a), b, d, abs(e)) == (1.0, 0.0, 0.0, 1.0)
        and xmin in starts
        and (ymin in starts or -ymax in starts)
    )


def refuse_unplaced(name: str, dataset: Any) -> None:
    """Refuse a raster that GDAL has no transform for, naming what places it instead.

    Raises
    ------
    SourceError
        If its transform is the identity: GDAL says so, too, where there is none.
    """
    a, b, c, d, e, f = (float(value) for value in dataset.transform[:6])
    if not is_identity((a, b, c, d, e, f)):
        return
    if dataset.gcps[0]:
        raise control_points_only(name, "ground control points")
    if dataset.rpcs is not None:
        raise control_points_only(name, "rational polynomial coefficients (RPC)", "-rpc ")
    if dataset.tags(ns="GEOLOCATION"):
        raise control_points_only(name, "geolocation arrays", "-geoloc ")
    raise SourceError(_unplaced(name, (a, b, c, d, e, f)))


def control_points_only(name: str, points: str, option: str = "") -> SourceError:
    """Return the error of an input that points place, and no transform.

    Parameters
    ----------
    name
        The input.
    points
        What it has.
    option
        Of gdalwarp, to use them.
    """
    return SourceError(
        f"{name}: {points} and no transform; expected rows and columns along the axes of a CRS "
        f"(--crs does not place it); warp it first: `gdalwarp {option}SRC DST`"
    )


def _unplaced(name: str, transform: Transform) -> str:
    return (
        f"{name}: no georeference: its transform {transform} counts rows and columns; expected a "
        "transform to the coordinates of a CRS (--crs does not replace one); give it one with "
        "--transform or --like RASTER, or `gdal_translate -a_ullr XMIN YMAX XMAX YMIN SRC DST`"
    )


def _describe(name: str, system: Any, override: str | None) -> tuple[str, str | None]:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError, RasterioError

    try:
        crs = CRS.from_user_input(system if override is None else override)
    except (RasterioError, CRSError) as error:
        if override is not None:
            raise InvalidConfigError(
                f"crs {override!r}: {error}; expected a CRS such as EPSG:32633"
            ) from error
        raise SourceError(
            f"{name}: CRS {system!r} is unknown ({error}); give it one with --crs EPSG:…"
        ) from error
    return _description(crs.to_wkt(version="WKT2_2019"))


@lru_cache(maxsize=256)
def _description(wkt: str) -> tuple[str, str | None]:
    """Return WKT and code; the tiles of a mosaic share one copy.

    GDAL's code is its best guess by name and numbers: it holds only if it means the same place.
    """
    from rasterio.crs import CRS

    found = CRS.from_wkt(wkt).to_authority()
    code = ":".join(found) if found else None
    return sys.intern(wkt), code if code and same_crs(code, wkt) else None


def _refuse_swapped(name: str, grid: Grid) -> None:
    """Refuse coordinates that can only be right with x and y exchanged."""
    xmin, ymin, xmax, ymax = grid.bbox
    if is_geographic(grid.crs_wkt):
        impossible = max(-ymin, ymax) > 90 + _DEGREE_SLACK
        plausible = max(-xmin, xmax) <= 90 + _DEGREE_SLACK
        limits = "latitudes (y) within ±90°"
    elif utm_zone(grid.crs_wkt) is not None:
        impossible = xmax > _LARGEST_EASTING or xmin < -_LARGEST_EASTING
        plausible = ymin >= 0 and ymax <= _LARGEST_EASTING
        limits = "eastings (x) of 0 to 1,000 km"
    else:
        return
    if impossible and plausible and all(map(math.isfinite, grid.bbox)):
        raise SourceError(
            f"{name}: bounding box x {xmin:.10g} to {xmax:.10g}, y {ymin:.10g} to {ymax:.10g} in "
            f"{grid.crs_code or 'its CRS'}: x and y (longitude and latitude) look swapped; "
            f"expected {limits}; correct the input's transform, such as with `gdal_edit -a_ullr`"
        )


def offset(base: Grid, tile: Grid) -> tuple[int, int] | None:
    """Return row and column of a tile's corner on another grid; None where pixels differ.

    Both are north-up, in one CRS.

    Examples
    --------
    >>> from dataclasses import replace
    >>> base = Grid("", None, (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (4, 4))
    >>> offset(base, replace(base, transform=(10.0, 0.0, 20.0, 0.0, -10.0, -30.0)))
    (3, 2)
    """
    a, _, _, _, e, _ = base.transform
    ta, _, tc, _, te, tf = tile.transform
    drift = max(abs(ta - a) / abs(a) * tile.shape[1], abs(te - e) / abs(e) * tile.shape[0])
    rows, cols = map(float, base.rows_cols(tc, tf))
    off = max(abs(rows - round(rows)), abs(cols - round(cols)))
    if drift > TOLERANCE_PIXELS or off > TOLERANCE_PIXELS:
        return None
    return round(rows), round(cols)


def same_pixels(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same pixels, as many of them and in one CRS."""
    return (
        one.shape == other.shape
        and offset(one, other) == (0, 0)
        and same_crs(one.crs_wkt, other.crs_wkt)
    )


def refuse_misaligned(name: str, tile: Grid, base_name: str, base: Grid) -> None:
    """Raise with both grids printed where a tile's CRS or pixels are not another grid's.

    Raises
    ------
    SourceError
        If they are not.
    """
    if not same_crs(tile.crs_wkt, base.crs_wkt):
        raise SourceError(
            f"{name}: {describe_grid(tile)}; its CRS is not that of {base_name}: "
            f"{describe_grid(base)}; expected tiles of one CRS; convert them to grids of their own"
        )
    if offset(base, tile) is None:
        raise SourceError(
            f"{name}: {describe_grid(tile)}; its pixels are not those of {base_name}: "
            f"{describe_grid(base)}; expected tiles of one grid; warp it, or pass "
            "--resample nearest"
        )


def cover(grids: Sequence[Grid]) -> Grid:
    """Return the smallest grid, aligned to the first, that covers all of these aligned grids.

    Its CRS is spelled as `best_named` says, whatever the order.
    """
    base = grids[0]
    places = [offset(base, grid) or (0, 0) for grid in grids]
    top, left = min(row for row, _ in places), min(col for _, col in places)
    bottom = max(row + grid.shape[0] for (row, _), grid in zip(places, grids, strict=True))
    right = max(col + grid.shape[1] for (_, col), grid in zip(places, grids, strict=True))
    named = best_named(grids)
    whole = base.part(Window(top, left, bottom - top, right - left))
    return replace(whole, crs_wkt=named.crs_wkt, crs_code=named.crs_code)


def best_named(grids: Sequence[Grid]) -> Grid:
    """Return the grid whose CRS is spelled best: one with a code, then the first of the texts."""
    return min(grids, key=lambda grid: (grid.crs_code is None, grid.crs_code or "", grid.crs_wkt))


def describe_grid(grid: Grid) -> str:
    """Return CRS, origin, pixel and shape of a grid as text."""
    a, _, c, _, e, f = grid.transform
    return (
        f"{grid.crs_code or parse_crs(grid.crs_wkt).name}, origin ({c:.12g}, {f:.12g}), "
        f"pixel ({a:.12g}, {e:.12g}), "
        f"{grid.shape[0]} x {grid.shape[1]} pixels"
    )
