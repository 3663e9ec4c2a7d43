"""Decode what was read already: from a server, an object is fetched once, hashed and decoded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import zarr
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.storage import MemoryStore

from geoembz.store import ObjectTree, StoreReader, TableReader
from geoembz.store.conventions import FIRST_VERSION, records_digests
from geoembz.store.digests import ROOT


class Contents[R: (StoreReader, TableReader)]:
    """Readers of a store that find some of its objects in memory.

    Parameters
    ----------
    reader
        The open store. On this machine's disk it is the fastest: the objects are in the page cache.
    """

    def __init__(self, reader: R) -> None:
        self._reader: R = reader
        self._objects: dict[str, Buffer] | None = None
        root = self._root(ObjectTree(reader.url))
        if root is not None:
            self._objects = {ROOT: _buffer(root)}
            group = zarr.open_group(MemoryStore(self._objects), mode="r", zarr_format=3)
            unchecked = replace(reader.attributes, version=FIRST_VERSION)
            self._reader = replace(reader, group=group, attributes=unchecked)

    def _root(self, tree: ObjectTree) -> bytes | None:
        """Return the metadata to read by in memory; None where the store is to be read itself."""
        is_consolidated = self._reader.group.metadata.consolidated_metadata is not None
        has_digests = records_digests(self._reader.attributes.version)
        return None if tree.is_local or not (is_consolidated and has_digests) else tree.read(ROOT)

    @contextmanager
    def reader_of(self, contents: Mapping[str, bytes]) -> Iterator[R]:
        """Return a reader of these objects; where there are none in memory, of the store."""
        if self._objects is None:
            yield self._reader
            return
        self._objects.update({key: _buffer(content) for key, content in contents.items()})
        try:
            yield self._reader
        finally:
            for key in contents:
                del self._objects[key]


def _buffer(content: bytes) -> Buffer:
    return default_buffer_prototype().buffer.from_bytes(content)
