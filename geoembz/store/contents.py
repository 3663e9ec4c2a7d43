"""Which objects are a store's: those that it says it has, and what a command left beside them.

A store's documents give the digests of its objects (spec/format.md). Below ``.geoembz/`` stands a
command at work, or what one that was killed left. Objects are read, from wherever, by a function.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import partial
from math import prod

import numpy as np

from geoembz._objects.files import PARTIAL
from geoembz._objects.names import check_key
from geoembz._util.bounded_json import parse_object
from geoembz.errors import GeoembzError, StoreError
from geoembz.store.conventions import GRIDS
from geoembz.store.digests import DIGEST_BYTES, DIGESTS, ROOT, read_seal
from geoembz.store.guard import MOST_CHUNK_BYTES
from geoembz.store.journal import COMPLETE, FOLDER, LOCK
from geoembz.store.lock import is_stale, parse_owner
from geoembz.store.zstd import decompress

type Read = Callable[[str], bytes]
"""Returns the content of an object by its key."""


def recorded_digests(root: bytes, read: Read) -> dict[str, str] | None:
    """Return the digest of every object but the root document; None where a store gives none.

    Parameters
    ----------
    root
        The root's ``zarr.json``: of one store, or of several grids.
    read
        Reads its other objects.

    Returns
    -------
    digests
        SHA-256 by key, hexadecimal; of shards its first 16 bytes.

    Raises
    ------
    StoreError
        If a document or a chunk of digests is damaged.

    Examples
    --------
    >>> recorded_digests(b'{"attributes": {}}', lambda key: b"") is None
    True
    """
    try:
        return _recorded(root, read)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, GeoembzError):
            raise
        raise StoreError(
            f"the digests of the store cannot be read ({error}); it is damaged, or being written "
            "to: run geoembz verify"
        ) from error


def _recorded(root: bytes, read: Read) -> dict[str, str] | None:
    document = parse_object(root, ROOT, error=StoreError)
    objects = read_seal(document)
    if objects is None:
        return None
    found = {check_key(key): digest for key, digest in objects.items()}
    for name in document["attributes"].get(GRIDS) or ():
        inner = _recorded(read(f"{name}/{ROOT}"), partial(_read_below, read, name))
        found |= {f"{name}/{key}": digest for key, digest in (inner or {}).items()}
    for key in objects:
        array = key.removeprefix(f"{DIGESTS}/").removesuffix(f"/{ROOT}")
        if key == f"{DIGESTS}/{array}/{ROOT}":
            found |= _shards(array, objects, read)
    return found


def _read_below(read: Read, name: str, key: str) -> bytes:
    return read(f"{name}/{key}")


def _shards(array: str, objects: Iterable[str], read: Read) -> Iterator[tuple[str, str]]:
    """Yield the key and the digest of each stored object of an array."""
    start = f"{DIGESTS}/{array}/c/"
    document = parse_object(read(f"{DIGESTS}/{array}/{ROOT}"), array, error=StoreError)
    if document["node_type"] == "group":
        return
    chunk = tuple(map(int, document["chunk_grid"]["configuration"]["chunk_shape"]))
    if prod(chunk) > MOST_CHUNK_BYTES or chunk[-1] != DIGEST_BYTES:
        raise ValueError(f"chunks of {chunk}")
    for key in objects:
        if not key.startswith(start):
            continue
        digests = decompress(read(key), chunk, np.dtype(np.uint8))
        origin = [
            int(at) * size for at, size in zip(key[len(start) :].split("/"), chunk, strict=True)
        ]
        for place in np.argwhere(digests.any(axis=-1)):
            at = "/".join(str(first + i) for first, i in zip(origin, place, strict=False))
            yield f"{array}/c/{at}", digests[tuple(place)].tobytes().hex()


GONE = ".gone"
"""Ends the name of a build that is being deleted."""

TOKEN = re.compile("[0-9a-f]{32}")
"""Name of a build: the token of a lock, or the start of a plan's digest."""


class Trace(StrEnum):
    """What a folder ``.geoembz`` means for the store that it lies in."""

    HELD = "another command writes there"
    PLACING = "a command that was killed while it put something in its place; run it again"
    UNFINISHED = "a command that has not ended; run it again, to its end"
    DEBRIS = "what a command left that was killed when all was done; the next one removes it"


def is_trace(key: str) -> bool:
    """Whether a key lies below ``.geoembz/``: it is no part of a store.

    Examples
    --------
    >>> is_trace("utm31n/.geoembz/lock.json"), is_trace("embedding/c/0/0/0")
    (True, False)
    """
    return FOLDER in key.split("/")


def find_traces(keys: Iterable[str], read: Callable[[str], bytes | None]) -> dict[str, Trace]:
    """Return what each folder ``.geoembz`` of a store means, by its key.

    Parameters
    ----------
    keys
        Of all objects.
    read
        Returns an object's content; None where there is none.

    Examples
    --------
    >>> find_traces(["zarr.json", ".geoembz/complete.json"], lambda key: None)[".geoembz"].name
    'DEBRIS'
    """
    folders: dict[str, set[str]] = {}
    for key in keys:
        if is_trace(key):
            above, _, name = f"/{key}".partition(f"/{FOLDER}/")
            folders.setdefault(f"{above}/{FOLDER}".lstrip("/"), set()).add(f"{FOLDER}/{name}")
    return {folder: _trace(folder, names, read) for folder, names in sorted(folders.items())}


def _trace(folder: str, names: set[str], read: Callable[[str], bytes | None]) -> Trace:
    if LOCK in names:
        content = read(f"{folder.removesuffix(FOLDER)}{LOCK}")
        owner = parse_owner(content)
        if content is not None and not (owner and is_stale(owner)):
            return Trace.HELD
    builds = {name.split("/")[1] for name in names if TOKEN.fullmatch(name.split("/")[1])}
    for build in builds:
        is_complete = not names.isdisjoint({COMPLETE, f"{FOLDER}/{build}/{COMPLETE}"})
        if is_complete and f"{FOLDER}/{build}/{ROOT}" in names:
            return Trace.PLACING
    if COMPLETE in names or all(_is_doomed(name) for name in names):
        return Trace.DEBRIS
    return Trace.UNFINISHED


def _is_doomed(name: str) -> bool:
    """Whether nothing hangs on an object: a lock, a draft, or a build that is being deleted."""
    return name == LOCK or name.endswith(PARTIAL) or name.split("/")[1].endswith(GONE)
