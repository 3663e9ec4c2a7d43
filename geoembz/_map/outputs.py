"""Where a map is written, and whether what is there was begun or made by the same command."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geoembz._convert.destination import Destination
from geoembz._convert.site import Site
from geoembz._map.tiff import is_tiff, read_tag
from geoembz._map.writer import ATTRIBUTE
from geoembz._objects.tree import ObjectTree
from geoembz.store.digests import ROOT

IDENTITY = "identity"
"""Member of what a map says of itself: the digest of all that its bytes depend on."""

_UNFINISHED = "unfinished"
"""End of the name of the folder where a GeoTIFF is built."""


def hidden_folder(out: str | Path) -> Path:
    """Return the folder where a GeoTIFF is built.

    Examples
    --------
    >>> hidden_folder("maps/cover.tif").name
    '.cover.tif.unfinished'
    """
    path = Path(out)
    return path.with_name(f".{path.name}.{_UNFINISHED}")


def is_unfinished(out: str | Path) -> bool:
    """Whether a map was begun there, and not ended: the same command will finish it."""
    place = str(hidden_folder(out) if is_tiff(out) else out)
    return any(journal.exists() for journal in Site(Destination(place)).journals())


def digest_identity(identity: Mapping[str, Any]) -> str:
    """Return a digest of all that a map's bytes depend on."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_identity(out: str | Path) -> str | None:
    """Return the digest that a map says it was made by; None where there is no such map."""
    if is_tiff(out):
        return read_tag(Path(out), IDENTITY)
    about = ((ObjectTree(str(out)).read_json(ROOT) or {}).get("attributes") or {}).get(ATTRIBUTE)
    return about.get(IDENTITY) if isinstance(about, dict) else None
