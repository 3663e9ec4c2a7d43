"""How a store's pixels are shared out while they arrive: shards, and cells in them.

A window that covers no whole shard waits in pieces, cut along cells: parts of a shard, whole chunks
each, at most eight along a side. So whoever adds a piece looks at those of one cell, and at the
cells of a shard where one of them became complete: how many pieces there are does not matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from geoembz._geo.grid import Window, split
from geoembz.store.layout import ChunkLayout

_MOST_CELLS = 8
"""Along a side of a shard."""


@dataclass(frozen=True)
class Cells:
    """The shards of a store, and their cells.

    Parameters
    ----------
    chunks
        Layout of the store.

    Examples
    --------
    >>> from geoembz.store.layout import choose_layout
    >>> cells = Cells(choose_layout((2048, 2000), 64, (512, 512)))
    >>> cells.chunks.shard, cells.shape, len(list(cells.of(cells.shard_at(0, 1999))))
    ((512, 512), (128, 128), 16)
    """

    chunks: ChunkLayout

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Height and width of a cell."""
        rows, cols = map(_cell_side, self.chunks.shard, self.chunks.chunk)
        return rows, cols

    def shard_at(self, row: int, col: int) -> Window:
        """Return the shard that a pixel lies in."""
        (height, width), (rows, cols) = self.chunks.shape, self.chunks.shard
        top, left = row // rows * rows, col // cols * cols
        return Window(top, left, min(rows, height - top), min(cols, width - left))

    def shards(self, window: Window) -> Iterator[tuple[Window, Window]]:
        """Yield the shards that a window meets, and the part of the window in each."""
        for part in split(window, self.chunks.shard):
            yield self.shard_at(part.row, part.col), part

    def of(self, shard: Window) -> Iterator[Window]:
        """Yield the cells of a shard."""
        return split(shard, self.shape)

    def cells(self, part: Window) -> Iterator[tuple[Window, Window]]:
        """Yield the cells that a part of a shard meets, and what of it lies in each."""
        (height, width), (rows, cols) = self.chunks.shape, self.shape
        for piece in split(part, self.shape):
            top, left = piece.row // rows * rows, piece.col // cols * cols
            yield Window(top, left, min(rows, height - top), min(cols, width - left)), piece


def _cell_side(shard: int, chunk: int) -> int:
    """Return whole chunks that divide a shard's side into eight at most."""
    chunks = shard // chunk
    return chunk * next(
        n for n in range(1, chunks + 1) if not chunks % n and chunks // n <= _MOST_CELLS
    )


def covers(windows: list[Window], whole: Window) -> bool:
    """Whether windows hold every pixel of another one.

    Examples
    --------
    >>> covers([Window(0, 0, 2, 1), Window(0, 1, 1, 3)], Window(0, 0, 1, 4))
    True
    """
    parts = [part for window in windows if (part := window.intersection(whole)) is not None]
    if whole in parts:
        return True
    if sum(part.size for part in parts) < whole.size:
        return False
    seen = np.zeros(whole.shape, dtype=np.bool_)
    for part in parts:
        seen[part.relative_to(whole).slices] = True
    return bool(seen.all())
