"""Which objects a store says that it has, and their digests: from its documents (spec/format.md).

Knows how to read an object, not where from.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import prod

import numpy as np

from geoembz._objects.names import check_key
from geoembz._util.bounded_json import parse_object
from geoembz.errors import GeoembzError, StoreError
from geoembz.store.conventions import GRIDS
from geoembz.store.digests import DIGEST_BYTES, DIGESTS, ROOT, read_seal
from geoembz.store.guard import MOST_CHUNK_BYTES
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
