"""What lazy datasets of rasters have in common: windows of an index, coordinates, dimensions."""

from typing import Any

import numpy as np
import xarray as xr

from geoembz._geo.grid import Grid, Window
from geoembz.store import StoreReader, View
from geoembz.store.conventions import cf_axis, cf_grid_mapping
from geoembz.store.documents import StorePlan


def window_of(
    key: tuple[int | slice, ...], shape: tuple[int, ...]
) -> tuple[Window, tuple[int | slice, ...]]:
    """Return the window of pixels around an index of rows and columns, and the index inside it."""
    spans = [_span(index, size) for index, size in zip(key, shape, strict=True)]
    window = Window(spans[0].start, spans[1].start, len(spans[0]), len(spans[1]))
    inner = tuple(
        index - span.start if isinstance(index, int) else slice(None, None, index.step)
        for index, span in zip(key, spans, strict=True)
    )
    return window, inner


def _span(index: int | slice, size: int) -> range:
    """Return the contiguous range that an index touches; steps are taken afterwards."""
    if isinstance(index, int):
        return range(index, index + 1)
    touched = range(*index.indices(size))
    if not touched:
        return range(0)
    return range(min(touched), max(touched) + 1)


def grid_coordinates(grid: Grid) -> dict[str, Any]:
    """Return `y`, `x` and `spatial_ref` of a grid, exact, by arithmetic."""
    return {
        "y": xr.Variable(("y",), grid.y, cf_axis(grid, "y")),
        "x": xr.Variable(("x",), grid.x, cf_axis(grid, "x")),
        "spatial_ref": xr.Variable((), np.int64(0), cf_grid_mapping(grid)),
    }


def first_dimension(reader: StoreReader, space: View) -> str:
    """Return the name of the dimension that a pixel's numbers have in a space."""
    if space == "original":
        return "dimension"
    return StorePlan.axis_of(reader.encoding) if space == "codes" else "component"
