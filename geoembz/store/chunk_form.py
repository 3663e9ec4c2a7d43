"""How an array that our writer made lies in its objects: which bytes hold which numbers.

Only the one form that our writer makes is known: zstd, of an archive's differences too, alone or
inside ``sharding_indexed`` with its index at the end. All else is left to Zarr.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._objects.explain import stage
from geoembz.store.packing import DELTA
from geoembz.store.zstd import decompress

type Span = tuple[int, int]
"""First and last-plus-one index on one axis."""

type ShardIndex = NDArray[np.uint64]
"""Where a shard's chunks are, shape ``(…, 2)``: offset and size in bytes."""

type ReadArray = Callable[[Sequence[int | slice]], NDArray[Any]]
"""Reads a contiguous selection of one array."""

_ABSENT = np.uint64(2**64 - 1)
_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


class ReplacedError(Exception):
    """An object is not the one any more whose index is known: it is to be read again."""


@dataclass(frozen=True)
class Piece:
    """Some bytes of an object that hold one chunk, and where that chunk begins in the array.

    Parameters
    ----------
    key
        Of the object, in the store.
    origin
        Indices of the chunk's first number.
    offset, n_bytes
        Which bytes; None for all, 0 for none: the chunk is fill.
    """

    key: str
    origin: tuple[int, ...]
    offset: int = 0
    n_bytes: int | None = None


@dataclass(frozen=True)
class StoredObject:
    """One object that a selection touches.

    Parameters
    ----------
    key
        In the store.
    origin
        Indices of its first number.
    inside
        What is wanted of it, counted from there.
    """

    key: str
    origin: tuple[int, ...]
    inside: tuple[Span, ...]


@dataclass(frozen=True)
class ChunkForm:
    """How an array lies in its objects.

    Parameters
    ----------
    array
        Its metadata.
    stored, chunk
        Shape of one object and of one chunk in it.
    is_sharded
        Whether objects are shards; a shard may hold one chunk only.
    is_archive
        Whether chunks hold differences, which add up to the numbers.
    """

    array: zarr.Array[Any]
    stored: tuple[int, ...]
    chunk: tuple[int, ...]
    is_sharded: bool
    is_archive: bool = False

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> Self | None:
        """Return the form of an array; None where only Zarr can read it."""
        document = array.metadata.to_dict()
        codecs: Any = document.get("codecs")
        grid: Any = document.get("chunk_grid")
        if document.get("storage_transformers") or not codecs or grid.get("name") != "regular":
            return None
        stored = tuple(grid["configuration"]["chunk_shape"])
        chunk, inner = _take_sharding_off(codecs, stored)
        has_differences = inner[0]["name"] == DELTA and array.dtype.itemsize == 1
        if chunk is None or not _is_zstd(inner[has_differences:], array.dtype):
            return None
        return cls(array, stored, chunk, inner is not codecs, has_differences)

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk's numbers."""
        return math.prod(self.chunk) * self.array.dtype.itemsize

    @property
    def index_bytes(self) -> int:
        """Size of a shard's index, which ends in its checksum."""
        return 16 * math.prod(self._chunk_counts) + 4

    @property
    def _chunk_counts(self) -> tuple[int, ...]:
        pairs = zip(self.stored, self.chunk, strict=True)
        return tuple(outer // size for outer, size in pairs)

    def spans(self, selection: Sequence[int | slice]) -> list[Span]:
        """Return the first and last-plus-one index on each axis.

        Raises
        ------
        ValueError
            If a slice has steps.
        """
        axes = zip(selection, self.array.shape, strict=True)
        return [_span(index, size) for index, size in axes]

    def objects(self, spans: Sequence[Span]) -> Iterator[StoredObject]:
        """Yield every object that a selection touches."""
        if not math.prod(stop - start for start, stop in spans):
            return
        for place in _find_blocks(spans, self.stored):
            origin = tuple(at * size for at, size in zip(place, self.stored, strict=True))
            inside = tuple(
                (max(start - first, 0), min(stop - first, size))
                for (start, stop), first, size in zip(spans, origin, self.stored, strict=True)
            )
            key = self.array.metadata.encode_chunk_key(place)
            key = f"{self.array.path}/{key}" if self.array.path else key
            yield StoredObject(key, origin, inside)

    def pieces(self, part: StoredObject, index: ShardIndex | None) -> Iterator[Piece]:
        """Yield the chunks that are wanted of one object.

        Parameters
        ----------
        part
            The object.
        index
            Of the shard; None where there is no such shard, or objects are no shards.
        """
        if not self.is_sharded:
            yield Piece(part.key, part.origin)
            return
        for within in _find_blocks(part.inside, self.chunk):
            starts = zip(part.origin, within, self.chunk, strict=True)
            at = tuple(first + step * size for first, step, size in starts)
            if index is None or index[within][0] == _ABSENT:
                yield Piece(part.key, at, n_bytes=0)
            else:
                yield Piece(part.key, at, *map(int, index[within]))

    def parse_index(self, key: str, content: bytes) -> ShardIndex:
        """Return the index that a shard ends in.

        Raises
        ------
        ValueError
            If it is cut, or has another checksum.
        """
        from google_crc32c import value

        if len(content) != self.index_bytes:
            raise ValueError(f"{key}: shorter than its index: truncated")
        if value(content[:-4]) != int.from_bytes(content[-4:], "little"):
            raise ValueError(f"{key}: the shard's index has another checksum: corrupt")
        return np.frombuffer(content[:-4], dtype="<u8").reshape(*self._chunk_counts, 2)

    def place(
        self,
        content: NDArray[np.uint8] | None,
        piece: Piece,
        spans: Sequence[Span],
        out: NDArray[Any],
    ) -> None:
        """Put what a selection wants of one chunk where it belongs.

        Parameters
        ----------
        content
            The chunk's bytes; None where it is fill.
        piece
            Which chunk.
        spans, out
            The selection, and its array.
        """
        source, target = [], []
        for (start, stop), first, size in zip(spans, piece.origin, self.chunk, strict=True):
            low, high = max(start, first), min(stop, first + size)
            source.append(slice(low - first, high - first))
            target.append(slice(low - start, high - start))
        with stage("decompress"):
            out[tuple(target)] = (
                self.array.fill_value if content is None else self._decode(content)[tuple(source)]
            )

    def decode(self, content: NDArray[np.uint8] | None) -> NDArray[Any]:
        """Return the numbers of a whole chunk; None stands for fill.

        Raises
        ------
        ValueError, RuntimeError
            If the bytes are damaged.
        """
        if content is None:
            return np.full(self.chunk, self.array.fill_value, self.array.dtype)
        with stage("decompress"):
            return self._decode(content)

    def _decode(self, content: NDArray[np.uint8]) -> NDArray[Any]:
        values = decompress(content, self.chunk, self.array.dtype.newbyteorder("<"))
        if self.is_archive:
            flat = values.reshape(-1)
            np.cumsum(flat, dtype=flat.dtype, out=flat)
        return values


def _span(index: int | slice, size: int) -> Span:
    if isinstance(index, int):
        return index, index + 1
    start, stop, step = index.indices(size)
    if step != 1:
        raise ValueError(f"step {step}; expected contiguous windows")
    return start, max(start, stop)


def _find_blocks(spans: Sequence[Span], size: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Return the positions of all blocks of a size that spans touch, in C order."""
    ranges = [range(a // step, -(-b // step)) for (a, b), step in zip(spans, size, strict=True)]
    return itertools.product(*ranges)


def _take_sharding_off(
    codecs: Sequence[Mapping[str, Any]], stored: tuple[int, ...]
) -> tuple[tuple[int, ...] | None, Sequence[Mapping[str, Any]]]:
    """Return the shape of a chunk and the codecs on it; None for another kind of sharding."""
    if codecs[0]["name"] != "sharding_indexed":
        return stored, codecs
    inner = codecs[0]["configuration"]
    at_end = inner.get("index_location", "end") == "end"
    if len(codecs) != 1 or not at_end or list(inner["index_codecs"]) != _INDEX_CODECS:
        return None, codecs
    return tuple(inner["chunk_shape"]), inner["codecs"]


def _is_zstd(codecs: Sequence[Mapping[str, Any]], dtype: np.dtype[Any]) -> bool:
    """Whether chunks are C-ordered little-endian numbers in one zstd frame."""
    if [codec["name"] for codec in codecs] != ["bytes", "zstd"]:
        return False
    endian = (codecs[0].get("configuration") or {}).get("endian", "little")
    return dtype.kind in "biuf" and (dtype.itemsize == 1 or endian == "little")
