"""The first image directory of a TIFF file: which blocks it holds, and whether the file ends early.

GDAL tells the same, block by block as text; a directory holds all places in one array.

References
----------
TIFF Revision 6.0 (1992), section 2; the BigTIFF design (AWare Systems, 2007).
"""

import os
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
FILL_ORDER, SAMPLES, STRIP_SIZES, PLANES = 266, 277, 279, 284
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_SIZES = 322, 323, 324, 325
"""Numbers of the tags."""

_TYPES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
"""NumPy's names of the unsigned integers, by TIFF's number of the type."""


_OWN_ORDER = b"II" if sys.byteorder == "little" else b"MM"


@dataclass(frozen=True)
class _Format:
    """What differs between classic TIFF and BigTIFF: layouts of header, entry count and entry."""

    first: str
    n_entries: str
    entry: str


_FORMATS = {42: _Format("I", "H", "HHI4s"), 43: _Format("HHQ", "Q", "HHQ8s")}


def read_directory(file: BinaryIO) -> dict[int, NDArray[np.uint64]] | None:
    """Return the unsigned integers of the first directory, by tag.

    None where the file is no TIFF, or not in this machine's byte order.

    Parameters
    ----------
    file
        Open, seekable. Entries of other types, and what points behind its end, are left out.
    """
    try:
        byte_order, version = _unpack(file, "2sH")
        known = _FORMATS.get(version)
        if byte_order != _OWN_ORDER or known is None:
            return None
        file.seek(_unpack(file, known.first)[-1])
        (n_entries,) = _unpack(file, known.n_entries)
        entries = file.read(n_entries * struct.calcsize(f"={known.entry}"))
        found = struct.iter_unpack(f"={known.entry}", entries)
        arrays = {tag: _array(file, kind, count, raw) for tag, kind, count, raw in found}
    except struct.error:  # shorter than it says
        return None
    return {tag: array for tag, array in arrays.items() if array is not None}


def _array(file: BinaryIO, kind: int, count: int, field: bytes) -> NDArray[np.uint64] | None:
    """Return the numbers of an entry, which stand in its last field or where that points."""
    if kind not in _TYPES:
        return None
    dtype = np.dtype(_TYPES[kind])
    size = count * dtype.itemsize
    if size > os.fstat(file.fileno()).st_size:
        return None
    if size > len(field):
        file.seek(int.from_bytes(field, sys.byteorder))
        field = file.read(size)
    if len(field) < size:
        return None
    return np.frombuffer(field, dtype, count).astype(np.uint64)


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(f"={layout}", file.read(struct.calcsize(f"={layout}")))


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
    def of(cls, dataset: Any, path: str) -> Self | None:
        """Return the blocks of an open local GeoTIFF; None where none is absent, or nobody knows.

        Parameters
        ----------
        dataset
            An open `rasterio.DatasetReader`.
        path
            What it was opened from.
        """
        local = Path(path)
        if dataset.driver != "GTiff" or not local.is_file():
            return None
        with local.open("rb") as file:
            tags = read_directory(file) or {}
        sizes = tags.get(TILE_SIZES, tags.get(STRIP_SIZES))
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


_MOST_BLOCKS = 4096
_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}


def refuse_cut_off(name: str, path: str) -> None:
    """Refuse a local file that is empty, or a TIFF whose first directory lies behind its end.

    GDAL calls both no raster, which sends the user looking for another mistake.

    Raises
    ------
    SourceError
        If the file is empty or truncated.
    """
    local = Path(path)
    if not local.is_file():
        return
    size = local.stat().st_size
    if not size:
        raise SourceError(f"{name}: empty (0 bytes), not a raster; fetch it again")
    needed = _directory_end(local, size)
    if needed > size:
        raise SourceError(
            f"{name}: truncated: its directory ends at byte {needed:,} or later, the file at "
            f"{size:,}; fetch it again"
        )


def refuse_truncated(name: str, dataset: Any, path: str) -> None:
    """Refuse a local GeoTIFF whose index of blocks points behind the end of the file.

    Blocks of the first and of the last band are looked at, up to 4,096 of each from the end:
    writers put the last ones last.

    Raises
    ------
    SourceError
        If the file is truncated.
    """
    local = Path(path)
    if dataset.driver != "GTiff" or not local.is_file():
        return
    size = local.stat().st_size
    needed = max(_last_byte(dataset, band) for band in {1, dataset.count})
    if needed > size:
        raise SourceError(
            f"{name}: truncated: its data end at byte {needed:,}, the file at {size:,}; "
            "fetch it again"
        )


def _directory_end(path: Path, size: int) -> int:
    """Return where a TIFF's first directory ends at the least; 0 where the file is no TIFF."""
    with path.open("rb") as file:
        head = file.read(16)
        order, version = _BYTE_ORDERS.get(head[:2]), head[2:4]
        if order is None or int.from_bytes(version, order) not in {42, 43}:
            return 0
        is_big = int.from_bytes(version, order) == 43
        count_size, entry_size = (8, 20) if is_big else (2, 12)
        start = int.from_bytes(head[8:16] if is_big else head[4:8], order)
        if start > size:
            return start
        file.seek(start)
        count = file.read(count_size)
    n_entries = int.from_bytes(count, order) if len(count) == count_size else 0
    return start + count_size + n_entries * entry_size


def _last_byte(dataset: Any, band: int) -> int:
    """Return where the last of a band's blocks ends, in bytes; absent (sparse) ones count as 0."""
    rows, cols = dataset.block_shapes[band - 1]
    n_cols = -(-dataset.width // cols)
    n_blocks = -(-dataset.height // rows) * n_cols
    end = 0
    for block in range(max(0, n_blocks - _MOST_BLOCKS), n_blocks):
        place = f"{block % n_cols}_{block // n_cols}"
        offset = dataset.get_tag_item(f"BLOCK_OFFSET_{place}", "TIFF", bidx=band)
        size = dataset.get_tag_item(f"BLOCK_SIZE_{place}", "TIFF", bidx=band)
        if offset and size:
            end = max(end, int(offset) + int(size))
    return end
