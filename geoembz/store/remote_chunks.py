"""Read arrays of stores on a server, the requests of one call planned together.

Zarr asks for a shard's index again for every chunk that is read on its own, and for one chunk after
the other. Here an index is asked for once, and kept for as long as the server says that the shard
is the same object; all indexes that a call needs are asked for at once, then all chunks, of which
neighbours in one shard make one request.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync
from zarr.storage import FsspecStore

from geoembz._objects.explain import stage
from geoembz._objects.ranges import (
    Part,
    find_part,
    keep_part,
    read_current,
    read_part,
    reads_parts,
)
from geoembz._objects.read_cache import read_cache
from geoembz._util.memory import allocate
from geoembz._util.threads import shared_pool
from geoembz.store.chunk_form import ChunkForm, Piece, ReplacedError, ShardIndex, Span, StoredObject
from geoembz.store.guard import GAPS_PER_CHUNK, LossStore

_KEPT_BYTES = 64 * 2**20
"""Of the indexes of one array."""

_REQUEST_BYTES = 16 * 2**20
"""One request asks for no more, so that large windows come through several connections."""

_ZSTD_GROWTH, _ZSTD_FRAME_BYTES = 128, 1024
"""What a frame may have beside its content: zstd's own bound is half of that."""

_ATTEMPTS = 2
"""How often a shard is read whose index turns out to be another object's."""


@dataclass(frozen=True)
class _Indexed:
    """The index of a shard, and the version of the object that it was read from."""

    index: ShardIndex
    version: str | None


@dataclass(frozen=True)
class RemoteChunks:
    """An array on a server, in the form that our writer gives it. It can be pickled.

    Parameters
    ----------
    form
        How it lies in its objects.
    store
        Where they are.
    losses
        Knows which of them there should be.
    """

    form: ChunkForm
    store: FsspecStore
    losses: LossStore | None = None
    _indexes: "OrderedDict[str, asyncio.Task[_Indexed | None]]" = field(
        default_factory=OrderedDict, repr=False, compare=False
    )
    """Of Zarr's event loop alone: tasks, so that two that need an index ask for it once."""

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> Self | None:
        """Return the array as remote chunks; None where only Zarr can read it."""
        losses = array.store if isinstance(array.store, LossStore) else None
        store = array.store if losses is None else losses.wrapped
        if not isinstance(store, FsspecStore) or not reads_parts(store.fs):
            return None
        form = ChunkForm.of(array)
        return None if form is None else cls(form, store, losses)

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the indexes."""
        return type(self), (self.form, self.store, self.losses)

    def read(self, selection: Sequence[int | slice]) -> NDArray[Any]:
        """Read a contiguous selection, as ``array[selection]`` would; absent chunks are fill.

        Raises
        ------
        ValueError, RuntimeError
            If an object is cut or damaged.
        StoreError
            If one is lost, or the server cannot be reached.
        """
        spans = self.form.spans(selection)
        kept = tuple(0 if isinstance(index, int) else slice(None) for index in selection)
        out = allocate(tuple(stop - start for start, stop in spans), self.form.array.dtype)
        for placing in sync(self._read(spans, out)):
            placing.result()
        return out[kept]

    async def _read(self, spans: Sequence[Span], out: NDArray[Any]) -> list[Future[None]]:
        """Ask for all that a selection needs; return the decoding of what came, under way."""
        parts = self.form.objects(spans)
        found = await _all_or_error(self._read_object(part, spans, out) for part in parts)
        return [placing for each in found for placing in each]

    async def _read_object(
        self, part: StoredObject, spans: Sequence[Span], out: NDArray[Any]
    ) -> list[Future[None]]:
        """Read what is wanted of one object; once more where its index is of a former one."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                indexed, pieces, is_kept = await self._pieces(part)
                version = None if indexed is None else indexed.version
                known = await self._find_known(pieces, version)
                wanted = [piece for piece in pieces if piece not in known]
                groups = [self._fetch(group, version, spans, out) for group in self._join(wanted)]
                if known and is_kept and not any(piece.n_bytes for piece in wanted):
                    groups.append(self._confirm(part.key, version))
                placings = [placing for each in await _all_or_error(groups) for placing in each]
                return placings + [
                    self._place(content, piece, piece, spans, out)
                    for piece, content in known.items()
                ]
            except ReplacedError:
                self._indexes.pop(part.key, None)
                if attempt == _ATTEMPTS:
                    raise ValueError(
                        f"{part.key}: was replaced again and again while it was read"
                    ) from None
        raise AssertionError("unreachable")

    async def _find_known(self, pieces: Sequence[Piece], version: str | None) -> dict[Piece, bytes]:
        """Return the chunks that the cache has of a version, if there is a cache."""
        if read_cache() is None:
            return {}
        wanted = [piece for piece in pieces if piece.n_bytes]
        found = await _all_or_error(
            find_part(self.store.fs, self._path(piece.key), *_range(piece), version)
            for piece in wanted
        )
        pairs = zip(wanted, found, strict=True)
        return {piece: part.content for piece, part in pairs if part is not None}

    async def _confirm(self, key: str, version: str | None) -> list[Future[None]]:
        """Ask whether a shard is still the one whose index is kept; it can be told to be none."""
        part = await self._read_current(key, -self.form.index_bytes)
        if part is None or part.version != version:
            raise ReplacedError
        return []

    async def _pieces(self, part: StoredObject) -> tuple[_Indexed | None, list[Piece], bool]:
        """Find the chunks that are wanted of one object, and whether its index was kept for it.

        Of a chunk that is not there no answer tells whether a kept index still holds: an update may
        have put one there. So it is asked for again.
        """
        if not self.form.is_sharded:
            return None, list(self.form.pieces(part, None)), False
        is_kept = part.key in self._indexes and self._indexes[part.key].done()
        indexed = await self._index(part.key)
        pieces = list(self.form.pieces(part, None if indexed is None else indexed.index))
        if is_kept and any(piece.n_bytes == 0 for piece in pieces):
            self._indexes.pop(part.key, None)
            return await self._pieces(part)
        return indexed, pieces, is_kept

    async def _index(self, key: str) -> _Indexed | None:
        """Return a shard's index; None where there is no shard."""
        task = self._indexes.get(key)
        if task is None:
            task = self._indexes[key] = asyncio.ensure_future(self._read_index(key))
            task.add_done_callback(_take_note)
            while len(self._indexes) > max(_KEPT_BYTES // self.form.index_bytes, 1):
                self._indexes.popitem(last=False)
        else:
            self._indexes.move_to_end(key)
        try:
            indexed = await asyncio.shield(task)
        except BaseException:
            self._forget(key, task)
            raise
        if indexed is None or indexed.version is None:  # nobody would notice that it has changed
            self._forget(key, task)
        return indexed

    def _forget(self, key: str, task: "asyncio.Task[_Indexed | None]") -> None:
        if self._indexes.get(key) is task:
            del self._indexes[key]

    async def _read_index(self, key: str) -> _Indexed | None:
        with stage("index"):
            part = await self._read_current(key, -self.form.index_bytes)
        if part is None:
            return None
        return _Indexed(self.form.parse_index(key, part.content), part.version)

    async def _read_current(self, key: str, start: int | None) -> Part | None:
        """Read an object from a byte on, which the cache may have; None where it should be none."""
        return await self._refuse_lost(
            key, await read_current(self.store.fs, self._path(key), start)
        )

    async def _refuse_lost(self, key: str, part: Part | None) -> Part | None:
        if part is None and self.losses is not None:
            await self.losses.refuse_lost(key)
        return part

    def _path(self, key: str) -> str:
        """Return where an object is, as the file system has it."""
        return f"{self.store.path}/{key}" if self.store.path else key

    def _join(self, pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
        """Yield pieces that one request fetches: neighbours, and little unwanted between them."""
        gap = self.form.chunk_bytes // GAPS_PER_CHUNK
        most = self.form.chunk_bytes + self.form.chunk_bytes // _ZSTD_GROWTH + _ZSTD_FRAME_BYTES
        group: list[Piece] = []
        for piece in sorted(pieces, key=lambda piece: piece.offset):
            if piece.n_bytes in (0, None):
                yield [piece]
                continue
            if piece.n_bytes > most:  # before anything is asked for
                raise ValueError(f"{piece.key}: a chunk of {piece.n_bytes} bytes: corrupt index")
            if group and (
                piece.offset > _end(group) + gap
                or piece.offset + piece.n_bytes - group[0].offset > _REQUEST_BYTES
            ):
                yield group
                group = []
            group.append(piece)
        if group:
            yield group

    async def _fetch(
        self, group: list[Piece], version: str | None, spans: Sequence[Span], out: NDArray[Any]
    ) -> list[Future[None]]:
        """Fetch some pieces of one object, and begin to put them where they belong."""
        first = group[0]
        part: Part | None = None
        with stage("chunks"):
            if first.n_bytes is None:
                part = await self._read_current(first.key, None)
            elif first.n_bytes:
                part = await self._fetch_range(group, version)
        content = None if part is None else part.content
        placings = [self._place(content, first, piece, spans, out) for piece in group]
        if part is not None and first.n_bytes:
            await self._keep(group, part)
        return placings

    async def _fetch_range(self, group: list[Piece], version: str | None) -> Part:
        """Fetch the bytes of some pieces of one version of an object."""
        first, end = group[0], _end(group)
        path, start = self._path(first.key), first.offset
        part = await read_part(self.store.fs, path, start, end)
        await self._refuse_lost(first.key, part)
        if part is None or part.version != version:
            raise ReplacedError
        if len(part.content) != end - start:
            raise ValueError(f"{first.key}: {len(part.content)} bytes of {end}: truncated")
        return part

    async def _keep(self, group: list[Piece], part: Part) -> None:
        """Put the pieces of a part into the cache, if there is one."""
        if read_cache() is None:
            return
        path, start = self._path(group[0].key), group[0].offset
        for piece in group:
            low, high = _range(piece)
            kept = Part(part.content[low - start : high - start], part.version)
            await keep_part(self.store.fs, path, low, high, kept)

    def _place(
        self,
        content: bytes | None,
        first: Piece,
        piece: Piece,
        spans: Sequence[Span],
        out: NDArray[Any],
    ) -> Future[None]:
        """Begin to put a piece where it belongs; `content` begins with `first`."""
        return shared_pool().submit(self.form.place, _cut(content, first, piece), piece, spans, out)


def _take_note(task: "asyncio.Task[Any]") -> None:
    """Look at an error that nobody waits for any more: else asyncio complains."""
    if not task.cancelled():
        task.exception()


def _end(group: Sequence[Piece]) -> int:
    """Return where the last byte of some pieces ends; they may lie in each other."""
    return max(piece.offset + (piece.n_bytes or 0) for piece in group)


def _range(piece: Piece) -> Span:
    return piece.offset, piece.offset + (piece.n_bytes or 0)


def _cut(content: bytes | None, first: Piece, piece: Piece) -> NDArray[np.uint8] | None:
    """Return the bytes of one piece out of those of its request."""
    if content is None:
        return None
    whole = np.frombuffer(content, np.uint8)
    if piece.n_bytes is None:
        return whole
    start = piece.offset - first.offset
    return whole[start : start + piece.n_bytes]


async def _all_or_error[T](actions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once; on the first error, stop the others and raise it as it is."""
    tasks = [asyncio.ensure_future(action) for action in actions]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
