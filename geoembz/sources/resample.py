"""A source on another grid of the same CRS, by nearest neighbour on decoded values."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window
from geoembz.sources.base import Source, SourceData, occupies, traits_of
from geoembz.sources.views import ViewSource


def nearest_on(source: Source, base: Grid) -> Source:
    """Return a source on the pixels of `base`, over the source's own extent."""
    return NearestSource(source, _extent_on(source.grid, base))


class NearestSource(ViewSource):
    """Every pixel takes the vector of the source's pixel that its centre lies in.

    Parameters
    ----------
    source
        A north-up source.
    grid
        A north-up grid in the same CRS.
    """

    def __init__(self, source: Source, grid: Grid) -> None:
        note = f"{source.info[0].uri}: resampled to the mosaic's grid by nearest neighbour"
        traits = traits_of(source)
        super().__init__(source, grid, replace(traits, notes=(*traits.notes, note)))
        self._rows = _indices(grid.y, source.grid.transform[5], source.grid.transform[4])
        self._cols = _indices(grid.x, source.grid.transform[2], source.grid.transform[0])

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        height, width = self.source.grid.shape
        row_slice, col_slice = window.slices
        rows, cols = self._rows[row_slice], self._cols[col_slice]
        inside = ((rows >= 0) & (rows < height))[:, np.newaxis] & (cols >= 0) & (cols < width)
        if not inside.any():
            return SourceData(np.zeros((self.dimension, *window.shape), np.float32), inside)
        rows, cols = np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)
        top, left = int(rows[0]), int(cols[0])
        needed = Window(top, left, int(rows[-1]) - top + 1, int(cols[-1]) - left + 1)
        data = self.source.read(needed).decoded()
        picked = np.ix_(rows - top, cols - left)
        valid = inside if data.valid is None else inside & data.valid[picked]
        return SourceData(data.values[:, *picked], valid)

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        row_slice, col_slice = window.slices
        rows, cols = self._rows[row_slice], self._cols[col_slice]
        needed = Window(
            int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1
        ).intersection(self.source.grid.window)
        return needed is not None and occupies(self.source, needed)


def _indices(centres: NDArray[np.float64], edge: float, step: float) -> NDArray[np.int64]:
    """Return the index of the source's pixel that each centre lies in."""
    return np.floor((centres - edge) / step).astype(np.int64)


def _extent_on(grid: Grid, base: Grid) -> Grid:
    """Return the pixels of `base` whose centres lie within `grid`."""
    a, b, c, d, e, f = base.transform
    xmin, ymin, xmax, ymax = grid.bbox
    left, top = math.ceil((xmin - c) / a - 0.5), math.ceil((ymax - f) / e - 0.5)
    right, bottom = math.floor((xmax - c) / a + 0.5), math.floor((ymin - f) / e + 0.5)
    transform = (a, b, c + left * a, d, e, f + top * e)
    shape = (max(bottom - top, 1), max(right - left, 1))
    return replace(base, transform=transform, shape=shape)
