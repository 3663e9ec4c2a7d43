"""A quick look at a map: its classes in their colours, a ramp of colours, or three bands."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.preview import LONGEST_SIDE, write_picture
from geoembz._geo.grid import Grid, Window
from geoembz._map.bands import MapBands
from geoembz.store.map_figures import MapFigures

_RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Dark to bright: matplotlib's viridis at five places (CC0), which all eyes tell apart."""

_PIXELS = 2**22
"""Pixels of a map that are read at once."""


def write_quick_look(
    path: Path,
    read: Callable[[Window], NDArray[Any]],
    grid: Grid,
    bands: MapBands,
    figures: MapFigures,
    *,
    replaces: bool,
) -> None:
    """Write a PNG of every n-th pixel of a map, transparent where there is none.

    Parameters
    ----------
    path
        The file.
    read
        Reads a window of the map, shape ``(n_bands, height, width)``.
    grid
        Of the map.
    bands
        What it holds.
    figures
        Sums over its valid pixels.
    replaces
        Whether another picture that is there may be replaced.
    """
    step = -(-max(grid.shape) // LONGEST_SIDE)
    values = _thin(read, grid, bands, step)
    valid = ~np.isnan(values[0]) if np.isnan(bands.nodata) else values[0] != bands.nodata
    colours = _colours(values, bands, figures)
    alpha = np.where(valid, 255, 0).astype(np.uint8)
    a, b, c, d, e, f = grid.transform
    transform = (a * step, b, c, d, e * step, f)
    shape = values.shape[1], values.shape[2]
    write_picture(
        path,
        np.stack([*colours, alpha]),
        replace(grid, transform=transform, shape=shape),
        replaces=replaces,
    )


def _thin(
    read: Callable[[Window], NDArray[Any]], grid: Grid, bands: MapBands, step: int
) -> NDArray[Any]:
    """Read every n-th pixel of every n-th row of the bands that are shown, some rows at a time."""
    height, width = grid.shape
    rows_at_once = max(_PIXELS // (width * step), 1) * step
    parts = []
    for top in range(0, height, rows_at_once):
        window = Window(top, 0, min(rows_at_once, height - top), width)
        parts.append(read(window)[list(bands.shown), ::step, ::step])
    return np.concatenate(parts, axis=1)


def _colours(values: NDArray[Any], bands: MapBands, figures: MapFigures) -> NDArray[np.uint8]:
    """Return red, green and blue, shape ``(3, height, width)``; of nodata, any."""
    if bands.classes:
        table = np.zeros((256, 3), np.uint8)
        for each in bands.classes:
            table[each.value] = each.colour
        return np.moveaxis(table[values[0]], -1, 0)
    stretches = [figures.bands[band].stretch for band in bands.shown]
    grey = [_shade(band, *ends) for band, ends in zip(values, stretches, strict=True)]
    if len(grey) == 3:
        return np.stack(grey)
    places = np.linspace(0, 255, len(_RAMP))
    ramp = np.array([np.interp(np.arange(256), places, part) for part in zip(*_RAMP, strict=True)])
    return ramp.round().astype(np.uint8)[:, grey[0]]


def _shade(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return 0 for what is at most `low`, 255 for what is at least `high`, and what is between."""
    with np.errstate(invalid="ignore"):
        shares = (values.astype(np.float32) - low) / (high - low if high > low else 1.0)
    return np.asarray(np.nan_to_num(shares).clip(0, 1) * 255 + 0.5, dtype=np.uint8)
