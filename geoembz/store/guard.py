"""Read untrusted stores: bounded memory, no code but the format's own, and no lost object unseen.

What an array claims is checked before it is read, and what a chunk claims before it is
decompressed. Zarr reads an object that was lost and one that was never stored alike, as the fill
value: the first absent object of a chunk of `digests` makes that chunk be read, once, which says
what there should be.
"""

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata import ArrayV3Metadata
from zarr.core.metadata.v3 import RegularChunkGridMetadata
from zarr.storage import StorePath, WrapperStore

from geoembz._objects.explain import stage
from geoembz.errors import StoreError
from geoembz.store.digests import DIGEST_BYTES, object_counts
from geoembz.store.packing import differences
from geoembz.store.zstd import FRAME_HEADER_BYTES, decompress, frame_content_size

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

MOST_CHUNK_BYTES, MOST_SHARD_CHUNKS = 2**28, 2**20
"""Largest chunk, and most chunks of a shard, that are believed: each costs memory to read."""

GAPS_PER_CHUNK = 8
"""Unwanted bytes between two chunks read in one request: at most this part of a chunk."""


def guard_array(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return an array that refuses what costs more than it claims.

    Partial reads of a shard join neighbouring chunks and fetch nothing between: Zarr joins chunks
    up to 1 MiB apart, which can fetch several times what was asked for.

    Raises
    ------
    StoreError
        If its chunks are too large to be believed, or it has codecs that the format does not allow.
    """
    metadata = array.metadata
    if not isinstance(metadata, ArrayV3Metadata):
        raise StoreError(f"{array.store_path}: an array of Zarr v2; expected v3")
    if not isinstance(metadata.chunk_grid, RegularChunkGridMetadata):
        raise StoreError(
            f"{array.store_path}: chunks of several sizes; expected a regular grid; the store is "
            "damaged"
        )
    chunk_bytes = prod(array.chunks) * array.dtype.itemsize
    n_chunks = prod(array.shards or array.chunks) // max(1, prod(array.chunks))
    if chunk_bytes > MOST_CHUNK_BYTES or n_chunks > MOST_SHARD_CHUNKS:
        raise StoreError(
            f"{array.store_path}: chunks of {chunk_bytes} bytes, {n_chunks} to a shard; expected "
            f"at most {MOST_CHUNK_BYTES} bytes and {MOST_SHARD_CHUNKS} chunks; the store is damaged"
        )
    codecs = tuple(_guarded_codec(array, codec) for codec in metadata.codecs)
    bound = zarr.AsyncArray(
        metadata=replace(metadata, codecs=codecs),
        store_path=array.store_path,
        config=array._async_array.config,  # noqa: SLF001 - no public name
    )
    gap = chunk_bytes // GAPS_PER_CHUNK
    return zarr.Array(bound).with_config({"sharding_coalesce_max_gap_bytes": gap})


def _guarded_codec(array: zarr.Array[Any], codec: Any) -> Any:
    """Return a codec that checks before it decompresses, or refuse one that the format lacks."""
    if isinstance(codec, ShardingCodec):
        if not any(isinstance(member, Crc32cCodec) for member in codec.index_codecs):
            # Zarr believes an index: unchecked, one changed bit makes it read gigabytes.
            raise StoreError(
                f"{array.store_path}: the index of its shards has no crc32c; expected bytes and "
                "crc32c; the store is damaged"
            )
        inner = tuple(_guarded_codec(array, member) for member in codec.codecs)
        return replace(codec, codecs=inner)
    if isinstance(codec, ZstdCodec):
        return _BoundedZstd(level=codec.level, checksum=codec.checksum)
    if isinstance(codec, BytesCodec | Crc32cCodec | TransposeCodec):
        return codec
    if codec.to_dict() in differences(array.dtype.name, *_place(array)):
        return codec
    raise StoreError(
        f"{array.store_path}: codec {type(codec).__name__} is not allowed by the geoembz format; "
        "expected bytes, zstd, crc32c, transpose and sharding_indexed; the store was not made by "
        "geoembz"
    )


def _place(array: zarr.Array[Any]) -> tuple[tuple[str, ...], Any]:
    metadata: Any = array.metadata
    return metadata.dimension_names or (), array.fill_value


class _BoundedZstd(ZstdCodec):
    """Decompresses a frame only if it says that it holds no more than the chunk."""

    def _decode_sync(self, chunk_bytes: "Buffer", chunk_spec: "ArraySpec") -> "Buffer":
        limit = prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        size = frame_content_size(chunk_bytes.to_bytes()[:FRAME_HEADER_BYTES])
        if size is None or size > limit:
            raise ValueError(f"a chunk says that it holds {size} bytes; expected {limit}")
        return super()._decode_sync(chunk_bytes, chunk_spec)


if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype


class LossStore(WrapperStore[Any]):
    """A store in which a lost object of one array is an error.

    Parameters
    ----------
    store
        What is read.
    path
        Of the array.
    digests
        The array that says which of its objects there are.
    url
        The store, for messages.
    """

    def __init__(self, store: "Store", path: str, digests: zarr.Array[Any], url: str) -> None:
        super().__init__(store)
        self._start, self._digests, self._url = f"{path}/c/", digests, url
        self._known: dict[str, NDArray[np.bool_]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read."""
        return {**self.__dict__, "_known": {}}

    def _with_store(self, store: "Store") -> "LossStore":
        return LossStore(store, self._start.removesuffix("/c/"), self._digests, self._url)

    @property
    def wrapped(self) -> "Store":
        """What is read."""
        store: Store = self._store
        return store

    async def get(
        self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None" = None
    ) -> "Buffer | None":
        """Return an object's bytes; None where there should be none."""
        content = await self._store.get(key, prototype, byte_range)
        if content is None:
            await self.refuse_lost(key)
        return content  # type: ignore[no-any-return]

    async def refuse_lost(self, key: str) -> None:
        """Refuse that an object is absent which was stored; see `check_absent`."""
        if not key.startswith(self._start):
            return
        block = self._block(key)
        if block not in self._known:
            with stage("digests"):
                found = await self._store.get(block, default_buffer_prototype())
            self._known[block] = self._stored(block, found)
        self._check(key)

    async def get_partial_values(
        self,
        prototype: "BufferPrototype",
        key_ranges: "Iterable[tuple[str, ByteRequest | None]]",
    ) -> "list[Buffer | None]":
        """Return parts of objects; None where there should be none."""
        wanted = list(key_ranges)
        found: list[Buffer | None] = await self._store.get_partial_values(prototype, wanted)
        for (key, part), content in zip(wanted, found, strict=True):
            if content is None:
                await self.get(key, prototype, part)
        return found

    def get_sync(
        self,
        key: str,
        *,
        prototype: "BufferPrototype | None" = None,
        byte_range: "ByteRequest | None" = None,
    ) -> "Buffer | None":
        """Return an object's bytes; None where there should be none."""
        content = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        if content is None:
            self.check_absent(key)
        return content

    def check_absent(self, key: str) -> None:
        """Refuse that an object is absent which was stored; of a local store.

        Raises
        ------
        StoreError
            If it is lost, or nobody can tell.
        """
        if not key.startswith(self._start):
            return
        block = self._block(key)
        if block not in self._known:
            with stage("digests"):
                found = super().get_sync(block, prototype=default_buffer_prototype())
            self._known[block] = self._stored(block, found)
        self._check(key)

    def _check(self, key: str) -> None:
        inside = self._inside(key)
        if self._known[self._block(key)][inside]:
            raise StoreError(
                f"{self._url}: missing shard {key}: it was stored and is gone; its pixels are "
                "not nodata; fetch it again, or convert again; if append --replace runs there, "
                "wait for it, and if it was interrupted, run it again"
            )

    def _place(self, key: str) -> tuple[int, ...]:
        return tuple(map(int, key.removeprefix(self._start).split("/")))

    def _block(self, key: str) -> str:
        """Return the key of the chunk of digests that has an object's."""
        place = self._place(key)
        at = (i // size for i, size in zip(place, self._digests.chunks[:-1], strict=True))
        metadata: Any = self._digests.metadata
        return f"{self._digests.path}/{metadata.encode_chunk_key((*at, 0))}"

    def _inside(self, key: str) -> tuple[int, ...]:
        place = self._place(key)
        return tuple(i % size for i, size in zip(place, self._digests.chunks[:-1], strict=True))

    def _stored(self, block: str, content: "Buffer | None") -> NDArray[np.bool_]:
        """Return which objects of a chunk of digests are stored."""
        frame = b"" if content is None else content.to_bytes()  # which is no frame
        try:
            digests = decompress(frame, self._digests.chunks, np.dtype(np.uint8))
        except (ValueError, RuntimeError) as error:
            raise StoreError(
                f"{self._url}: {block} cannot be read ({error}), so an absent shard may be lost; "
                "the store is damaged: fetch it again"
            ) from error
        return np.asarray(digests.any(axis=-1))


def guard_losses(url: str, array: zarr.Array[Any], digests: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return an array of which a lost object is an error.

    Parameters
    ----------
    url
        The store, for messages.
    array
        An array as Zarr opened it.
    digests
        That with the digests of its objects.

    Raises
    ------
    StoreError
        If the two do not belong together.
    """
    check_together(url, array, digests)
    store = LossStore(array.store, array.path, digests, url)
    bound = zarr.AsyncArray(
        metadata=array.metadata,
        store_path=StorePath(store, array.path),
        config=array._async_array.config,  # noqa: SLF001 - no public name
    )
    return zarr.Array(bound)


def check_together(url: str, array: zarr.Array[Any], digests: zarr.Array[Any]) -> None:
    """Refuse digests that are not those of an array's objects, before they are read.

    Raises
    ------
    StoreError
        If their shape or type is another, or a chunk of them cannot be believed.
    """
    expected = (*object_counts(array.metadata.to_dict()), DIGEST_BYTES)
    is_small = prod(digests.chunks) <= MOST_CHUNK_BYTES and digests.chunks[-1] == DIGEST_BYTES
    if digests.shape != expected or digests.dtype != np.uint8 or not is_small:
        raise StoreError(
            f"{url}: {digests.path} is {digests.dtype} {digests.shape} in chunks of "
            f"{digests.chunks}; expected uint8 {expected}; the store is damaged"
        )
