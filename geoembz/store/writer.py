"""Write a store: shards in any order from any number of workers, metadata at the end.

zarr-python's own codecs make the bytes of a chunk. What is left out is its event loop, which hands
every inner chunk of a shard from thread to thread: the workers are busy already, each with a shard.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby, product
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.chunk_utils import ChunkTransform, encode_or_elide_chunk, evolve_codecs
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, MemoryStore

from geoembz._geo.grid import Window
from geoembz._objects.files import write_file
from geoembz._objects.names import is_icechunk
from geoembz._objects.stores import ranged_http, remote_faults, storage_options
from geoembz._objects.tree import ObjectTree, local_faults
from geoembz._util.threads import for_each
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError
from geoembz.sources.layers import Layer
from geoembz.store.attributes import StoreAttributes
from geoembz.store.chunk_form import ReadArray
from geoembz.store.chunk_reader import reader_of
from geoembz.store.conventions import records_digests
from geoembz.store.digests import (
    DIGESTS,
    ROOT,
    StoredObject,
    StoredObjects,
    check_stored,
    seal,
)
from geoembz.store.documents import (
    EMBEDDING,
    VALID,
    StorePlan,
    create_codes,
    create_layers,
    create_mask,
    level_documents,
    open_codes,
    store_documents,
    without_levels,
    write_stage,
)
from geoembz.store.levels import OVERVIEWS
from geoembz.store.lock import Fence
from geoembz.store.watch import ReadStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from zarr.core.buffer import Buffer

_WRITERS = 8
"""Small objects that are written at once."""


class ChunkWriter:
    """Writes whole stored chunks of one array; several threads may share it.

    Parameters
    ----------
    array
        Where to write; its metadata need not be stored (yet).

    Raises
    ------
    TypeError
        If one of its codecs cannot run in the calling thread.
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        metadata: Any = array.metadata
        self._store, self._path, self._key = array.store, array.path, metadata.encode_chunk_key
        self._shape: tuple[int, ...] = metadata.chunk_grid.chunk_shape
        self._dtype, self._fill = array.dtype, metadata.fill_value
        self._encode_or_elide = _encoder(metadata, write_empty_chunks=False)
        self._encode_always = _encoder(metadata, write_empty_chunks=True)

    def write(
        self,
        corner: tuple[int, ...],
        values: NDArray[Any],
        needed: NDArray[np.bool_] | None = None,
    ) -> dict[str, StoredObject]:
        """Write what begins at a chunk's first corner; chunks of fill values only are left out.

        Parameters
        ----------
        corner
            Indices of the first number, multiples of the chunk shape.
        values
            Numbers up to the end of the last chunk, or up to the end of the array.
        needed
            Which of them are to be stored even where all of their chunk are the fill value; as
            many axes as `values`, of the same length or 1.

        Returns
        -------
        stored
            What was written, by key.
        """
        stored = {}
        counts = (-(-n // size) for n, size in zip(values.shape, self._shape, strict=True))
        for place in product(*map(range, counts)):
            start = tuple(i * size for i, size in zip(place, self._shape, strict=True))
            region = tuple(slice(i, i + size) for i, size in zip(start, self._shape, strict=True))
            content = self._encode(values[region], is_needed=_any(needed, region))
            if content is not None:
                first = (i // size for i, size in zip(corner, self._shape, strict=True))
                key = self._put(tuple(i + j for i, j in zip(first, place, strict=True)), content)
                stored[key] = StoredObject.of(content.as_buffer_like())
        return stored

    def _encode(self, values: NDArray[Any], *, is_needed: bool) -> "Buffer | None":
        values = np.asarray(values, self._dtype)
        if values.shape != self._shape:  # at the array's edges
            whole = np.full(self._shape, self._fill, dtype=self._dtype)
            whole[tuple(map(slice, values.shape))] = values
            values = whole
        content = self._encode_or_elide(values)
        return self._encode_always(values) if content is None and is_needed else content

    def _put(self, place: tuple[int, ...], content: "Buffer") -> str:
        key = f"{self._path}/{self._key(place)}"
        if isinstance(self._store, LocalStore):
            self._store.set_sync(key, content)
        else:
            sync(self._store.set(key, content))
        return key


def _encoder(
    metadata: Any, *, write_empty_chunks: bool
) -> "Callable[[NDArray[Any]], Buffer | None]":
    """Return a function that encodes a whole stored chunk, or leaves it out where it is empty."""
    spec = ArraySpec(
        shape=metadata.chunk_grid.chunk_shape,
        dtype=metadata.data_type,
        fill_value=metadata.fill_value,
        config=ArrayConfig.from_dict({"write_empty_chunks": write_empty_chunks}),
        prototype=default_buffer_prototype(),
    )
    transform = ChunkTransform(codecs=evolve_codecs(metadata.codecs, spec))

    def encode(values: NDArray[Any]) -> "Buffer | None":
        chunk = spec.prototype.nd_buffer.from_numpy_array(values)
        return encode_or_elide_chunk(chunk, spec, transform.encode_chunk)

    return encode


def _any(needed: NDArray[np.bool_] | None, region: tuple[slice, ...]) -> bool:
    if needed is None:
        return False
    axes = zip(needed.shape, region, strict=True)
    return bool(needed[tuple(slice(None) if n == 1 else part for n, part in axes)].any())


@dataclass(frozen=True)
class WrittenCodes:
    """Reads the codes of a store that has no metadata yet. It can be pickled.

    Parameters
    ----------
    url
        Where it is built.
    documents
        The metadata that its arrays will have, as integers whatever the layout.
    has_time
        Whether there is a time axis.
    """

    url: str
    documents: Mapping[str, Any]
    has_time: bool

    def read_codes(self, window: Window, date: int) -> Codes:
        """Read the codes of a window at a date, shape ``(length, height, width)``."""
        return self._read(EMBEDDING, date, (slice(None), *window.slices))

    def read_mask(self, window: Window, date: int) -> NDArray[np.bool_] | None:
        """Read the validity of a window at a date, where it is an array of its own."""
        return self._read(VALID, date, window.slices) if VALID in self.documents else None

    def read_layer(self, name: str, window: Window, date: int) -> NDArray[Any]:
        """Read the stored numbers of a layer, of a window at a date."""
        return self._read(name, date, window.slices)

    def _read(self, name: str, date: int, selection: tuple[slice, ...]) -> NDArray[Any]:
        with store_faults(self.url, f"GET {name}"):
            return self._readers[name]((*((date,) if self.has_time else ()), *selection))

    @cached_property
    def _readers(self) -> dict[str, ReadArray]:
        store = open_zarr_store(self.url)
        return {
            name: reader_of(open_codes(store, document, name))
            for name, document in self.documents.items()
        }


class Writer:
    """Where a store is written, and the metadata that its arrays of shards will have.

    Parameters
    ----------
    url
        Destination: its URL, or its objects.
    create
        Creates these arrays in a group.
    """

    def __init__(self, url: str | ObjectTree, create: "Callable[[zarr.Group], None]") -> None:
        self.tree = url if isinstance(url, ObjectTree) else ObjectTree(url)
        self.url = self.tree.url
        objects: dict[str, Buffer] = {}
        create(zarr.create_group(MemoryStore(objects)))
        self._documents = {
            key.removesuffix(f"/{ROOT}"): json.loads(content.to_bytes())
            for key, content in objects.items()
            if key.endswith(f"/{ROOT}")
        }

    def _write_in_order(self, objects: Mapping[str, bytes], fence: Fence | None) -> None:
        """Write small arrays, then documents, then the root's, before which the fence is asked.

        Each waits for the disk or the server: those of a stage wait together, once.
        """
        for _, stage in groupby(objects.items(), lambda item: write_stage(item[0])):
            items = list(stage)
            if fence is not None and ROOT in dict(items):
                fence.check()
            for_each(items, lambda item: self.tree.write(*item), min(len(items), _WRITERS))


class StoreWriter(Writer):
    """Writes one store. It can be pickled: every process opens the destination by itself.

    Parameters
    ----------
    url
        Destination: its URL, or its objects.
    plan
        What the store will be.
    date
        Position on the time axis to write to, where there is one.
    below
        Group of the arrays, and ``/``: of a level, with the plan of its arrays; or nothing.
    """

    def __init__(
        self, url: str | ObjectTree, plan: StorePlan, date: int = 0, below: str = ""
    ) -> None:
        super().__init__(url, partial(_create_arrays, plan))
        self.plan, self._below = plan, below
        self._at: tuple[int, ...] = (date,) if plan.dates else ()
        self._arrays: dict[str, ChunkWriter] = {}

    @property
    def date(self) -> int | None:
        """Position on the time axis that is written to; None where there is no such axis."""
        return next(iter(self._at), None)

    def level(self, number: int) -> "StoreWriter":
        """Return what writes the shards of a level of the plan; 1 is the finest."""
        below = f"{OVERVIEWS}/{2**number}/"
        return StoreWriter(self.tree, self.plan.level(number), self.date or 0, below)

    def reader(self) -> WrittenCodes:
        """Return what reads the codes that are written, before there are metadata."""
        return WrittenCodes(self.url, self._documents, bool(self._at))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out open arrays."""
        return {**self.__dict__, "_arrays": {}}

    def write_shard(
        self,
        window: Window,
        codes: Codes,
        valid: NDArray[np.bool_],
        layers: Mapping[str, ArrayLike] | None = None,
    ) -> dict[str, StoredObject]:
        """Write the codes of one shard, their validity where it is an array of its own, and layers.

        Codes without a valid pixel are not written: readers see the fill value, nodata. Neither are
        numbers of a layer that all equal its fill value.

        Parameters
        ----------
        window
            A shard's window, as `ChunkLayout.shards` gives it.
        codes
            Shape ``(code_length, height, width)``.
        valid
            bool, shape ``(height, width)``.
        layers
            Numbers of each layer of the plan by its name, shape ``(height, width)``; see
            `Layer.prepare`. Those that are left out hold the fill value.

        Returns
        -------
        stored
            The objects that were written, by key: those that hold something.

        Raises
        ------
        InvalidConfigError
            If the plan has no such layer, or its numbers have another shape or do not fit.
        """
        numbers = prepare_layers(self.plan.layers, window, layers or {})
        dates = (np.newaxis,) * len(self._at)
        corner, stored = (*self._at, window.row, window.col), {}
        with write_faults(self.url, f"PUT shard at row {window.row}, column {window.col}"):
            if valid.any():
                first = (*self._at, 0, window.row, window.col)
                needed = valid[(*dates, np.newaxis)]
                stored = self._array(EMBEDDING).write(first, codes[dates], needed)
                if self.plan.has_mask:
                    stored |= self._array(VALID).write(corner, valid[dates])
            for name, values in numbers.items():
                stored |= self._array(name).write(corner, values[dates])
        return stored

    def finish(
        self,
        attributes: StoreAttributes,
        stored: StoredObjects,
        fence: Fence | None = None,
        former: Mapping[str, str] | None = None,
        kept: StoredObjects | None = None,
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
        kept
            Of a store that is updated, the objects of this date that stay as they are.

        Raises
        ------
        StoreError
            If a shard was lost or cut since it was written.
        """
        check_stored(self.tree, stored, self.date)
        listed = {**(kept or {}), **stored}
        objects = store_documents(self.plan, attributes, listed, self.date or 0)
        if records_digests(attributes.version):
            objects = seal(objects, self._of_other_dates(former or {}))
        self._write_in_order(objects, fence)

    def finish_levels(
        self,
        document: Mapping[str, Any],
        attributes: StoreAttributes,
        stored: StoredObjects,
        fence: Fence,
    ) -> None:
        """Write the small arrays and the metadata of levels of a finished store, its root last.

        Parameters
        ----------
        document
            The root's ``zarr.json`` as it was.
        attributes
            Of the root, with the levels.
        stored
            The shards of the levels, at all dates.
        fence
            Asked before the root.

        Raises
        ------
        StoreError
            If a shard was lost or cut since it was written.
        """
        check_stored(self.tree, stored)
        bare, others = without_levels(document)  # interrupted behind its root, it has them already
        objects = level_documents(bare, self.plan, attributes, stored)
        self._write_in_order(seal(objects, others), fence)

    def _of_other_dates(self, former: Mapping[str, str]) -> dict[str, str]:
        """Return the SHA-256 of the chunks of `digests` that belong to other dates of the store."""
        own = tuple(f"{DIGESTS}/{path}/c/{self.date}/" for path in self.plan.arrays)
        every = tuple(f"{DIGESTS}/{path}/c/" for path in self.plan.arrays)
        return {
            key: value
            for key, value in former.items()
            if key.startswith(every) and not key.startswith(own)
        }

    def _array(self, name: str) -> ChunkWriter:
        if name not in self._arrays:
            store = writable_store(self.tree)
            document, cut = self._documents[name], self.plan.chunks.prefix is not None
            path = f"{self._below}{name}"
            array = open_codes(store, document, path, first_axis_slowest=cut)
            self._arrays[name] = ChunkWriter(array)
        return self._arrays[name]


def _create_arrays(plan: StorePlan, group: zarr.Group) -> None:
    """Create the codes, their validity where it is an array of its own, and layers."""
    create_codes(group, plan)
    if plan.has_mask:
        create_mask(group, plan)
    create_layers(group, plan)


def prepare_layers(
    layers: Iterable[Layer], window: Window, given: Mapping[str, ArrayLike]
) -> dict[str, NDArray[Any]]:
    """Return the numbers of layers as they are stored, by name."""
    known = {layer.name: layer for layer in layers}
    for name in given.keys() - known.keys():
        raise InvalidConfigError(
            f"layer {name}: not one of the store's ({', '.join(known) or 'none'}); expected those "
            "that it was made with"
        )
    prepared = {name: known[name].prepare(values) for name, values in given.items()}
    for name, numbers in prepared.items():
        if numbers.shape != window.shape:
            raise InvalidConfigError(
                f"layer {name}: shape {numbers.shape}; expected {window.shape}, one per pixel"
            )
    return prepared


def open_zarr_store(url: str) -> Any:
    """Return a Zarr store at a local path, an fsspec URL or in a repository, to be read."""
    if is_icechunk(url):
        from geoembz._objects.icechunk import open_zarr

        return open_zarr(url)
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
    if tree.is_web:
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
