"""The parts of a store that a search reads: one grid at one date, or a table.

Positions number all pixels of all parts in the order of grids, dates, rows and columns; ties go to
the smaller one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz._export.region import (
    box_windows,
    date_position,
    refuse_vague_box,
)
from geoembz._geo import BBox
from geoembz._geo.grid import Window, split
from geoembz.encoding import Encoding
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader, TableReader
from geoembz.store.grids import open_readers
from geoembz.store.open import is_table_store, open_group

type AnyStore = str | Path | StoreReader | TableReader

_TABLE_ROWS = 1 << 16
"""Rows of a table read at once."""


@dataclass(frozen=True)
class Block:
    """Codes ``(code_length, n)`` with their positions inside a part, ascending, and validity."""

    codes: Codes
    positions: NDArray[np.int64]
    mask: NDArray[np.bool_] | None


class Part(Protocol):
    """Something that is searched: its blocks are read one by one, in any thread."""

    @property
    def size(self) -> int:
        """How many positions there are."""
        ...

    @property
    def count(self) -> int:
        """How many of them are read."""
        ...

    @property
    def encoding(self) -> Encoding:
        """Of its codes."""
        ...

    def blocks(self) -> Iterator[object]:
        """Yield what `read` takes."""
        ...

    def read(self, block: object) -> Block:
        """Read one block."""
        ...


@dataclass(frozen=True)
class RasterPart:
    """A window of one grid at one date.

    Parameters
    ----------
    reader
        Of the grid.
    window, date
        Where and when; the date as its position on the time axis.
    chosen
        The windows that are read; None for all of it.
    """

    reader: StoreReader
    window: Window
    date: int
    chosen: tuple[Window, ...] | None = None

    @property
    def size(self) -> int:
        """Pixels of the grid."""
        return self.reader.shape[0] * self.reader.shape[1]

    @property
    def count(self) -> int:
        """Pixels that are read."""
        if self.chosen is not None:
            return sum(window.size for window in self.chosen)
        return self.window.size

    @property
    def encoding(self) -> Encoding:
        """Of the store."""
        return self.reader.encoding

    @property
    def crs_wkt(self) -> str:
        """CRS of the grid."""
        return self.reader.attributes.grid.crs_wkt

    def blocks(self) -> Iterator[Window]:
        """Yield the windows of stored objects, or those that were chosen."""
        if self.chosen is not None:
            return iter(self.chosen)
        return split(self.window, self.reader.stored_chunk)

    def read(self, block: object) -> Block:
        """Read the codes of a window."""
        assert isinstance(block, Window)  # noqa: S101 - what `blocks` yields
        codes, mask = self.reader.read_stored(block, self.date)
        rows = np.arange(block.row, block.row + block.height, dtype=np.int64)
        cols = np.arange(block.col, block.col + block.width, dtype=np.int64)
        positions = (rows[:, np.newaxis] * self.reader.shape[1] + cols).reshape(-1)
        flat = None if mask is None else mask.reshape(-1)
        return Block(codes.reshape(len(codes), -1), positions, flat)


@dataclass(frozen=True)
class TablePart:
    """Some rows of a table."""

    reader: TableReader
    rows: NDArray[np.int64] | None

    @property
    def size(self) -> int:
        """Rows of the table."""
        return self.reader.n_rows

    @property
    def count(self) -> int:
        """Rows that are wanted."""
        return self.size if self.rows is None else len(self.rows)

    @property
    def encoding(self) -> Encoding:
        """Of the store."""
        return self.reader.encoding

    @property
    def crs_wkt(self) -> str:
        """CRS of the places."""
        return self.reader.attributes.crs_wkt

    def blocks(self) -> Iterator[NDArray[np.int64]]:
        """Yield row numbers."""
        chunk = self.reader.codes.chunks[0]
        step = max(_TABLE_ROWS // chunk, 1) * chunk
        for start in range(0, self.count, step):
            stop = min(start + step, self.count)
            yield np.arange(start, stop) if self.rows is None else self.rows[start:stop]

    def read(self, block: object) -> Block:
        """Read the codes of some rows."""
        rows = np.asarray(block)
        codes = np.ascontiguousarray(self.reader.read(rows, "codes").T)
        mask = self.reader.mask
        return Block(codes, rows, None if mask is None else self.reader.values(mask, rows))


def open_parts(
    store: AnyStore,
    bbox: BBox | None,
    bbox_crs: str | None,
    time: str | None,
    level: int | None = None,
) -> list[RasterPart] | list[TablePart]:
    """Return the parts of a store, at one level, that a box and a date leave.

    Raises
    ------
    InvalidConfigError
        If they leave nothing, or several grids have several encodings.
    StoreError
        If the store cannot be read.
    """
    if isinstance(store, TableReader):
        return [_table_part(store, bbox, bbox_crs, time, level)]
    group = None if isinstance(store, StoreReader) else open_group(str(store))
    if group is not None and is_table_store(group):
        return [_table_part(TableReader.open(str(store), group), bbox, bbox_crs, time, level)]
    readers = open_readers(store, group=group, level=level)
    refuse_vague_box(store, readers, bbox, bbox_crs)
    parts = [
        RasterPart(reader, window, date)
        for reader in readers
        for window in box_windows(reader.attributes.grid, bbox, bbox_crs)
        for date in _dates(reader, time)
    ]
    if not parts:
        raise InvalidConfigError(
            f"bbox {bbox}: outside {store if isinstance(store, str | Path) else store.url}; give "
            "the box in the store's CRS, or name its own (bbox_crs)"
        )
    return parts


def first_positions(parts: Sequence[Part]) -> NDArray[np.int64]:
    """Return the position of the first pixel of each part among those of all."""
    sizes = np.array([part.size for part in parts], dtype=np.int64)
    return np.cumsum(sizes) - sizes


def _dates(reader: StoreReader, time: str | None) -> list[int]:
    """Return the positions of all dates, or of the one that is named."""
    if time is None:
        return list(range(max(len(reader.dates), 1)))
    return [date_position(reader, time)]


def _table_part(
    reader: TableReader, bbox: BBox | None, crs: str | None, time: str | None, level: int | None
) -> TablePart:
    if level is not None:
        raise InvalidConfigError(
            f"level {level}: {reader.url} is a table, without levels; leave the level out"
        )
    if time is not None:
        raise InvalidConfigError(
            f"time {time!r}: {reader.url} is a table, without a time axis; leave the date out"
        )
    if bbox is None:
        return TablePart(reader, None)
    return TablePart(reader, reader.select(bbox, crs))
