"""Where a map is written, and whether what is there was begun or made by the same command."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from geoembz._convert.destination import Destination
from geoembz._convert.site import Site
from geoembz._objects.tree import ObjectTree
from geoembz.errors import GeoembzError
from geoembz.store.digests import ROOT
from geoembz.store.maps import MapDocument, is_tiff, map_object

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
    about: Mapping[str, Any] | None = None
    if not is_tiff(out):
        root = ObjectTree(str(out)).read_json(ROOT) or {}
        about = map_object(root.get("attributes") or {})
    else:
        with suppress(GeoembzError):  # whatever else is there, it is no map of ours
            document = MapDocument.of_tiff(str(out))
            about = None if document is None else document.about
    return None if about is None else about.get(IDENTITY)
