"""Which object belongs where (spec/format.md): digests of shards, and of everything else.

A shard's digest is taken when it is written, travels with the journal, and stands in the store, in
small arrays below `digests`. Those of all other objects, and of itself, are in the root document:
whoever writes a root's ``zarr.json`` writes it by `root_content`.
"""

import hashlib
import json
from collections.abc import Buffer as BytesLike
from collections.abc import Iterable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import zarr

from geoembz._objects.tree import ObjectTree
from geoembz.errors import StoreError
from geoembz.store.conventions import TIME
from geoembz.store.packing import compression

SEAL = "geoembz:digests"
"""Attribute of a root: ``{algorithm, objects, document}``."""

ALGORITHM = "sha256"
ROOT = "zarr.json"
_UNKNOWN = "0" * 64


def sha256(content: bytes) -> str:
    """Return the SHA-256 of an object, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def root_content(document: Mapping[str, Any], objects: Mapping[str, str] | None) -> bytes:
    """Return the root's ``zarr.json``, with the digests of a store's objects and its own.

    Parameters
    ----------
    document
        The metadata; digests that it has are replaced.
    objects
        SHA-256 of all objects but shards, by key; None for a store of a version without digests.

    Examples
    --------
    >>> content = root_content({"attributes": {}}, {"x/c/0": sha256(b"")})
    >>> is_sealed(content)
    True
    >>> is_sealed(content.replace(b"x/c/0", b"x/c/1"))
    False
    """
    if objects is None:
        return json.dumps(document, indent=2).encode()
    own_seal = {
        "algorithm": ALGORITHM,
        "objects": dict(sorted(objects.items())),
        "document": _UNKNOWN,
    }
    attributes = {**document["attributes"], SEAL: own_seal}
    content = json.dumps({**document, "attributes": attributes}, indent=2).encode()
    own = f'"document": "{_UNKNOWN}"'.encode()
    return content.replace(own, own.replace(_UNKNOWN.encode(), sha256(content).encode()), 1)


def seal(objects: Mapping[str, bytes], others: Mapping[str, str]) -> dict[str, bytes]:
    """Return a store's objects with their digests in the root document, which stays the last.

    Parameters
    ----------
    objects
        All that is about to be written, by key.
    others
        SHA-256 of objects that are there already, shards left out.
    """
    digests = {key: sha256(content) for key, content in objects.items() if key != ROOT}
    document = json.loads(objects[ROOT])
    return {**objects, ROOT: root_content(document, {**others, **digests})}


def read_seal(document: Any) -> Mapping[str, str] | None:
    """Return the digests that a root document gives; None where it gives none, or malformed ones.

    Parameters
    ----------
    document
        A root's ``zarr.json``, parsed.
    """
    attributes = document.get("attributes") if isinstance(document, dict) else None
    seal = attributes.get(SEAL) if isinstance(attributes, dict) else None
    if not isinstance(seal, dict) or seal.get("algorithm") != ALGORITHM:
        return None
    objects = seal.get("objects")
    if not isinstance(objects, dict) or not all(isinstance(v, str) for v in objects.values()):
        return None
    return objects


def is_sealed(content: bytes) -> bool:
    """Whether a root's ``zarr.json`` is, byte for byte, what was written."""
    try:
        own = json.loads(content)["attributes"][SEAL]["document"]
        if not isinstance(own, str) or len(own) != len(_UNKNOWN):
            return False
        return sha256(content.replace(own.encode(), _UNKNOWN.encode())) == own
    except (ValueError, KeyError, TypeError):  # it gives none
        return False


if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

DIGESTS = "digests"
"""Name of the child group."""

DIGEST_BYTES = 16
"""Half of a SHA-256: 2**64 tries for a collision, and half the size in every store."""

_SIDE, _ROWS = 256, 65_536
"""Positions of shards in one chunk: along each axis of a raster, and of a table's rows."""

_AXES = {"y": "shard_y", "x": "shard_x", "sample": "shard", TIME: TIME}
_PART = "part"


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
    def of(cls, content: BytesLike) -> Self:
        """Return what identifies an object of this content, bytes or such as can be viewed so.

        Examples
        --------
        >>> StoredObject.of(b"")
        StoredObject(digest='e3b0c44298fc1c149afbf4c8996fb924', size=0)
        """
        digest = hashlib.sha256(content).hexdigest()[: 2 * DIGEST_BYTES]
        return cls(digest, memoryview(content).nbytes)


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
    date: int | None = 0,
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
        Position of that date: the digests of all others are not written; None for all dates.
    """
    by_array: dict[str, list[tuple[tuple[int, ...], str]]] = {}
    for key, (digest, _) in stored.items():
        name, _, place = key.rpartition("/c/")
        by_array.setdefault(name, []).append((tuple(map(int, place.split("/"))), digest))
    group = root.require_group(DIGESTS)
    for name in arrays:
        document = json.loads(objects[f"{name}/zarr.json"].to_bytes())
        counts, dimensions = object_counts(document), tuple(document["dimension_names"])
        values = np.zeros((*counts, DIGEST_BYTES), np.uint8)
        for at, digest in by_array.get(name, []):
            values[at] = np.frombuffer(bytes.fromhex(digest), np.uint8)
        array = _create(group, name, counts, dimensions)
        if date is None or dimensions[0] != TIME:
            array[...] = values
        else:
            array[date : date + 1] = values[date : date + 1]


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
        compressors=[compression(archive=False)],
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
