"""The manifest: every key of a store with its size and sha256, as JSON beside it.

Knows only bytes, JSON and digests. It holds relative keys, never a URL with its secrets.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from geoembz._objects.names import check_key, text_type
from geoembz._util.bounded_json import parse_object
from geoembz.errors import StoreError

METADATA_NAMES = frozenset({"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"})


@dataclass(frozen=True, slots=True)
class Digest:
    """What identifies an object's content.

    Parameters
    ----------
    size
        In bytes.
    sha256, md5
        Lower-case hexadecimal. MD5 is what S3 servers compute for a single PUT (ETag); it guards
        against accidents only, SHA-256 is what the manifest records.
    """

    size: int
    sha256: str
    md5: str

    @property
    def content_md5(self) -> str:
        """MD5 as the Content-MD5 header wants it."""
        return base64.b64encode(bytes.fromhex(self.md5)).decode()


def digest(data: bytes) -> Digest:
    """Return the digest of an object's content.

    Examples
    --------
    >>> digest(b"").md5
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    return Digest(
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
    )


def content_type(key: str) -> str:
    """Return the media type of an object by its name.

    Examples
    --------
    >>> content_type("embedding/zarr.json"), content_type("embedding/c/0/0/0")
    ('application/json', 'application/octet-stream')
    """
    if key.endswith("stac-item.json"):
        return "application/geo+json"
    if key.endswith(".png"):
        return "image/png"
    is_json = key.endswith(".json") or is_metadata(key)
    return "application/json" if is_json else text_type(key) or "application/octet-stream"


def is_metadata(key: str) -> bool:
    """Whether a key is one that makes a Zarr node visible."""
    return key.rsplit("/", 1)[-1] in METADATA_NAMES


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
