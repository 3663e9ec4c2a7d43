"""Where a store that is written window by window lies: its grid, and windows on it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from geoembz._geo.grid import TOLERANCE_PIXELS, Grid, Window
from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions
from geoembz.sources.georeference import make_grid
from geoembz.sources.options import Extent, parse_extent, parse_transform
from geoembz.sources.raster import RasterSource
from geoembz.store import StoreReader
from geoembz.store.source import is_store

type Place = Window | tuple[slice, slice]

NO_BLOCK = (1, 1)
"""Stands for the block of a source, where there is none to keep whole."""


def open_like(like: str | Path) -> tuple[Grid, tuple[int, int]]:
    """Return the grid of a raster or a store, and the block that it is read in.

    Raises
    ------
    GeoembzError
        If it cannot be read, or lies nowhere.
    """
    if is_store(str(like)):
        return StoreReader.open(str(like)).attributes.grid, NO_BLOCK
    source = RasterSource(like, ReadOptions(nodata="none"))
    return source.grid, source.block_shape


def checked_grid(grid: Grid) -> Grid:
    """Return a grid whose CRS is WKT, as stores have it, in whatever form it was given.

    Raises
    ------
    SourceError
        If the CRS is unknown, the grid is rotated, or its coordinates look swapped.
    """
    known = make_grid("grid", grid.crs_wkt or None, grid.transform, grid.shape, None)
    same = replace(grid, crs_code=known.crs_code)
    return same if _is_wkt(grid.crs_wkt) else known


def _is_wkt(text: str) -> bool:
    try:
        CRS.from_wkt(text)
    except CRSError:
        return False
    return True


def grid_of(
    crs: str | None,
    transform: Any,
    resolution: float | Sequence[float] | None,
    extent: Sequence[float] | None,
    shape: Sequence[int] | None,
) -> Grid:
    """Return the grid that numbers describe; see `geoembz.create`.

    Raises
    ------
    InvalidConfigError
        If they say too little, contradict each other, or describe no whole number of pixels.
    SourceError
        If the CRS is unknown, or coordinates look swapped.
    """
    coefficients, box = parse_transform(transform), parse_extent(extent)
    sides = None if shape is None else (int(shape[0]), int(shape[1]))
    if crs is None or (coefficients is None) == (resolution is None):
        raise InvalidConfigError(
            "grid: expected a Grid, like=RASTER, or crs with a transform or a resolution, and with "
            "an extent (or, beside a transform, a shape)"
        )
    if coefficients is None:
        if box is None:
            raise InvalidConfigError("grid: a resolution alone has no place; expected an extent")
        across, down = _steps(resolution)
        coefficients = (across, 0.0, box[0], 0.0, -down, box[3])
    if box is not None:
        window = window_of(Grid(crs, None, coefficients, (1, 1)), box, "extent")
        if sides not in {None, window.shape}:
            raise InvalidConfigError(f"extent {extent}: {window.shape} pixels, but shape={shape}")
        corner = Grid(crs, None, coefficients, (1, 1)).part(window)
        coefficients, sides = corner.transform, window.shape
    if sides is None:
        raise InvalidConfigError("grid: a transform alone has no end; expected an extent or shape")
    return make_grid("grid", crs, coefficients, sides, None)


def _steps(resolution: Any) -> tuple[float, float]:
    """Return the width and height of a pixel."""
    pair = (resolution, resolution) if isinstance(resolution, int | float) else tuple(resolution)
    if len(pair) != 2 or min(pair) <= 0:
        raise InvalidConfigError(
            f"resolution {resolution!r}; expected the side of a pixel in units of the CRS, or "
            "(width, height)"
        )
    return float(pair[0]), float(pair[1])


def window_of(grid: Grid, box: Extent, name: str) -> Window:
    """Return the window that a box in units of the CRS is, on a grid without end.

    Raises
    ------
    InvalidConfigError
        If its edges are not those of pixels.

    Examples
    --------
    >>> grid = Grid("", None, (10.0, 0.0, 500.0, 0.0, -10.0, 900.0), (50, 50))
    >>> window_of(grid, (520, 860, 550, 900), "bbox")
    Window(row=0, col=2, height=4, width=3)
    """
    xmin, ymin, xmax, ymax = box
    rows, cols = grid.rows_cols([xmin, xmax], [ymin, ymax])
    edges = [float(edge) for edge in (*sorted(rows), *sorted(cols))]
    if any(abs(edge - round(edge)) > TOLERANCE_PIXELS for edge in edges):
        found = "rows {:.10g} to {:.10g}, columns {:.10g} to {:.10g}".format(*edges)
        raise InvalidConfigError(
            f"{name} {tuple(box)}: {found}; expected the edges of pixels, whole numbers"
        )
    top, bottom, left, right = map(round, edges)
    return Window(top, left, bottom - top, right - left)


def place_window(grid: Grid, window: Place | None, bbox: Sequence[float] | None) -> Window:
    """Return the window that is meant, which must lie on a grid.

    Raises
    ------
    InvalidConfigError
        If it is named in two ways or none, or reaches beyond the grid.
    """
    if (window is None) == (bbox is None):
        raise InvalidConfigError("window: expected a Window, two slices, or bbox=; one of them")
    box = parse_extent(bbox)
    found = _as_window(grid.shape, window) if box is None else window_of(grid, box, "bbox")
    if found.intersection(grid.window) != found:
        raise InvalidConfigError(
            f"window at row {found.row}, column {found.col} of {found.height} x {found.width} "
            f"pixels: not within the grid's {grid.shape[0]} x {grid.shape[1]}; cut it to the grid"
        )
    return found


def _as_window(shape: tuple[int, int], place: Any) -> Window:
    if isinstance(place, Window):
        return place
    pair = place if isinstance(place, tuple) else ()
    if len(pair) != 2 or not all(isinstance(each, slice) for each in pair):
        raise InvalidConfigError(
            f"window {place!r}; expected a Window, (row_slice, col_slice), or bbox="
        )
    spans = []
    for part, size in zip(pair, shape, strict=True):
        start, stop = part.start or 0, size if part.stop is None else part.stop
        if part.step not in {None, 1} or min(start, stop) < 0:
            raise InvalidConfigError(
                f"window {place!r}; expected slices with no step that count from the first pixel"
            )
        spans += [int(start), int(stop) - int(start)]
    return Window(spans[0], spans[2], spans[1], spans[3])
