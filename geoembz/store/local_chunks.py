"""Read arrays of local stores chunk by chunk in threads, without Zarr's pipeline.

zarr-python passes every inner chunk of a shard through an event loop and several copies; here one
thread opens, reads, decompresses and places it.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from geoembz._objects.explain import count, stage
from geoembz._util.memory import allocate
from geoembz._util.threads import shared_pool
from geoembz.store.chunk_form import ChunkForm, Piece, ReplacedError, ShardIndex, Span
from geoembz.store.guard import LossStore

_BLOCK_BYTES = 2**20
"""Buffers are rounded up to this size, so that they can be used again for other chunks."""

_ATTEMPTS = 5
"""How often a selection is read of which shards are replaced meanwhile."""

type _Versions = dict[str, tuple[int, int]]
"""Inode and time of change of the shards whose indexes were read, by key."""


@dataclass(frozen=True)
class LocalChunks:
    """An array on this machine's disk, in the form that our writer gives it.

    Parameters
    ----------
    form
        How it lies in its objects.
    root
        The directory of the store.
    check_absent
        Told the key of each object that is absent; raises if it is lost.
    """

    form: ChunkForm
    root: Path
    check_absent: Callable[[str], None] | None = None

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> Self | None:
        """Return the array as local chunks; None where only Zarr can read it."""
        lossy = array.store if isinstance(array.store, LossStore) else None
        local = array.store if lossy is None else lossy.wrapped
        if not isinstance(local, LocalStore) or (form := ChunkForm.of(array)) is None:
            return None
        return cls(form, local.root, None if lossy is None else lossy.check_absent)

    def read(self, selection: Sequence[int | slice]) -> NDArray[Any]:
        """Read a contiguous selection, as ``array[selection]`` would; absent chunks are fill.

        Each chunk is of the file whose index says where it is, whoever replaces it meanwhile.

        Raises
        ------
        ValueError, RuntimeError
            If an object is cut or damaged.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._read(selection, {})
            except ReplacedError as error:
                replaced = error
        raise ValueError(f"{replaced}: was replaced again and again while it was read")

    def _read(self, selection: Sequence[int | slice], versions: _Versions) -> NDArray[Any]:
        form, spans = self.form, self.form.spans(selection)
        kept = tuple(0 if isinstance(index, int) else slice(None) for index in selection)
        shape = tuple(stop - start for start, stop in spans)
        pieces = list(self._pieces(spans, versions))
        if len(pieces) == 1 and shape == form.chunk:  # all of it, which needs no copy
            return form.decode(self._content(pieces[0], versions))[kept]
        out = allocate(shape, form.array.dtype)

        def place(piece: Piece) -> None:
            form.place(self._content(piece, versions), piece, spans, out)

        if len(pieces) > 1:
            list(shared_pool().map(place, pieces))
        else:
            for piece in pieces:
                place(piece)
        return out[kept]

    def _pieces(self, spans: Sequence[Span], versions: _Versions) -> Iterator[Piece]:
        """Find every chunk that a selection touches; one look at the index of each shard."""
        for part in self.form.objects(spans):
            index = self._index(part.key, versions) if self.form.is_sharded else None
            if index is None and self.form.is_sharded:
                self._absent(part.key)
            yield from self.form.pieces(part, index)

    def _absent(self, key: str) -> None:
        """Refuse that an object is not there which was stored."""
        if self.check_absent is not None:
            self.check_absent(key)

    def _index(self, key: str, versions: _Versions) -> ShardIndex | None:
        """Read where a shard's chunks are, and note its version; None without a shard."""
        n_bytes = self.form.index_bytes
        try:
            with stage("index"), (self.root / key).open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                versions[key] = status.st_ino, status.st_mtime_ns
                start = status.st_size - n_bytes
                content = os.pread(file.fileno(), n_bytes, start) if start >= 0 else b""
                count(len(content))
        except FileNotFoundError:
            return None
        return self.form.parse_index(key, content)

    def _content(self, piece: Piece, versions: _Versions) -> NDArray[np.uint8] | None:
        """Read a chunk's bytes; None where it is fill. Refuse a lost object."""
        path, version = self.root / piece.key, versions.get(piece.key)
        content = None if piece.n_bytes == 0 else _read(path, piece, version)
        if content is None and piece.n_bytes != 0:
            self._absent(piece.key)
        return content


def _read(path: Path, piece: Piece, version: tuple[int, int] | None) -> NDArray[np.uint8] | None:
    """Read a chunk's bytes; None where there is no object."""
    try:
        with stage("chunks"), path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if version not in {None, (status.st_ino, status.st_mtime_ns)}:
                raise ReplacedError(path.name)
            size = status.st_size
            n_bytes = size if piece.n_bytes is None else piece.n_bytes
            if piece.offset + n_bytes > size:  # before anything is allocated for it
                end = piece.offset + n_bytes
                raise ValueError(f"{path.name}: {size} bytes of {end}: truncated")
            blocks = -(-n_bytes // _BLOCK_BYTES)
            content: NDArray[np.uint8] = allocate((blocks * _BLOCK_BYTES,), np.uint8)[:n_bytes]
            if os.preadv(file.fileno(), [content], piece.offset) < n_bytes:
                raise ValueError(f"{path.name}: shorter than {size} bytes: truncated")
            count(n_bytes)
            return content
    except FileNotFoundError:
        return None
