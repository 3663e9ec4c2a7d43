"""Cells of many pixels: where they lie, which pixels they have, and a source made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window, split
from geoembz._util.options import check_whole
from geoembz.errors import InvalidConfigError
from geoembz.sources.base import Source, SourceData, names_of, occupies, traits_of
from geoembz.sources.layer_reading import layers_of
from geoembz.sources.pooling import Pool, Statistics, check_pools, measure, pooled_length
from geoembz.sources.wrappers import ViewSource

_BLOCK_BYTES = 16 * 2**20
"""Pixels that are read at once, as float32; statistics are taken of copies in float64."""


@dataclass(frozen=True)
class Cells:
    """Squares of pixels, counted from the first one, and how they become vectors.

    Those in the last row and column have what is left.

    Parameters
    ----------
    side
        Pixels of a cell, each way.
    pools
        How they become vectors, one after the other.

    Raises
    ------
    InvalidConfigError
        If a cell is smaller than two pixels.
    """

    side: int
    pools: tuple[Pool, ...]

    def __post_init__(self) -> None:
        """Refuse what pools nothing."""
        check_whole(aggregate=self.side)
        if self.side < 2:
            raise InvalidConfigError(f"aggregate {self.side}; expected 2 pixels each way or more")

    @classmethod
    def of(cls, aggregate: int, pool: Pool | Sequence[Pool] | None) -> Self:
        """Return cells of so many pixels, pooled in the ways asked for; see `check_pools`."""
        return cls(aggregate, check_pools(pool))

    def length(self, length: int) -> int:
        """Return how many numbers a cell has of pixels that have so many."""
        return sum(pooled_length(pool, length) for pool in self.pools)

    def grid(self, pixels: Grid) -> Grid:
        """Return where the cells of some pixels lie."""
        a, b, c, d, e, f = pixels.transform
        height, width = (-(-size // self.side) for size in pixels.shape)
        transform = (a * self.side, b, c, d, e * self.side, f)
        return replace(pixels, transform=transform, shape=(height, width))

    def pixels(self, cells: Window, shape: tuple[int, int]) -> Window:
        """Return the pixels of a window of cells, of a raster of such a shape."""
        row, col = cells.row * self.side, cells.col * self.side
        height = min(cells.height * self.side, shape[0] - row)
        return Window(row, col, height, min(cells.width * self.side, shape[1] - col))

    def statistics(self, length: int, cells: Window) -> Statistics:
        """Return the statistics of a window of cells, of no pixel yet."""
        return Statistics(self.pools, length, cells.shape)

    def add(
        self,
        statistics: Statistics,
        cells: Window,
        pixels: Window,
        vectors: NDArray[Any],
        valid: NDArray[np.bool_],
    ) -> None:
        """Add a block of pixels to the cells that they belong to.

        Parameters
        ----------
        statistics
            Of a window of cells.
        cells
            That window.
        pixels
            Which pixels, all of them in it.
        vectors, valid
            What they hold, shape ``(length, height, width)``, and which of them count.
        """
        rows = np.arange(pixels.row, pixels.row + pixels.height) // self.side - cells.row
        cols = np.arange(pixels.col, pixels.col + pixels.width) // self.side - cells.col
        starts = [np.flatnonzero(np.diff(places, prepend=-1)) for places in (rows, cols)]
        groups = tuple(slice(int(places[0]), int(places[-1]) + 1) for places in (rows, cols))
        statistics.add(groups, measure(self.pools, starts, vectors, valid))

    def label(self, names: Sequence[str]) -> list[str]:
        """Return the names of a cell's numbers."""
        parts = [part for pool in self.pools for part in pool.split("+")]
        return [f"{part} of {name}" for part in parts for name in names]


class CellSource(ViewSource):
    """A source of which each pixel is a cell of pixels of another one, pooled.

    Parameters
    ----------
    source
        What is pooled.
    cells
        How.
    """

    def __init__(self, source: Source, cells: Cells) -> None:
        known = traits_of(source)
        note = (
            f"each pixel is a cell of {cells.side} x {cells.side} pixels of the source, pooled: "
            f"{', '.join(cells.pools)}"
        )
        traits = replace(known, product="raster", recipe=None, unit_norm=False).with_notes(note)
        if left_out := ", ".join(layer.name for layer in layers_of(source)):
            note = f"layers {left_out} are left out: pixels were pooled"
            traits = traits.with_notes(note)
        super().__init__(source, cells.grid(source.grid), traits)
        self.layers = ()
        self.cells = cells
        self.dimension, self.dtype = cells.length(source.dimension), np.dtype(np.float32)
        self.block_shape = (
            max(source.block_shape[0] // cells.side, 1),
            max(source.block_shape[1] // cells.side, 1),
        )
        names = names_of(source)
        is_named = all(name is not None for name in names)
        self.band_names = (
            tuple(cells.label([str(name) for name in names]))
            if is_named
            else (None,) * self.dimension
        )

    def read(self, window: Window) -> SourceData:
        """Read a window block by block; see `Source.read`."""
        source, cells = self.source, self.cells
        statistics = cells.statistics(source.dimension, window)
        pixels = cells.pixels(window, source.grid.shape)
        for block in split(pixels, self._block(pixels)):
            if occupies(source, block):
                data = source.read(block).decode()
                cells.add(statistics, window, block, data.values, data.complete())
        vectors = np.concatenate([statistics.pooled(pool) for pool in cells.pools])
        return SourceData(vectors, statistics.counts > 0)

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        return occupies(self.source, self.cells.pixels(window, self.source.grid.shape))

    def _block(self, pixels: Window) -> tuple[int, int]:
        """Return rows and columns that are read at once: whole blocks of the source."""
        rows, cols = self.source.block_shape
        row_bytes = self.source.dimension * np.dtype(np.float32).itemsize * rows
        wide = max(_BLOCK_BYTES // (row_bytes * cols), 1) * cols
        return rows, min(wide, max(pixels.width, 1))
