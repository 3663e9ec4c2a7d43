"""Write a store: shards in any order from any number of workers, metadata at the end."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import FsspecStore, LocalStore, MemoryStore

from geoembz._geo.grid import Window
from geoembz._objects.files import write_file
from geoembz._objects.stores import HTTP, ranged_http, remote_faults, storage_options
from geoembz._objects.tree import ObjectTree, local_faults
from geoembz.encoding._quantization import Codes
from geoembz.store.conventions import StoreAttributes, records_digests
from geoembz.store.digests import DIGESTS, StoredObject, StoredObjects, check_stored
from geoembz.store.documents import (
    EMBEDDING,
    VALID,
    StorePlan,
    create_codes,
    create_mask,
    open_codes,
    store_documents,
)
from geoembz.store.lock import Fence
from geoembz.store.seal import ROOT, sealed
from geoembz.store.stored_chunks import ChunkWriter
from geoembz.store.watch import ReadStore

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


class StoreWriter:
    """Writes one store. It can be pickled: every process opens the destination by itself.

    Parameters
    ----------
    url
        Destination: its URL, or its objects.
    plan
        What the store will be.
    date
        Position on the time axis to write to, where there is one.
    """

    def __init__(self, url: str | ObjectTree, plan: StorePlan, date: int = 0) -> None:
        self.tree = url if isinstance(url, ObjectTree) else ObjectTree(url)
        self.url, self.plan = self.tree.url, plan
        self._at: tuple[int, ...] = (date,) if plan.dates else ()
        objects: dict[str, Buffer] = {}
        group = zarr.create_group(MemoryStore(objects))
        create_codes(group, plan)
        if plan.has_mask:
            create_mask(group, plan)
        self._documents = {
            name: json.loads(objects[f"{name}/zarr.json"].to_bytes())
            for name in (EMBEDDING, VALID)
            if f"{name}/zarr.json" in objects
        }
        self._arrays: dict[str, ChunkWriter] = {}

    @property
    def date(self) -> int | None:
        """Position on the time axis that is written to; None where there is no such axis."""
        return next(iter(self._at), None)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out open arrays."""
        return {**self.__dict__, "_arrays": {}}

    def write_shard(
        self, window: Window, codes: Codes, valid: NDArray[np.bool_]
    ) -> dict[str, StoredObject]:
        """Write the codes of one shard, and their validity where it is an array of its own.

        A shard without a valid pixel is not written: readers see the fill value, nodata.

        Parameters
        ----------
        window
            A shard's window, as `ChunkLayout.shards` gives it.
        codes
            Shape ``(code_length, height, width)``.
        valid
            bool, shape ``(height, width)``.

        Returns
        -------
        stored
            The objects that were written, by key: those with a valid pixel.
        """
        if not valid.any():
            return {}
        dates = (np.newaxis,) * len(self._at)
        with write_faults(self.url, f"PUT shard at row {window.row}, column {window.col}"):
            corner = (*self._at, 0, window.row, window.col)
            stored = self._array(EMBEDDING).write(corner, codes[dates], valid[(*dates, np.newaxis)])
            if self.plan.has_mask:
                corner = (*self._at, window.row, window.col)
                stored |= self._array(VALID).write(corner, valid[dates])
        return stored

    def finish(
        self,
        attributes: StoreAttributes,
        stored: StoredObjects,
        fence: Fence | None = None,
        former: Mapping[str, str] | None = None,
    ) -> None:
        """Write the small arrays, then all metadata, the root's last: the store now exists.

        Parameters
        ----------
        attributes
            Of the group.
        stored
            What `write_shard` returned, of all shards together.
        fence
            Asked before the root.
        former
            Of a store that grows by a date, the digests in its root document.

        Raises
        ------
        StoreError
            If a shard was lost or cut since it was written.
        """
        check_stored(self.tree, stored, self.date)
        objects = store_documents(self.plan, attributes, stored, self.date or 0)
        if records_digests(attributes.version):
            objects = sealed(objects, self._of_other_dates(former or {}))
        for key, content in objects.items():
            if fence is not None and key == ROOT:
                fence.check()
            self.tree.write(key, content)

    def _of_other_dates(self, former: Mapping[str, str]) -> dict[str, str]:
        """Return the SHA-256 of the chunks of `digests` that belong to other dates of the store."""
        own = tuple(f"{DIGESTS}/{name}/c/{self.date}/" for name in self._documents)
        every = tuple(f"{DIGESTS}/{name}/c/" for name in self._documents)
        return {
            key: value
            for key, value in former.items()
            if key.startswith(every) and not key.startswith(own)
        }

    def _array(self, name: str) -> ChunkWriter:
        if name not in self._arrays:
            store = writable_store(self.tree)
            document, cut = self._documents[name], self.plan.chunks.prefix is not None
            array = open_codes(store, document, name, first_axis_slowest=cut)
            self._arrays[name] = ChunkWriter(array)
        return self._arrays[name]


def open_zarr_store(url: str) -> ReadStore | FsspecStore:
    """Return a Zarr store at a local path or an fsspec URL, to be read."""
    tree = ObjectTree(url)
    if tree.is_local:
        return ReadStore(tree.local_path, read_only=True)
    return _remote_store(tree, read_only=True)


def writable_store(tree: ObjectTree) -> LocalStore | FsspecStore:
    """Return a Zarr store to write to, which `ChunkWriter` does."""
    if tree.is_local:
        return _LocalStore(tree)
    return _remote_store(tree, read_only=False)


def _remote_store(tree: ObjectTree, *, read_only: bool) -> FsspecStore:
    if tree.url.startswith(HTTP):
        return FsspecStore(ranged_http(asynchronous=True), path=tree.root, read_only=read_only)
    return FsspecStore.from_url(
        tree.url, storage_options=storage_options(tree.url), read_only=read_only
    )


class _LocalStore(LocalStore):
    """A local store that makes no root where that must be there already."""

    def __init__(self, tree: ObjectTree) -> None:
        super().__init__(tree.local_path)
        self._above = tree.local_path if tree.must_exist else None

    def set_sync(self, key: str, value: "Buffer") -> None:
        write_file(self.root / key, value.as_buffer_like(), root=self._above, sync=False)


def store_faults(url: str, what: str) -> AbstractContextManager[None]:
    """Turn what goes wrong with a store on a server into a `StoreError`; leave local ones."""
    return remote_faults(f"{url}: {what}") if "://" in url else nullcontext()


def write_faults(url: str, what: str) -> AbstractContextManager[None]:
    """Turn what goes wrong with a write, here or on a server, into a `StoreError`."""
    return remote_faults(f"{url}: {what}") if "://" in url else local_faults(url)
