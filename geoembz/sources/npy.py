"""Arrays in ``.npy`` files, local or remote, read a band of rows at a time."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from geoembz._objects.identity import display_name
from geoembz._objects.reading import read_range
from geoembz.errors import SourceError

_HEADER_BYTES = 4096


class NpyArray:
    """A C-ordered array in a file; only the rows asked for are read.

    Parameters
    ----------
    path
        Local path or fsspec URL.

    Raises
    ------
    SourceError
        If it is no ``.npy`` file, holds objects, is in Fortran order, or is truncated.
    """

    def __init__(self, path: str) -> None:
        self.path, self.name = path, display_name(path)
        head = read_range(path, 0, _HEADER_BYTES)
        self.shape, self.dtype, self._start = _header(self.name, head)
        size = Path(path).stat().st_size if "://" not in path else None
        needed = self._start + math.prod(self.shape) * self.dtype.itemsize
        if size is not None and size < needed:
            raise SourceError(
                f"{self.name}: truncated: {size:,} bytes of {needed:,}; fetch it again"
            )

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows ``[start, stop)`` of the first axis.

        Raises
        ------
        SourceError
            If the file ends too early.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        first, last = self._start + start * row_bytes, self._start + stop * row_bytes
        content = read_range(self.path, first, last)
        if len(content) != last - first:
            raise SourceError(f"{self.name}: truncated at rows {start} to {stop}; fetch it again")
        return np.frombuffer(content, self.dtype).reshape(stop - start, *self.shape[1:])


def _header(name: str, head: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, type and where the data begin."""
    stream = io.BytesIO(head)
    try:
        version = npy_format.read_magic(stream)
        read = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, fortran, dtype = read(stream)
    except ValueError as error:
        raise SourceError(f"{name}: not an .npy file ({error}); fetch it again") from error
    if fortran or dtype.hasobject:
        raise SourceError(f"{name}: {dtype} in Fortran order; expected plain numbers in C order")
    return shape, dtype, stream.tell()
