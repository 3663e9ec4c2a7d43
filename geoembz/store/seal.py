"""The root document of a store: digests of all other objects, and of itself (spec/format.md).

Whoever writes a root's ``zarr.json`` writes it by `root_content`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

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
    seal = {"algorithm": ALGORITHM, "objects": dict(sorted(objects.items())), "document": _UNKNOWN}
    attributes = {**document["attributes"], SEAL: seal}
    content = json.dumps({**document, "attributes": attributes}, indent=2).encode()
    own = f'"document": "{_UNKNOWN}"'.encode()
    return content.replace(own, own.replace(_UNKNOWN.encode(), sha256(content).encode()), 1)


def sealed(objects: Mapping[str, bytes], others: Mapping[str, str]) -> dict[str, bytes]:
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


def sealed_objects(document: Any) -> Mapping[str, str] | None:
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
    own = json.loads(content)["attributes"][SEAL]["document"]
    if not isinstance(own, str) or len(own) != len(_UNKNOWN):
        return False
    return sha256(content.replace(own.encode(), _UNKNOWN.encode())) == own
