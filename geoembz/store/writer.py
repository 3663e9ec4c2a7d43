"""Write a store: shards in any order from any number of workers, metadata at the end."""

import json
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import FsspecStore, LocalStore, MemoryStore

from geoembz.conventions import StoreAttributes
from geoembz.grid import Window
from geoembz.quantization import Codes
from geoembz.store.documents import (
    EMBEDDING,
    VALID,
    StorePlan,
    create_codes,
    create_mask,
    open_codes,
    store_documents,
)
from geoembz.store.objects import ObjectTree, local_faults
from geoembz.store.remote import remote_faults, storage_options
from geoembz.store.stored_chunks import ChunkWriter

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


class StoreWriter:
    """Writes one store. It can be pickled: every process opens the destination by itself.

    Parameters
    ----------
    url
        Destination.
    plan
        What the store will be.
    date
        Position on the time axis to write to, where there is one.
    """

    def __init__(self, url: str, plan: StorePlan, date: int = 0) -> None:
        self.url, self.plan = url, plan
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

    def __getstate__(self) -> dict[str, Any]:
        """Leave out open arrays."""
        return {**self.__dict__, "_arrays": {}}

    def write_shard(self, window: Window, codes: Codes, valid: NDArray[np.bool_]) -> None:
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
        """
        if not valid.any():
            return
        dates = (np.newaxis,) * len(self._at)
        with write_faults(self.url, f"PUT shard at row {window.row}, column {window.col}"):
            self._array(EMBEDDING).write((*self._at, 0, window.row, window.col), codes[dates])
            if self.plan.has_mask:
                self._array(VALID).write((*self._at, window.row, window.col), valid[dates])

    def finish(self, attributes: StoreAttributes) -> None:
        """Write the small arrays, then all metadata, the root's last: the store now exists."""
        tree = ObjectTree(self.url)
        for key, content in store_documents(self.plan, attributes).items():
            tree.write(key, content)

    def _array(self, name: str) -> ChunkWriter:
        if name not in self._arrays:
            store = open_zarr_store(self.url, read_only=False)
            document, cut = self._documents[name], self.plan.chunks.prefix is not None
            array = open_codes(store, document, name, first_axis_slowest=cut)
            self._arrays[name] = ChunkWriter(array)
        return self._arrays[name]


def open_zarr_store(url: str, *, read_only: bool) -> LocalStore | FsspecStore:
    """Return a Zarr store at a local path or an fsspec URL."""
    tree = ObjectTree(url)
    if tree.is_local:
        return LocalStore(tree.local_path, read_only=read_only)
    return FsspecStore.from_url(
        tree.url, storage_options=storage_options(tree.url), read_only=read_only
    )


def store_faults(url: str, what: str) -> AbstractContextManager[None]:
    """Turn what goes wrong with a store on a server into a `StoreError`; leave local ones."""
    return remote_faults(f"{url}: {what}") if "://" in url else nullcontext()


def write_faults(url: str, what: str) -> AbstractContextManager[None]:
    """Turn what goes wrong with a write, here or on a server, into a `StoreError`."""
    return remote_faults(f"{url}: {what}") if "://" in url else local_faults(url)
