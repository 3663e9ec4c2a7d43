"""Tell an object that was lost from one that was never stored, while reading (spec/format.md).

Zarr reads both as the fill value. Here the first absent object of a chunk of `digests` makes that
chunk be read, once; it says which objects there should be.
"""

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, StorePath, WrapperStore

from geoembz.errors import StoreError
from geoembz.store.digests import DIGEST_BYTES, object_counts
from geoembz.store.guard import MOST_CHUNK_BYTES
from geoembz.store.zstd import decompress

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
    def local(self) -> LocalStore | None:
        """What is wrapped, where it is a directory on this machine."""
        return self._store if isinstance(self._store, LocalStore) else None

    async def get(
        self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None" = None
    ) -> "Buffer | None":
        """Return an object's bytes; None where there should be none."""
        content = await self._store.get(key, prototype, byte_range)
        if content is None and key.startswith(self._start):
            block = self._block(key)
            if block not in self._known:
                found = await self._store.get(block, default_buffer_prototype())
                self._known[block] = self._stored(block, found)
            self._check(key)
        return content  # type: ignore[no-any-return]

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


def loss_checked(url: str, array: zarr.Array[Any], digests: zarr.Array[Any]) -> zarr.Array[Any]:
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
