"""Read arrays of local stores chunk by chunk in threads, without Zarr's pipeline.

zarr-python passes every inner chunk of a shard through an event loop and several copies; here one
thread opens, reads, decompresses and places it. Only the one form that our writer makes is read:
zstd, of an archive's differences too, alone or inside ``sharding_indexed`` with its index at the
end. All else is left to Zarr.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from geoembz._util.memory import allocate
from geoembz._util.threads import shared_pool
from geoembz.store.guard import LossStore
from geoembz.store.packing import DELTA
from geoembz.store.zstd import decompress

type Span = tuple[int, int]
"""First and last-plus-one index on one axis."""

_BLOCK_BYTES = 2**20
"""Buffers are rounded up to this size, so that they can be used again for other chunks."""

_ABSENT = np.uint64(2**64 - 1)
_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


@dataclass(frozen=True)
class _Piece:
    """Some bytes of a file that hold one chunk, and where that chunk begins in the array."""

    path: Path
    origin: tuple[int, ...]
    offset: int = 0
    n_bytes: int | None = None


@dataclass(frozen=True)
class LocalChunks:
    """An array on this machine's disk, in the form that our writer gives it.

    Parameters
    ----------
    array
        Its metadata, and where it is.
    folder
        The directory with its objects.
    stored, chunk
        Shape of one object and of one chunk in it.
    is_sharded
        Whether objects are shards; a shard may hold one chunk only.
    is_archive
        Whether chunks hold differences, which add up to the numbers.
    check_absent
        Told the key of each object that is absent; raises if it is lost.
    """

    array: zarr.Array[Any]
    folder: Path
    stored: tuple[int, ...]
    chunk: tuple[int, ...]
    is_sharded: bool
    is_archive: bool = False
    check_absent: Callable[[str], None] | None = None

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> Self | None:
        """Return the array as local chunks; None where only Zarr can read it."""
        lossy = array.store if isinstance(array.store, LossStore) else None
        local = array.store if lossy is None else lossy.local
        if not isinstance(local, LocalStore):
            return None
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
        folder, is_sharded = local.root / array.path, inner is not codecs
        check = None if lossy is None else lossy.check_absent
        return cls(array, folder, stored, chunk, is_sharded, has_differences, check)

    def read(self, selection: Sequence[int | slice]) -> NDArray[Any]:
        """Read a contiguous selection, as ``array[selection]`` would; absent chunks are fill.

        Raises
        ------
        ValueError, RuntimeError
            If an object is cut or damaged.
        """
        axes = zip(selection, self.array.shape, strict=True)
        spans = [_span(index, size) for index, size in axes]
        kept = tuple(0 if isinstance(index, int) else slice(None) for index in selection)
        shape = tuple(stop - start for start, stop in spans)
        pieces = list(self._pieces(spans)) if math.prod(shape) else []
        if len(pieces) == 1 and shape == self.chunk:  # all of it, which needs no copy
            return self._chunk(pieces[0])[kept]
        out = allocate(shape, self.array.dtype)

        def place(piece: _Piece) -> None:
            self._place(piece, spans, out)

        if len(pieces) > 1:
            list(shared_pool().map(place, pieces))
        else:
            for piece in pieces:
                place(piece)
        return out[kept]

    def _pieces(self, spans: Sequence[Span]) -> Iterator[_Piece]:
        """Find every chunk that a selection touches; one look at the index of each shard."""
        for place in _find_blocks(spans, self.stored):
            path = self.folder / self.array.metadata.encode_chunk_key(place)
            origin = tuple(at * size for at, size in zip(place, self.stored, strict=True))
            if not self.is_sharded:
                yield _Piece(path, origin)
                continue
            inside = [
                (max(start - first, 0), min(stop - first, size))
                for (start, stop), first, size in zip(spans, origin, self.stored, strict=True)
            ]
            index = self._index(path)
            if index is None:
                self._absent(path)
            for within in _find_blocks(inside, self.chunk):
                starts = zip(origin, within, self.chunk, strict=True)
                at = tuple(first + step * size for first, step, size in starts)
                if index is None or index[within][0] == _ABSENT:
                    yield _Piece(path, at, n_bytes=0)
                else:
                    yield _Piece(path, at, *map(int, index[within]))

    def _absent(self, path: Path) -> None:
        """Refuse that an object is not there which was stored."""
        if self.check_absent is not None:
            key = path.relative_to(self.folder).as_posix()
            self.check_absent(f"{self.array.path}/{key}")

    def _index(self, path: Path) -> NDArray[np.uint64] | None:
        """Read where a shard's chunks are, ``(…, 2)``: offset and size; None without a shard."""
        counts = [outer // size for outer, size in zip(self.stored, self.chunk, strict=True)]
        n_bytes = 16 * math.prod(counts) + 4
        try:
            with path.open("rb", buffering=0) as file:
                start = os.fstat(file.fileno()).st_size - n_bytes
                if start < 0:
                    raise ValueError(f"{path.name}: shorter than its index: truncated")
                content = os.pread(file.fileno(), n_bytes, start)
        except FileNotFoundError:
            return None
        _check_crc32c(path, content)
        return np.frombuffer(content[:-4], dtype="<u8").reshape(*counts, 2)

    def _place(self, piece: _Piece, spans: Sequence[Span], out: NDArray[Any]) -> None:
        """Copy the part of one chunk that a selection wants to where it belongs."""
        source, target = [], []
        for (start, stop), first, size in zip(spans, piece.origin, self.chunk, strict=True):
            low, high = max(start, first), min(stop, first + size)
            source.append(slice(low - first, high - first))
            target.append(slice(low - start, high - start))
        content = self._content(piece)
        out[tuple(target)] = (
            self.array.fill_value if content is None else self._decoded(content)[tuple(source)]
        )

    def _chunk(self, piece: _Piece) -> NDArray[Any]:
        content = self._content(piece)
        if content is not None:
            return self._decoded(content)
        return np.full(self.chunk, self.array.fill_value, self.array.dtype)

    def _decoded(self, content: NDArray[np.uint8]) -> NDArray[Any]:
        values = decompress(content, self.chunk, self.array.dtype.newbyteorder("<"))
        if self.is_archive:
            flat = values.reshape(-1)
            np.cumsum(flat, dtype=flat.dtype, out=flat)
        return values

    def _content(self, piece: _Piece) -> NDArray[np.uint8] | None:
        """Read a chunk's bytes; None where it is fill. Refuse a lost object."""
        content = None if piece.n_bytes == 0 else _read(piece)
        if content is None and piece.n_bytes != 0:
            self._absent(piece.path)
        return content


type ReadArray = Callable[[Sequence[int | slice]], NDArray[Any]]
"""Reads a contiguous selection of one array."""


def reader_of(array: zarr.Array[Any]) -> ReadArray:
    """Return what reads an array, on this machine without Zarr's pipeline."""
    local = LocalChunks.of(array)
    return partial(_read_by_zarr, array) if local is None else local.read


def _read_by_zarr(array: zarr.Array[Any], selection: Sequence[int | slice]) -> NDArray[Any]:
    return np.asarray(array[tuple(selection)])


def _read(piece: _Piece) -> NDArray[np.uint8] | None:
    """Read a chunk's bytes; None where there is no object."""
    try:
        with piece.path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            n_bytes = size if piece.n_bytes is None else piece.n_bytes
            if piece.offset + n_bytes > size:  # before anything is allocated for it
                end = piece.offset + n_bytes
                raise ValueError(f"{piece.path.name}: {size} bytes of {end}: truncated")
            blocks = -(-n_bytes // _BLOCK_BYTES)
            content: NDArray[np.uint8] = allocate((blocks * _BLOCK_BYTES,), np.uint8)[:n_bytes]
            if os.preadv(file.fileno(), [content], piece.offset) < n_bytes:
                raise ValueError(f"{piece.path.name}: shorter than {size} bytes: truncated")
            return content
    except FileNotFoundError:
        return None


def _check_crc32c(path: Path, content: bytes) -> None:
    from google_crc32c import value

    if value(content[:-4]) != int.from_bytes(content[-4:], "little"):
        raise ValueError(f"{path.name}: the shard's index has another checksum: corrupt")


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
