"""The first image directory of a TIFF file: which blocks it holds, and whether the file ends early.

GDAL tells the same, block by block as text; a directory holds all places in one array.

References
----------
TIFF Revision 6.0 (1992), section 2; the BigTIFF design (AWare Systems, 2007).
"""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.errors import SourceError

WIDTH, LENGTH, BITS, COMPRESSION = 256, 257, 258, 259
FILL_ORDER, SAMPLES, PLANES = 266, 277, 284
STRIP_OFFSETS, STRIP_SIZES = 273, 279
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_SIZES = 322, 323, 324, 325
"""Numbers of the tags."""

_WANTED = frozenset(
    {WIDTH, LENGTH, BITS, COMPRESSION, FILL_ORDER, SAMPLES, PLANES, STRIP_OFFSETS, STRIP_SIZES}
    | {TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_SIZES}
)
"""Of the others a directory may have 65,535, each of which may name the whole file as its array."""

_TYPES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
"""NumPy's names of the unsigned integers, by TIFF's number of the type."""

_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_MARKS = {"little": "<", "big": ">"}

_FARTHEST = np.uint64(2**62)
"""Two numbers up to this one have a sum that uint64 holds: offsets and sizes are what files say."""


@dataclass(frozen=True)
class _Format:
    """What differs between classic TIFF and BigTIFF: layouts of header, entry count and entry."""

    first: slice
    count_bytes: int
    entry: str


_FORMATS = {42: _Format(slice(4, 8), 2, "HHI4s"), 43: _Format(slice(8, 16), 8, "HHQ8s")}


@dataclass(frozen=True)
class Directory:
    """What the first directory of a file says.

    Parameters
    ----------
    tags
        Unsigned integers of the tags above; what is of other types, or points behind the file's
        end, is left out.
    order
        Byte order of the file.
    end
        Where the directory ends at the least, in bytes.
    """

    tags: dict[int, NDArray[np.uint64]]
    order: Literal["little", "big"]
    end: int

    @property
    def is_native(self) -> bool:
        """Whether numbers stand in this machine's byte order."""
        return self.order == sys.byteorder

    @property
    def block_sizes(self) -> NDArray[np.uint64] | None:
        """Size of each tile or strip, in bytes: 0 where it is absent (sparse)."""
        return self.tags.get(TILE_SIZES, self.tags.get(STRIP_SIZES))

    @property
    def data_end(self) -> int:
        """Where the last tile or strip ends, in bytes; 0 where the directory does not say."""
        offsets, sizes = self.tags.get(TILE_OFFSETS, self.tags.get(STRIP_OFFSETS)), self.block_sizes
        if offsets is None or sizes is None or offsets.size != sizes.size:
            return 0
        ends = np.minimum(offsets, _FARTHEST) + np.minimum(sizes, _FARTHEST)
        return int(np.max(ends, initial=0, where=(offsets > 0) & (sizes > 0)))


def read_directory(file: BinaryIO, size: int) -> Directory | None:
    """Return the first directory of an open file; None where the file is no TIFF.

    Parameters
    ----------
    file
        Open, seekable.
    size
        Its size, in bytes.
    """
    head = file.read(16)
    order = _ORDERS.get(head[:2])
    known = None if order is None else _FORMATS.get(int.from_bytes(head[2:4], order))
    if order is None or known is None:
        return None
    layout = f"{_MARKS[order]}{known.entry}"
    start = int.from_bytes(head[known.first], order)
    if start > size:
        return Directory({}, order, start)
    file.seek(start)
    count = file.read(known.count_bytes)
    n_entries = int.from_bytes(count, order) if len(count) == known.count_bytes else 0
    end = start + known.count_bytes + n_entries * struct.calcsize(layout)
    if end > size:
        return Directory({}, order, end)
    entries = struct.iter_unpack(layout, file.read(n_entries * struct.calcsize(layout)))
    wanted = {tag: entry for tag, *entry in entries if tag in _WANTED}
    arrays = {tag: _array(file, size, order, *entry) for tag, entry in wanted.items()}
    known_arrays = {tag: array for tag, array in arrays.items() if array is not None}
    return Directory(known_arrays, order, end)


def _array(
    file: BinaryIO, size: int, order: Literal["little", "big"], kind: int, count: int, field: bytes
) -> NDArray[np.uint64] | None:
    """Return the numbers of an entry, which stand in its last field or where that points."""
    if kind not in _TYPES:
        return None
    dtype = np.dtype(f"{_MARKS[order]}{_TYPES[kind]}")
    n_bytes = count * dtype.itemsize
    if n_bytes > len(field):
        place = int.from_bytes(field, order)
        if place + n_bytes > size:
            return None
        file.seek(place)
        field = file.read(n_bytes)
    return np.frombuffer(field, dtype, count).astype(np.uint64)


def read_complete(name: str, path: str) -> Directory | None:
    """Return the directory of a local TIFF; None for other formats, and what is no local file.

    GDAL calls an empty or cut file no raster, which sends the user looking for another mistake, or
    says nothing before the tile that is missing is read.

    Raises
    ------
    SourceError
        If the file is empty, or ends before its directory or its tiles do.
    """
    local = Path(path)
    if not local.is_file():
        return None
    size = local.stat().st_size
    if not size:
        raise SourceError(f"{name}: empty (0 bytes), not a raster; fetch it again")
    with local.open("rb") as file:
        directory = read_directory(file, size)
    if directory is None:
        return None
    if directory.end > size:
        raise SourceError(
            f"{name}: truncated: its directory ends at byte {directory.end:,} or later, the file "
            f"at {size:,}; fetch it again"
        )
    if directory.data_end > size:
        raise SourceError(
            f"{name}: truncated: its data end at byte {directory.data_end:,}, the file at "
            f"{size:,}; fetch it again"
        )
    return directory


@dataclass(frozen=True)
class PresentBlocks:
    """The blocks of one file that are there.

    Parameters
    ----------
    shape
        Rows and columns of a block, in pixels.
    present
        Whether any band has the block, shape ``(n_rows, n_cols)``.
    """

    shape: tuple[int, int]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Any, directory: Directory | None) -> Self | None:
        """Return the blocks of an open raster; None where none is absent, or nobody knows.

        Parameters
        ----------
        dataset
            An open `rasterio.DatasetReader`.
        directory
            That of its file.
        """
        sizes = None if directory is None else directory.block_sizes
        if sizes is None or sizes.all():
            return None
        rows, cols = dataset.block_shapes[0]
        grid = (-(-dataset.height // rows), -(-dataset.width // cols))
        if sizes.size not in {grid[0] * grid[1], dataset.count * grid[0] * grid[1]}:
            return None
        return cls((rows, cols), (sizes.reshape(-1, *grid) > 0).any(axis=0))

    def touches(self, window: Window) -> bool:
        """Whether a window meets a block that is there."""
        (rows, cols), last_row = self.shape, window.row + window.height - 1
        last_col = window.col + window.width - 1
        touched = self.present[
            window.row // rows : last_row // rows + 1, window.col // cols : last_col // cols + 1
        ]
        return bool(touched.any())
