"""STAC items: the asset `embeddings`, or the one with the role ``embeddings``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from geoembz._objects.identity import display_name
from geoembz._objects.reading import read_range
from geoembz._util.bounded_json import parse_json
from geoembz.errors import SourceError

ASSET = "embeddings"
_MOST_BYTES = 16 * 2**20
_MOST_NAMED = 20
_REMOTE = re.compile(r"(?i)(https?|ftp|s3a?|gs|gcs|az|adl|abfss?|wasbs?|oci|hf)://")
"""What an item on a server may name: no file of this machine, and no service of GDAL's."""


def is_item(path: str) -> bool:
    """Whether a JSON file is a STAC item."""
    document = _document(path)
    return document.get("type") == "Feature" and "assets" in document


def embeddings_asset(path: str) -> str:
    """Return the path or URL of an item's embeddings.

    Raises
    ------
    SourceError
        If the item has no such asset, or its address is none.
    """
    assets = _document(path)["assets"]
    if not isinstance(assets, Mapping):
        raise SourceError(
            f"{display_name(path)}: STAC item whose assets are a {type(assets).__name__}; expected "
            f"an object with one called {ASSET!r}; name the file itself"
        )
    by_role = [asset for asset in assets.values() if _has_role(asset)]
    asset = assets.get(ASSET) or (by_role[0] if len(by_role) == 1 else None)
    href = asset.get("href") if isinstance(asset, Mapping) else None
    if not isinstance(href, str):
        names = ", ".join(sorted(assets)[:_MOST_NAMED]) or "none"
        raise SourceError(
            f"{display_name(path)}: STAC item with the assets {names}; expected one called "
            f"{ASSET!r} with an href; name the file itself"
        )
    if not href.strip() or not href.isprintable() or href.lower().endswith((".json", ".txt")):
        raise SourceError(
            f"{display_name(path)}: the asset's href is {href[:200]!r}; expected the path or URL "
            "of a raster, table or store; name the file itself"
        )
    return _resolve(path, href)


def _has_role(asset: object) -> bool:
    roles = asset.get("roles") if isinstance(asset, Mapping) else None
    return isinstance(roles, list) and ASSET in roles


def _resolve(item: str, href: str) -> str:
    """Return an asset's place; relative ones lie beside the item."""
    scheme, mark, place = item.partition("://")
    if not mark:
        is_whole = "://" in href or href.startswith("/")
        return href if is_whole else str((Path(item).parent / href).resolve())
    if "://" not in href:
        return f"{scheme}://{urljoin(f'//{place}', href).removeprefix('//')}"
    if _REMOTE.match(href) is None or "::" in href:
        raise SourceError(
            f"{display_name(item)}: the asset's href is {href!r}; expected an address such as "
            "https://… or s3://…, not a file of this machine; name the file itself"
        )
    return href


def _document(path: str) -> dict[str, Any]:
    content = read_range(path, 0, _MOST_BYTES + 1)
    expected = "a STAC item"
    found = parse_json(content, display_name(path), expected=expected, most_bytes=_MOST_BYTES)
    return found if isinstance(found, dict) else {}
