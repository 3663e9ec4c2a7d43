"""Large arrays whose memory is used again once nobody looks at them.

The system hands out fresh memory page by page and clears each: for an array that is filled once,
used and dropped, that can take longer than filling it. So a dropped array's memory is kept for the
next one of its size.
"""

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_SMALLEST = 2**20
"""Smaller arrays, in bytes, the allocator puts into used memory by itself."""

_LARGEST = 2**26
"""Larger ones are too much to keep."""

_KEPT_BLOCKS = 4
"""Blocks of one size that may wait for the next array."""

_KEPT_SIZES = 8
"""Sizes of which blocks wait; the oldest gives way."""


class _Block:
    """Memory that goes back to where it came from when its last view is gone (PEP 688)."""

    def __init__(self, size: int, home: "deque[_Block]") -> None:
        self._memory = np.empty(size, np.uint8)
        self._home = home

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self._memory)

    def __release_buffer__(self, view: memoryview) -> None:
        view.release()
        self._home.append(self)


_waiting: dict[int, deque[_Block]] = {}


def recycled(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array as `numpy.empty` does, where possible in memory that an earlier one has left.

    The memory is free for the next once the array and all views of it are gone.

    Parameters
    ----------
    shape, dtype
        As of `numpy.empty`; a type without objects.

    Examples
    --------
    >>> recycled((4, 512, 512), np.float32).shape
    (4, 512, 512)
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not _SMALLEST <= size <= _LARGEST:
        return np.empty(shape, dtype)
    home = _blocks(size)
    try:
        block = home.pop()
    except IndexError:
        block = _Block(size, home)
    return np.frombuffer(memoryview(block), dtype).reshape(shape)


def _blocks(size: int) -> deque[_Block]:
    """Return the blocks of a size that wait."""
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
