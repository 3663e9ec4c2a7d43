"""The manifest: every key of a store with its size and sha256, as JSON beside it.

Knows only JSON and digests. It holds relative keys, never a URL with its secrets.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from geoembz._objects.names import check_key
from geoembz._publish.digest import Digest
from geoembz._util.bounded_json import parse_object
from geoembz.errors import StoreError

FORMAT = "geoembz-manifest/1"
_MOST_BYTES = 2**30
"""Longest manifest read: that of some five million objects."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """Size in bytes and sha256 of one object."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Every object of a store.

    Parameters
    ----------
    store
        The store's name, the last part of its URL.
    entries
        By key relative to the store.
    """

    store: str
    entries: Mapping[str, Entry]

    @property
    def total_bytes(self) -> int:
        """Size of all objects, in bytes."""
        return sum(entry.size for entry in self.entries.values())

    def to_json(self) -> bytes:
        """Return UTF-8 JSON, keys in order: equal stores give equal bytes."""
        document = {
            "format": FORMAT,
            "store": self.store,
            "n_objects": len(self.entries),
            "total_bytes": self.total_bytes,
            "objects": [
                {"key": key, "size": entry.size, "sha256": entry.sha256}
                for key, entry in sorted(self.entries.items())
            ],
        }
        return (json.dumps(document, indent=1) + "\n").encode()


def manifest_name(store: str) -> str:
    """Return the name of a store's manifest, which lies beside it.

    Examples
    --------
    >>> manifest_name("out.zarr")
    'out.zarr.manifest.json'
    """
    return f"{store}.manifest.json"


def manifest_of(store: str, digests: Mapping[str, Digest]) -> Manifest:
    """Return the manifest of objects whose digests are known."""
    entries = {key: Entry(value.size, value.sha256) for key, value in digests.items()}
    return Manifest(store, entries)


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in a JSON file.

    Raises
    ------
    StoreError
        If it is not a manifest of this format, or its counts do not add up.
    InvalidConfigError
        If a key could leave the store.
    """
    try:
        document = parse_object(data, where, error=StoreError, most_bytes=_MOST_BYTES)
        found = document["format"]
        entries = {
            check_key(str(item["key"])): Entry(int(item["size"]), str(item["sha256"]))
            for item in document["objects"]
        }
        manifest = Manifest(str(document["store"]), entries)
        sums = (int(document["n_objects"]), int(document["total_bytes"]))
    except (StoreError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise StoreError(
            f"verify: {where} is not a manifest ({type(error).__name__}: {error}); "
            "publish the store again to write one"
        ) from error
    if found != FORMAT or not all(_SHA256.fullmatch(e.sha256) for e in entries.values()):
        raise StoreError(f"verify: {where} has format {found!r}; expected {FORMAT!r} with sha256")
    if sums != (len(entries), manifest.total_bytes) or len(document["objects"]) != len(entries):
        raise StoreError(f"verify: {where} does not add up; it was cut or edited")
    return manifest
