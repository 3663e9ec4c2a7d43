"""Reuse the memory of large temporary arrays once no view of them is alive.

The system hands out fresh memory page by page and clears each: for an array that is filled once,
used and dropped, that can take longer than filling it. So a dropped array's memory is kept for the
next one of its size. Setting the environment variable ``GEOEMBZ_REUSE_MEMORY=0`` turns this off.
"""

import math
import os
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_SMALLEST = 2**20
"""Smallest array, in bytes: below, the allocator hands out used memory by itself."""

_LARGEST = 2**26
"""Largest array whose memory is kept, in bytes."""

_KEPT_BLOCKS = 4
"""Number of blocks of one size kept for reuse."""

_KEPT_SIZES = 8
"""Number of block sizes kept for reuse; the least recently made is freed."""


class _Block:
    """Memory that goes back to the blocks kept for reuse when its last view is gone."""

    # NumPy cannot tell when the last view of an array is dropped, but the buffer protocol can
    # (PEP 688): every view holds the memoryview that `allocate` made, and Python calls
    # `__release_buffer__` once that is collected. The block itself then goes back to its deque.

    def __init__(self, size: int, home: "deque[_Block]") -> None:
        self._memory = np.empty(size, np.uint8)
        self._home = home

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self._memory)

    def __release_buffer__(self, view: memoryview) -> None:
        view.release()
        self._home.append(self)


_waiting: dict[int, deque[_Block]] = {}


def allocate(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array as `numpy.empty` does, where possible in memory of an earlier one.

    The memory is free for the next once the array and all views of it are gone.

    Parameters
    ----------
    shape, dtype
        As of `numpy.empty`; a type without objects.

    Examples
    --------
    >>> allocate((4, 512, 512), np.float32).shape
    (4, 512, 512)
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not _SMALLEST <= size <= _LARGEST or os.environ.get("GEOEMBZ_REUSE_MEMORY") == "0":
        return np.empty(shape, dtype)
    home = _blocks(size)
    try:  # another thread may take the last block between a test and a pop
        block = home.pop()
    except IndexError:
        block = _Block(size, home)
    return np.frombuffer(memoryview(block), dtype).reshape(shape)


def _blocks(size: int) -> deque[_Block]:
    """Return the blocks of a size that are kept for reuse."""
    blocks = _waiting.get(size)
    if blocks is None:
        blocks = _waiting.setdefault(size, deque(maxlen=_KEPT_BLOCKS))
        while len(_waiting) > _KEPT_SIZES:
            _forget_oldest()
    return blocks


def _forget_oldest() -> None:
    blocks = _waiting.pop(next(iter(_waiting)), None)
    if blocks is not None:
        blocks.clear()
