"""Which object of an array belongs where: digests of its shards, as small arrays (spec/format.md).

A shard's digest is taken when it is written, travels with the journal, and stands in the store.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from geoembz._objects.tree import ObjectTree
from geoembz.errors import StoreError
from geoembz.store.conventions import TIME

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

DIGESTS = "digests"
"""Name of the child group."""

DIGEST_BYTES = 16

_SIDE, _ROWS = 256, 65_536
"""Positions of shards in one chunk: along each axis of a raster, and of a table's rows."""

_AXES = {"y": "shard_y", "x": "shard_x", "sample": "shard", TIME: TIME}
_PART = "part"
_ZSTD_LEVEL = 1


class StoredObject(NamedTuple):
    """What identifies a stored object.

    Parameters
    ----------
    digest
        The first 16 bytes of its SHA-256, hexadecimal.
    size
        In bytes.
    """

    digest: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return what identifies an object of this content.

        Examples
        --------
        >>> StoredObject.of(b"")
        StoredObject(digest='e3b0c44298fc1c149afbf4c8996fb924', size=0)
        """
        return cls(hashlib.sha256(content).hexdigest()[: 2 * DIGEST_BYTES], len(content))


type StoredObjects = Mapping[str, StoredObject]
"""The objects that were written, by key."""


def parse_objects(document: Mapping[str, Any]) -> dict[str, StoredObject]:
    """Read stored objects back from JSON, where each is a list of its two members."""
    return {key: StoredObject(*entry) for key, entry in document.items()}


def object_counts(document: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the number of stored objects along each axis of an array, from its metadata."""
    chunk = document["chunk_grid"]["configuration"]["chunk_shape"]
    return tuple(ceil(size / step) for size, step in zip(document["shape"], chunk, strict=True))


def write_digests(
    root: zarr.Group,
    objects: "Mapping[str, Buffer]",
    arrays: Iterable[str],
    stored: StoredObjects,
    date: int = 0,
) -> None:
    """Write `digests` below a group: for each array, the digests of its stored objects.

    Parameters
    ----------
    root
        The group that holds the arrays.
    objects
        What is stored of it: the metadata of the arrays.
    arrays
        Their paths.
    stored
        Their objects; of stores with a time axis, those of one date.
    date
        Position of that date: the digests of all others are not written.
    """
    by_array: dict[str, list[tuple[tuple[int, ...], str]]] = {}
    for key, (digest, _) in stored.items():
        name, _, place = key.rpartition("/c/")
        by_array.setdefault(name, []).append((tuple(map(int, place.split("/"))), digest))
    group = root.create_group(DIGESTS)
    for name in arrays:
        document = json.loads(objects[f"{name}/zarr.json"].to_bytes())
        counts, dimensions = object_counts(document), tuple(document["dimension_names"])
        values = np.zeros((*counts, DIGEST_BYTES), np.uint8)
        for at, digest in by_array.get(name, []):
            values[at] = np.frombuffer(bytes.fromhex(digest), np.uint8)
        array = _create(group, name, counts, dimensions)
        dates = slice(date, date + 1) if dimensions[0] == TIME else slice(None)
        array[dates] = values[dates]


def _create(
    group: zarr.Group, name: str, counts: tuple[int, ...], dimensions: tuple[str, ...]
) -> zarr.Array[Any]:
    sizes = {TIME: 1, "sample": _ROWS}
    chunks = (
        max(1, min(count, sizes.get(axis, _SIDE)))
        for count, axis in zip(counts, dimensions, strict=True)
    )
    return group.create_array(
        name,
        shape=(*counts, DIGEST_BYTES),
        dtype=np.uint8,
        chunks=(*chunks, DIGEST_BYTES),
        fill_value=0,
        dimension_names=(*(_AXES.get(axis, _PART) for axis in dimensions), "byte"),
        compressors=[ZstdCodec(level=_ZSTD_LEVEL, checksum=True)],
        config={"write_empty_chunks": True},
    )


def lost_objects(tree: ObjectTree, stored: StoredObjects, date: int | None = None) -> list[str]:
    """Return the keys of objects that were written and are not there, or have another size.

    Parameters
    ----------
    tree
        The store.
    stored
        The objects.
    date
        Position of the one date that they belong to, where there is a time axis.
    """
    below = "c" if date is None else f"c/{date}"
    there: dict[str, int] = {}
    for array in sorted({key.rpartition("/c/")[0] for key in stored}):
        there |= tree.sizes(f"{array}/{below}")
    return [key for key, (_, size) in stored.items() if there.get(key) != size]


def check_stored(tree: ObjectTree, stored: StoredObjects, date: int | None = None) -> None:
    """Refuse to finish a store whose shards are not all there; see `lost_objects`.

    Raises
    ------
    StoreError
        If one was lost or cut since it was written.
    """
    lost = lost_objects(tree, stored, date)
    if lost:
        raise StoreError(
            f"{tree.url}: {len(lost):,} of {len(stored):,} objects that were written are gone or "
            f"cut ({lost[0]} …); expected nobody else to change the destination; run the same "
            "command again: it writes them anew"
        )
