"""STAC items: the asset `embeddings`, or the one with the role ``embeddings``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from geoembz.errors import SourceError
from geoembz.sources.identity import display_name
from geoembz.sources.remote import read_range

ASSET = "embeddings"


def is_item(path: str) -> bool:
    """Whether a JSON file is a STAC item."""
    document = _document(path)
    return document.get("type") == "Feature" and "assets" in document


def embeddings_asset(path: str) -> str:
    """Return the path or URL of an item's embeddings.

    Raises
    ------
    SourceError
        If the item has no such asset.
    """
    assets = _document(path)["assets"]
    by_role = [asset for asset in assets.values() if ASSET in (asset.get("roles") or ())]
    asset = assets.get(ASSET) or (by_role[0] if len(by_role) == 1 else None)
    if not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str):
        raise SourceError(
            f"{display_name(path)}: STAC item with the assets {', '.join(sorted(assets)) or 'none'}"
            f"; expected one called {ASSET!r}; name the file itself"
        )
    return _resolve(path, asset["href"])


def _resolve(item: str, href: str) -> str:
    """Return an asset's place; relative ones lie beside the item."""
    if "://" in href or href.startswith("/"):
        return href
    if "://" not in item:
        return str((Path(item).parent / href).resolve())
    scheme, _, place = item.partition("://")
    return f"{scheme}://{urljoin(f'//{place}', href).removeprefix('//')}"


def _document(path: str) -> dict[str, Any]:
    try:
        document = json.loads(read_range(path, 0, None))
    except ValueError as error:
        raise SourceError(
            f"{display_name(path)}: no JSON ({error}); expected a STAC item"
        ) from error
    return document if isinstance(document, dict) else {}
