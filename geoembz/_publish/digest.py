"""Sizes and checksums of objects, and their content types.

Knows only bytes.
"""

import base64
import hashlib
from dataclasses import dataclass

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
    is_json = key.endswith(".json") or is_metadata(key)
    return "application/json" if is_json else "application/octet-stream"


def is_metadata(key: str) -> bool:
    """Whether a key is one that makes a Zarr node visible."""
    return key.rsplit("/", 1)[-1] in METADATA_NAMES
