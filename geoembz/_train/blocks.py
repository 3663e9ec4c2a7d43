"""Blocks of a store that are read at once, and the few of them that a process keeps.

Patches of one block lie in few chunks, so whoever asks for them one after the other reads each
chunk once. Codes are kept, not vectors: they take a fraction of the memory, and each patch is
decoded once either way.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.pixels import CodesReader
from geoembz._geo.grid import Window
from geoembz._train.parts import OpenParts
from geoembz.store import StoreReader

BLOCK_BYTES = 16 * 2**20
"""Most bytes of codes in a block of several chunks."""


@dataclass(frozen=True, slots=True)
class Block:
    """Pixels that are read at once.

    Parameters
    ----------
    part
        Number of the part of the store.
    window
        Which pixels of it.
    """

    part: int
    window: Window


@dataclass(frozen=True, eq=False)
class Content:
    """What a window holds.

    Parameters
    ----------
    window
        Which pixels.
    codes
        Shape ``(code_length, height, width)``.
    valid
        Which pixels have an embedding, bool, shape ``(height, width)``; None for all.
    labels
        int64 or float32, shape ``(height, width)``; None without labels.
    """

    window: Window
    codes: NDArray[Any]
    valid: NDArray[np.bool_] | None
    labels: NDArray[Any] | None

    def cut(self, window: Window) -> "Content":
        """Return a part of it."""
        inner = window.relative_to(self.window).slices
        valid = None if self.valid is None else self.valid[inner]
        labels = None if self.labels is None else self.labels[inner]
        return Content(window, self.codes[:, *inner], valid, labels)

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes in memory."""
        arrays = (self.codes, self.valid, self.labels)
        return sum(array.nbytes for array in arrays if array is not None)


def block_shape(reader: StoreReader) -> tuple[int, int]:
    """Return rows and columns of the blocks of a store: whole chunks of one shard.

    Where chunks are objects of their own, as many of them as fit.
    """
    chunk = reader.codes.chunks[-2:]
    chunk_bytes = math.prod(chunk) * reader.encoding.code_length * reader.codes.dtype.itemsize
    most = max(math.isqrt(max(BLOCK_BYTES // chunk_bytes, 1)), 1)
    shard = reader.codes.shards
    if shard is None:
        return chunk[0] * most, chunk[1] * most
    counts = (outer // inner for outer, inner in zip(shard[-2:], chunk, strict=True))
    rows, cols = (max(n for n in range(1, most + 1) if count % n == 0) for count in counts)
    return chunk[0] * rows, chunk[1] * cols


class BlockReader:
    """Reads windows of blocks, and keeps blocks that are asked for again.

    A block is read whole only when several windows of it are wanted, at once or while few others
    were: whoever takes samples at random reads their chunks alone.

    Parameters
    ----------
    parts
        The parts of the store.
    blocks
        What is read at once.
    read_labels
        Returns the labels of a window of a part; None without labels.
    kept
        Blocks to keep.
    """

    def __init__(
        self,
        parts: OpenParts,
        blocks: Sequence[Block],
        read_labels: Callable[[int, Window], NDArray[Any]] | None,
        kept: int,
    ) -> None:
        self.parts, self.blocks = parts, blocks
        self.read_labels, self.kept = read_labels, kept
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read."""
        state = dict(self.__dict__)
        for name in ("_lock", "_contents", "_recent"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without anything read."""
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._contents: OrderedDict[int, Content] = OrderedDict()
        self._recent: OrderedDict[int, None] = OrderedDict()

    def read(self, number: int, window: Window, *, is_alone: bool) -> Content:
        """Return what a window of a block holds.

        Parameters
        ----------
        number
            Of the block.
        window
            Which pixels.
        is_alone
            Whether no other window of the block is wanted now.
        """
        with self._lock:
            content = self._contents.get(number)
            if content is None and (number in self._recent or not is_alone):
                content = self._contents[number] = self.load(self.blocks[number])
            if content is not None:
                _touch(self._contents, number, self.kept)
                return content.cut(window)
            self._recent[number] = None
            _touch(self._recent, number, self.kept)
            return self.load(Block(self.blocks[number].part, window))

    def load(self, block: Block) -> Content:
        """Read a block."""
        reader, date = self.parts.reader(block.part), self.parts.date(block.part)
        codes, valid = CodesReader(reader, date)(block.window)
        labels = None if self.read_labels is None else self.read_labels(block.part, block.window)
        return Content(block.window, codes, valid, labels)


def _touch(kept: OrderedDict[int, Any], number: int, most: int) -> None:
    """Note that one was used just now, and let the oldest go."""
    kept.move_to_end(number)
    while len(kept) > most:
        kept.popitem(last=False)
