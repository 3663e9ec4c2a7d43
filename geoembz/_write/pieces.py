"""Pieces: encoded windows that wait beside the journal until their shard is complete.

A piece is named by its window and by its content: the same window written twice with the same
vectors is one object, with others it is two, and no writer replaces what another one wrote.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.held_out import Measured
from geoembz._geo.grid import Window
from geoembz._objects.files import PARTIAL
from geoembz._objects.tree import ObjectTree
from geoembz.encoding._quantization import Codes
from geoembz.store.documents import StorePlan

_COUNT = struct.Struct("<I")
_DIGEST_DIGITS = 16


@dataclass(frozen=True)
class Piece:
    """What is known of the pixels of a window.

    Parameters
    ----------
    window
        Which pixels.
    codes
        Shape ``(code_length, height, width)``.
    valid
        bool, shape ``(height, width)``.
    measured
        Fidelity of those that are held out.
    layers
        Stored numbers of each layer of the store, by name, shape ``(height, width)``.
    """

    window: Window
    codes: Codes
    valid: NDArray[np.bool_]
    measured: Measured
    layers: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def cut(self, window: Window, width: int) -> "Piece":
        """Return a part of it.

        Parameters
        ----------
        window
            Which part.
        width
            Of the raster, in pixels.
        """
        slices = window.relative_to(self.window).slices
        rows, cols = np.divmod(self.measured.at, width)
        kept = (rows >= window.row) & (rows < window.row + window.height)
        kept &= (cols >= window.col) & (cols < window.col + window.width)
        codes, valid = self.codes[:, *slices], self.valid[slices]
        layers = {name: values[slices] for name, values in self.layers.items()}
        return Piece(window, codes, valid, self.measured.select(kept), layers)

    def agrees(self, other: "Piece") -> bool:
        """Whether both say the same of the pixels that they share."""
        common = self.window.intersection(other.window)
        if common is None:
            return True
        mine, theirs = (common.relative_to(each.window).slices for each in (self, other))
        pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
            (self.valid[mine], other.valid[theirs]),
            (self.codes[:, *mine], other.codes[:, *theirs]),
            *((self.layers[name][mine], other.layers[name][theirs]) for name in self.layers),
        ]
        return all(one.tobytes() == two.tobytes() for one, two in pairs)  # NaN is what it is

    def to_bytes(self) -> bytes:
        """Return it as a file's content; `of_bytes` reads it."""
        parts = (
            _COUNT.pack(len(self.measured.at)),
            self.measured.at.astype("<i8").tobytes(),
            self.measured.figures.astype("<f8").tobytes(),
            np.packbits(self.valid).tobytes(),
            self.codes.tobytes(),
            *(values.tobytes() for values in self.layers.values()),
        )
        return b"".join(parts)

    @classmethod
    def of_bytes(cls, content: bytes, window: Window, plan: StorePlan) -> Self:
        """Read what `to_bytes` returned."""
        encoding, start = plan.encoding, _COUNT.size
        (count,) = _COUNT.unpack_from(content)

        def take(dtype: Any, *shape: int) -> NDArray[Any]:
            nonlocal start
            values = np.frombuffer(content, dtype, prod(shape), start).reshape(shape)
            start += values.nbytes
            return values

        measured = Measured(take("<i8", count), take("<f8", 3, count))
        bits = take(np.uint8, -(-window.size // 8))
        valid = np.unpackbits(bits, count=window.size).astype(np.bool_).reshape(window.shape)
        codes = take(encoding.code_dtype, encoding.code_length, *window.shape)
        layers = {layer.name: take(layer.dtype, *window.shape) for layer in plan.layers}
        return cls(window, codes, valid, measured, layers)

    @classmethod
    def join(cls, window: Window, parts: Iterable["Piece"], plan: StorePlan) -> Self:
        """Put pieces together; where they overlap the first holds, and gaps are invalid.

        Parameters
        ----------
        window
            Holds all of them.
        parts
            Taken one at a time.
        plan
            Of the store.
        """
        encoding, width = plan.encoding, plan.chunks.shape[1]
        shape = (encoding.code_length, *window.shape)
        codes = np.full(shape, encoding.fill_value, encoding.code_dtype)
        valid, free = np.zeros(window.shape, np.bool_), np.ones(window.shape, np.bool_)
        layers = {each.name: np.full(window.shape, each.fill, each.dtype) for each in plan.layers}
        measured = []
        for part in parts:
            slices = part.window.relative_to(window).slices
            new = free[slices]
            np.copyto(codes[:, *slices], part.codes, where=new)
            np.copyto(valid[slices], part.valid, where=new)
            for name, values in part.layers.items():
                np.copyto(layers[name][slices], values, where=new)
            rows, cols = np.divmod(part.measured.at, width)
            counts = new[rows - part.window.row, cols - part.window.col]
            measured.append(part.measured.select(counts))
            free[slices] = False
        return cls(window, codes, valid, Measured.join(measured), layers)


class Entry(NamedTuple):
    """A piece that is there.

    Parameters
    ----------
    window
        Which pixels it holds.
    key
        Of the object.
    """

    window: Window
    key: str


@dataclass(frozen=True)
class PieceFolder:
    """The pieces of one plan.

    Parameters
    ----------
    tree, folder
        Where they are.
    plan
        Of the store.
    """

    tree: ObjectTree
    folder: str
    plan: StorePlan

    def name(self, shard: Window, cell: Window, piece: Piece) -> tuple[Entry, bytes]:
        """Return what a piece of a cell is called, and the content to write there."""
        content, window = piece.to_bytes(), piece.window
        name = f"{window.row}_{window.col}_{window.height}_{window.width}-{_digest(content)}"
        return Entry(window, f"{self._of(shard, cell)}/{name}"), content

    def read(self, entry: Entry) -> Piece | None:
        """Read a piece; None where it is gone, or was cut when power failed."""
        content = self.tree.read(entry.key)
        if content is None or _digest(content) != entry.key.rpartition("-")[2]:
            return None
        return Piece.of_bytes(content, entry.window, self.plan)

    def of_cell(self, shard: Window, cell: Window) -> list[Entry]:
        """Return the pieces of a cell, in the order of their names."""
        return self._entries(self._of(shard, cell))

    def of_shard(self, shard: Window) -> list[Entry]:
        """Return the pieces of a shard."""
        return self._entries(self._of(shard))

    def every(self) -> list[Entry]:
        """Return all pieces."""
        return self._entries(self.folder)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove pieces, where they are there."""
        self.tree.remove_keys([entry.key for entry in entries])

    def _of(self, *windows: Window) -> str:
        return "/".join((self.folder, *(f"{window.row}_{window.col}" for window in windows)))

    def _entries(self, folder: str) -> list[Entry]:
        keys = (key for key in self.tree.keys(folder) if not key.endswith(PARTIAL))
        return [Entry(_window(key), key) for key in keys]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]


def _window(key: str) -> Window:
    row, col, height, width = map(int, key.rpartition("/")[2].partition("-")[0].split("_"))
    return Window(row, col, height, width)
