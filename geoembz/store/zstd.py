"""Decompress one zstd frame whose size is known, believing no other size that it claims."""

import math
from collections.abc import Buffer
from typing import Any

import numpy as np
from numcodecs.zstd import decompress as _decompress
from numpy.typing import NDArray

from geoembz._util.memory import allocate

FRAME_HEADER_BYTES = 18
"""Longest header of a frame."""

_MAGIC = b"\x28\xb5\x2f\xfd"


def decompress(frame: Buffer, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the content of a frame as an array, whose size it must have.

    Raises
    ------
    ValueError
        If the frame claims or has another size, or is none.
    RuntimeError
        If it is damaged.

    Examples
    --------
    >>> import numcodecs
    >>> decompress(numcodecs.Zstd().encode(bytes(range(6))), (2, 3), np.dtype("u1"))
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint8)
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    claimed = frame_content_size(bytes(memoryview(frame)[:FRAME_HEADER_BYTES]))
    if claimed != n_bytes:
        raise ValueError(f"a chunk says that it holds {claimed} bytes; expected {n_bytes}: damaged")
    out = allocate(shape, dtype)
    _decompress(frame, out)
    return out


def frame_content_size(start: bytes) -> int | None:
    """Return how many bytes a zstd frame says that it holds; None where it does not say.

    Parameters
    ----------
    start
        The first `FRAME_HEADER_BYTES`, or fewer where there are no more.

    References
    ----------
    RFC 8878, "Zstandard Compression and the 'application/zstd' Media Type", 3.1.1.1.

    Examples
    --------
    >>> from numcodecs.zstd import Zstd
    >>> frame_content_size(Zstd().encode(bytes(1000))[:18])
    1000
    """
    if len(start) < 5 or start[:4] != _MAGIC:
        return None
    descriptor = start[4]
    size_flag, is_single = descriptor >> 6, bool(descriptor & 0x20)
    if size_flag == 0 and not is_single:
        return None
    width = (1, 2, 4, 8)[size_flag]
    first = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 0x03]
    field = start[first : first + width]
    if len(field) < width:
        return None
    return int.from_bytes(field, "little") + (256 if width == 2 else 0)
