"""Where tiles meet, and where stored objects do: every border as a line between pixels.

Edges of all tiles and objects cut the grid into cells, few whatever the number of pixels. A cell
knows which tiles cover it: a border of sources lies where that changes. So no rule for overlaps
has to be known: whichever tile holds, it can change only there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.errors import InvalidConfigError

type Kind = Literal["source", "shard", "zone"]
type Cells = NDArray[np.int64]

MOST_SHARD_BORDERS = 2_000
"""Borders of shards looked at: pixels are encoded one by one, so these are a check of ourselves."""

_MOST_CELLS = 2**26


@dataclass(frozen=True, slots=True)
class Tile:
    """The pixels of one source.

    Parameters
    ----------
    name
        What to call it.
    window
        Where they lie in the grid.
    """

    name: str
    window: Window


@dataclass(frozen=True, slots=True)
class Border:
    """A line between pixels, and how far the same tiles reach on both sides.

    Parameters
    ----------
    kind
        What meets there.
    vertical
        Whether it runs along a column's edge: steps across it go from left to right.
    line
        The first column (of a vertical border) or row behind it.
    start, stop
        Rows (of a vertical border) or columns along it.
    before, behind
        Pixels before and behind it that the same sources hold all along; at most what was asked.
    sides
        Numbers of what meets: of sets of tiles, see `Layout.names`.
    """

    kind: Kind
    vertical: bool
    line: int
    start: int
    stop: int
    before: int
    behind: int
    sides: tuple[int, int]

    def strip(self, start: int, stop: int, before: int, behind: int) -> Window:
        """Return the pixels next to a part of the border."""
        if self.vertical:
            return Window(start, self.line - before, stop - start, before + behind)
        return Window(self.line - before, start, before + behind, stop - start)

    @property
    def edge(self) -> Window:
        """The border as a rectangle of no width (or height)."""
        return self.strip(self.start, self.stop, 0, 0)


@dataclass(frozen=True)
class Layout:
    """The cells of a grid, and what covers each.

    Parameters
    ----------
    rows, cols
        Edges of the cells, in pixels, ascending.
    covers
        Number of the set of tiles that covers each cell, shape ``(rows - 1, cols - 1)``; 0: none.
    sets
        Numbers of the tiles in each set, by the set's number.
    tiles
        The tiles.
    shard
        Rows and columns of a stored object; None where there are none.
    """

    rows: Cells
    cols: Cells
    covers: Cells
    sets: tuple[tuple[int, ...], ...]
    tiles: tuple[Tile, ...]
    shard: tuple[int, int] | None

    @classmethod
    def of(
        cls,
        shape: tuple[int, int],
        tiles: Sequence[Tile],
        shard: tuple[int, int] | None = None,
    ) -> "Layout":
        """Cut a grid along the edges of tiles and shards.

        Raises
        ------
        InvalidConfigError
            If tiles lie so irregularly that there are more cells than memory should hold.

        Examples
        --------
        >>> tiles = [Tile("a", Window(0, 0, 4, 4)), Tile("b", Window(0, 4, 4, 4))]
        >>> [border.line for border in Layout.of((4, 8), tiles).borders("source", reach=2)]
        [4]
        """
        whole = Window(0, 0, *shape)
        kept = tuple(tile for tile in tiles if tile.window.intersection(whole) == tile.window)
        kept = kept or (Tile("the whole raster", whole),)
        rows, cols = (_edges(shape, kept, shard, axis) for axis in (0, 1))
        if (len(rows) - 1) * (len(cols) - 1) > _MOST_CELLS:
            raise InvalidConfigError(
                f"{len(kept):,} tiles with {len(rows):,} different edges along y and {len(cols):,} "
                f"along x; expected at most {_MOST_CELLS:,} crossings; check a part of them"
            )
        covers, sets = _cover(rows, cols, kept)
        return cls(rows, cols, covers, sets, kept, shard)

    def names(self, number: int) -> str:
        """Return the names of a set of tiles."""
        return " + ".join(self.tiles[tile].name for tile in self.sets[number])

    def window(self, number: int) -> Window:
        """Return the box around the cells that a set of tiles covers."""
        rows, cols = np.nonzero(self.covers == number)
        top, left = int(self.rows[rows.min()]), int(self.cols[cols.min()])
        bottom, right = int(self.rows[rows.max() + 1]), int(self.cols[cols.max() + 1])
        return Window(top, left, bottom - top, right - left)

    def borders(self, kind: Kind, reach: int) -> list[Border]:
        """Return all borders of sources, or of shards inside one source, in a fixed order.

        Of more than `MOST_SHARD_BORDERS` borders of shards, every so many-th.

        Parameters
        ----------
        kind
            Which.
        reach
            How far to look for the next border of sources.
        """
        found = (
            border
            for vertical in (True, False)
            for border in _Lines(self, vertical=vertical).borders(kind, reach)
        )
        if kind == "source":
            return list(found)
        return list(islice(found, 0, None, -(-self.n_shard_borders // MOST_SHARD_BORDERS) or 1))

    @property
    def n_shard_borders(self) -> int:
        """How many pairs of stored objects have a side in common, about."""
        if self.shard is None:
            return 0
        rows, cols = -(-self.rows[-1] // self.shard[0]), -(-self.cols[-1] // self.shard[1])
        return int(rows * (cols - 1) + cols * (rows - 1))


class _Lines:
    """The cells of a layout, turned so that borders run along the first axis."""

    def __init__(self, layout: Layout, *, vertical: bool) -> None:
        along, across = (layout.rows, layout.cols) if vertical else (layout.cols, layout.rows)
        self._vertical, self._along, self._across = vertical, along, across
        self._covers = layout.covers if vertical else layout.covers.T
        self._shards = None
        if layout.shard is not None:
            sides = layout.shard if vertical else layout.shard[::-1]
            self._shards = along[:-1] // sides[0], across[:-1] // sides[1]

    def borders(self, kind: Kind, reach: int) -> Iterator[Border]:
        """Yield the borders of a kind, line by line."""
        for index in range(1, self._covers.shape[1]):
            one, other = self._covers[:, index - 1], self._covers[:, index]
            held = (one > 0) & (other > 0)
            if kind == "source":
                keys = np.column_stack([one, other])
                chosen = held & (one != other)
            else:
                if self._shards is None:
                    return
                rows, cols = self._shards
                if cols[index - 1] == cols[index]:
                    continue
                keys = np.column_stack([one, rows])
                chosen = held & (one == other)
            for start, stop in _runs(chosen, keys):
                yield self._border(kind, index, start, stop, reach)

    def _border(self, kind: Kind, index: int, start: int, stop: int, reach: int) -> Border:
        """Describe a run of cells along a line."""
        across = self._across
        one, other = int(self._covers[start, index - 1]), int(self._covers[start, index])
        first = self._extend(index - 1, -1, slice(start, stop), one)
        last = self._extend(index, 1, slice(start, stop), other)
        line = int(across[index])
        return Border(
            kind,
            self._vertical,
            line,
            int(self._along[start]),
            int(self._along[stop]),
            min(line - int(across[first]), reach),
            min(int(across[last + 1]) - line, reach),
            (one, other),
        )

    def _extend(self, index: int, step: int, along: slice, number: int) -> int:
        """Return the last cell in a direction up to which one set of tiles covers all."""
        while 0 <= index + step < self._covers.shape[1] and bool(
            (self._covers[along, index + step] == number).all()
        ):
            index += step
        return index


def _edges(
    shape: tuple[int, int], tiles: Sequence[Tile], shard: tuple[int, int] | None, axis: int
) -> Cells:
    edges = [0, shape[axis]]
    for tile in tiles:
        first = (tile.window.row, tile.window.col)[axis]
        edges += [first, first + tile.window.shape[axis]]
    if shard is not None:
        edges += range(0, shape[axis], shard[axis])
    return np.unique(np.array(edges, dtype=np.int64))


def _cover(
    rows: Cells, cols: Cells, tiles: Sequence[Tile]
) -> tuple[Cells, tuple[tuple[int, ...], ...]]:
    """Give a number to each set of tiles that covers cells."""
    covers = np.zeros((len(rows) - 1, len(cols) - 1), dtype=np.int64)
    sets: list[tuple[int, ...]] = [()]
    numbers: dict[tuple[int, ...], int] = {(): 0}
    for number, tile in enumerate(tiles):
        top, bottom = np.searchsorted(rows, [tile.window.row, tile.window.row + tile.window.height])
        left, right = np.searchsorted(cols, [tile.window.col, tile.window.col + tile.window.width])
        part = covers[top:bottom, left:right]
        for former in np.unique(part).tolist():
            members = (*sets[former], number)
            if members not in numbers:
                numbers[members] = len(sets)
                sets.append(members)
            part[part == former] = numbers[members]
    return covers, tuple(sets)


def _runs(chosen: NDArray[np.bool_], keys: Cells) -> Iterator[tuple[int, int]]:
    """Yield where runs of chosen cells with equal keys begin and end."""
    changes = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1) | (chosen[1:] != chosen[:-1])) + 1
    bounds = [0, *changes.tolist(), len(chosen)]
    for start, stop in pairwise(bounds):
        if chosen[start]:
            yield start, stop
