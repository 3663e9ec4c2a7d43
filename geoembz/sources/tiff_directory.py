"""The first image directory of a TIFF file: where its tiles lie.

GDAL tells the same, tile by tile as text; a directory holds all places in one array.

References
----------
TIFF Revision 6.0 (1992), section 2; the BigTIFF design (AWare Systems, 2007).
"""

import os
import struct
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

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
