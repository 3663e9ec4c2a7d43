"""Make a grid of a CRS, a transform and a shape, and refuse what coordinates cannot be made of."""

import math
import sys
from functools import lru_cache
from typing import Any

from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError

from geoembz.errors import InvalidConfigError, SourceError
from geoembz.grid import Grid, Transform

_LARGEST_EASTING = 1_200_000.0
"""UTM eastings stay within 0 to 1,000 km, and tiles reach a little over the edge of a zone."""

_DEGREE_SLACK = 0.5


def make_grid(
    name: str, system: Any, transform: Transform, shape: tuple[int, int], override: str | None
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

    Raises
    ------
    SourceError
        If there is no CRS, the grid is rotated, or its coordinates look swapped.
    InvalidConfigError
        If `override` is no CRS.
    """
    if system is None and override is None:
        raise SourceError(
            f"{name}: no coordinate reference system; expected a georeferenced raster; give it one "
            "with --crs EPSG:…"
        )
    wkt, code, metres = _describe(name, system, override)
    grid = Grid(wkt, code, transform, shape, metres)
    if not grid.is_rectilinear:
        raise SourceError(
            f"{name}: rotated or sheared grid {grid.transform}; expected rows and columns along "
            "the axes; warp it first, for example with `gdalwarp SRC DST`"
        )
    _refuse_swapped(name, grid)
    return grid


def _describe(name: str, system: Any, override: str | None) -> tuple[str, str | None, float | None]:
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
def _description(wkt: str) -> tuple[str, str | None, float | None]:
    """Return WKT, code and metres per unit; the tiles of a mosaic share one copy."""
    crs = CRS.from_wkt(wkt)
    code = crs.to_authority()
    metres = float(crs.linear_units_factor[1]) if crs.is_projected else None
    return sys.intern(wkt), ":".join(code) if code else None, metres


def _refuse_swapped(name: str, grid: Grid) -> None:
    """Refuse coordinates that can only be right with x and y exchanged."""
    xmin, ymin, xmax, ymax = grid.bbox
    if grid.metres_per_unit is None:
        impossible = max(-ymin, ymax) > 90 + _DEGREE_SLACK
        plausible = max(-xmin, xmax) <= 90 + _DEGREE_SLACK
        limits = "latitudes (y) within ±90°"
    elif _is_utm(grid):
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


def _is_utm(grid: Grid) -> bool:
    return "UTM zone" in grid.crs_wkt[:200]
