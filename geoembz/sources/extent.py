"""A source on a larger or smaller grid: the same pixels, nodata where it has none."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import full_turn, is_geographic
from geoembz._geo.grid import TOLERANCE_PIXELS, Grid, Window
from geoembz.errors import InvalidConfigError
from geoembz.sources.base import Source, SourceData, common_block, occupies, place_infos
from geoembz.sources.georeference import describe_grid, offset, refuse_misaligned
from geoembz.sources.layer_reading import common_layers, read_layer
from geoembz.sources.wrappers import ViewSource

_MOST_PIXELS = 2**31
"""Along one axis: beyond it not even coordinates fit into memory."""


def within_extent(source: Source, extent: Sequence[float]) -> Source:
    """Return a source on all pixels that an extent touches, its own grid carried on.

    Parameters
    ----------
    source
        North-up.
    extent
        ``(xmin, ymin, xmax, ymax)`` in units of its CRS; edges move outward to those of pixels.

    Raises
    ------
    InvalidConfigError
        If no pixel of the source lies there, or the extent reaches beyond the Earth.

    Examples
    --------
    >>> source = geoembz.open_source(geoembz.write_demo(tmp_path, size=64).embedding)
    >>> xmin, ymin, xmax, ymax = source.grid.bbox
    >>> within_extent(source, (xmin - 101, ymin, xmax, ymax)).grid.shape
    (64, 75)
    """
    xmin, ymin, xmax, ymax = extent
    rows, cols = source.grid.rows_cols([xmin, xmax], [ymax, ymin])
    (top, bottom), (left, right) = map(_snapped, (rows, cols))
    window = Window(top, left, bottom - top, right - left)
    if max(window.shape) > _MOST_PIXELS:
        raise InvalidConfigError(
            f"extent {_text(extent)}: {window.height:,} x {window.width:,} pixels; "
            f"{_place(source)}; expected units of its CRS"
        )
    if window.intersection(source.grid.window) is None:
        raise InvalidConfigError(
            f"extent {_text(extent)}: holds no pixel of {_place(source)}; expected an extent in "
            "units of its CRS that the input reaches into"
        )
    grid = source.grid.part(window)
    _refuse_beyond_earth(extent, grid)
    return source if grid == source.grid else PlacedSource(source, grid)


def place_on(source: Source, grid: Grid, whose: str) -> Source:
    """Return a source on the pixels of another grid, all of which it lies in.

    Parameters
    ----------
    source
        North-up.
    grid
        Where it is to lie.
    whose
        What has this grid, for messages.

    Raises
    ------
    SourceError
        If CRS or pixels are others.
    InvalidConfigError
        If the source reaches beyond the grid.
    """
    refuse_misaligned(source.name, source.grid, whose, grid)
    placed = PlacedSource(source, grid)
    if placed.occupied.shape != source.grid.shape:
        raise InvalidConfigError(
            f"{_place(source)}; it reaches beyond {whose}: {describe_grid(grid)}, x and y "
            f"{_text(grid.bbox)}; expected an input inside; cut it with --extent"
        )
    return placed


class PlacedSource(ViewSource):
    """A source under a grid with the same pixels, but others of them; what it lacks is nodata.

    Parameters
    ----------
    source
        North-up.
    grid
        In the same CRS, aligned to the source's.

    Attributes
    ----------
    occupied
        The part of the grid that the source lies in.
    """

    def __init__(self, source: Source, grid: Grid) -> None:
        super().__init__(source, grid)
        self.info = place_infos(source)
        row, col = offset(grid, source.grid) or (0, 0)
        self._inner = Window(row, col, *source.grid.shape)
        self.occupied = self._inner.intersection(grid.window) or Window(0, 0, 0, 0)
        self.block_shape = common_block([source], [self._inner])
        gaps = self.occupied.shape != grid.shape
        self.layers, note = common_layers([source], overlap=False, gaps=gaps)
        if note is not None:
            self.traits = self.traits.with_notes(note)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        part = self._inner.intersection(window)
        if part is None:
            nothing = np.zeros((self.dimension, *window.shape), np.float32)
            return SourceData(nothing, np.zeros(window.shape, np.bool_))
        data = self.source.read(part.relative_to(self._inner))
        if part == window:
            return data
        place = part.relative_to(window)
        valid = np.ones(part.shape, np.bool_) if data.valid is None else data.valid
        return replace(
            data,
            values=_padded(data.values, place, window),
            valid=_padded(valid, place, window),
            scale=None if data.scale is None else _padded(data.scale, place, window),
        )

    def read_layer(self, name: str, window: Window) -> NDArray[Any]:
        """Read a window of a layer; see `read_layers`."""
        dtype = next(layer.dtype for layer in self.layers if layer.name == name)
        out: NDArray[Any] = np.ma.masked_all(window.shape, dtype)
        part = self._inner.intersection(window)
        if part is not None:
            numbers = read_layer(self.source, name, part.relative_to(self._inner))
            out[part.relative_to(window).slices] = numbers
        return out

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        part = self._inner.intersection(window)
        return part is not None and occupies(self.source, part.relative_to(self._inner))


def _padded[Scalar: np.generic](
    part: NDArray[Scalar], place: Window, whole: Window
) -> NDArray[Scalar]:
    """Return an array of a whole window, zero where the part does not lie."""
    out = np.zeros((*part.shape[:-2], *whole.shape), part.dtype)
    rows, cols = place.slices
    out[..., rows, cols] = part
    return out


def _snapped(edges: NDArray[Any]) -> tuple[int, int]:
    """Return the pixel edges around two positions; what rounding moved off an edge lies on it."""
    low, high = (float(edge) for edge in edges)
    return math.floor(low + TOLERANCE_PIXELS), math.ceil(high - TOLERANCE_PIXELS)


def _refuse_beyond_earth(extent: Sequence[float], grid: Grid) -> None:
    """Refuse a grid that has a place twice, or reaches beyond a pole."""
    xmin, ymin, xmax, ymax = grid.bbox
    a, _, _, _, e, _ = grid.transform
    turn = full_turn(grid.crs_wkt)
    is_round = turn is not None and xmax - xmin > turn + abs(a) / 2
    if is_round or (is_geographic(grid.crs_wkt) and max(-ymin, ymax) > 90 + abs(e)):
        raise InvalidConfigError(
            f"extent {_text(extent)}: reaches beyond the Earth in {grid.crs_code or 'its CRS'}; "
            "expected each place once"
        )


def _place(source: Source) -> str:
    return f"{source.name}: {describe_grid(source.grid)}, x and y {_text(source.grid.bbox)}"


def _text(bbox: Sequence[float]) -> str:
    return ", ".join(f"{value:.12g}" for value in bbox)
