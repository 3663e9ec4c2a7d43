"""What helps people to find a published store in a catalogue, and to reach it: for STAC.

Only what the store says or its product is known for: nobody is named who may have had no part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from geoembz._publish.store_metadata import StoreMetadata
from geoembz.sources.aef import MODEL as AEF

ALTERNATE_SCHEMA = "https://stac-extensions.github.io/alternate-assets/v1.2.0/schema.json"
SOURCE_FILES = "geoembz:source_files"
"""Property of an item: names of the files that it was made of, which nobody else can follow."""

_FILE = "file:"
_PRODUCERS = {AEF: ("Google", "Google DeepMind")}
"""By the URI of a data set; that of a model does not say who ran it."""


def keywords(metadata: StoreMetadata) -> list[str]:
    """Return words that catalogues find a store by."""
    words = ["Earth embeddings", f"{metadata.emb('type')} embeddings", "Zarr"]
    recipe = metadata.root.get("geoembz:recipe")
    return words + ([recipe] if isinstance(recipe, str) else [])


def providers(metadata: StoreMetadata) -> list[dict[str, Any]]:
    """Return who made the embeddings, where the data set they are from tells."""
    model = str(metadata.emb("model"))
    return [
        {"name": name, "roles": ["producer"], "url": model} for name in _PRODUCERS.get(model, ())
    ]


def summaries(metadata: StoreMetadata) -> dict[str, list[Any]]:
    """Return the values that items of a store's collection have, by field."""
    codes = {grid.get("proj:code") for grid in metadata.grids.values()} - {None}
    found: dict[str, list[Any]] = {"proj:code": sorted(map(str, codes))}
    if (gsd := metadata.emb("gsd")) is not None:
        found["gsd"] = [gsd]
    return {name: values for name, values in found.items() if values}


def source_data(metadata: StoreMetadata) -> list[str]:
    """Return the URIs of what a store was made of."""
    raw = metadata.emb("source_data")
    return [str(uri) for uri in raw] if isinstance(raw, list) else []


def source_links(sources: Sequence[str]) -> list[str]:
    """Return the sources that others can follow.

    Examples
    --------
    >>> source_links(["file:a.tif", "https://example.org/b.tif"])
    ['https://example.org/b.tif']
    """
    return [uri for uri in sources if not uri.startswith(_FILE)]


def source_files(sources: Sequence[str]) -> dict[str, list[str]]:
    """Return the property with the names of the others; none where there are none.

    Examples
    --------
    >>> source_files(["file:a.tif", "https://example.org/b.tif"])
    {'geoembz:source_files': ['a.tif']}
    """
    names = [uri.removeprefix(_FILE) for uri in sources if uri.startswith(_FILE)]
    return {SOURCE_FILES: names} if names else {}


def sources_of(item: Mapping[str, Any]) -> list[str]:
    """Return the URIs of an item's sources, sorted; of items of before, too, which link to all."""
    links, properties = item.get("links"), item.get("properties")
    names = properties.get(SOURCE_FILES) if isinstance(properties, Mapping) else None
    found = [f"{_FILE}{name}" for name in (names if isinstance(names, list) else [])]
    found += [
        str(link.get("href"))
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, Mapping) and link.get("rel") == "emb:source-data"
    ]
    return sorted(found)


def alternates(address: str | None) -> dict[str, Any]:
    """Return the fields of an asset that is reached by HTTPS too; none where that is not known."""
    if address is None or not address.startswith("https://"):
        return {}
    return {
        "alternate:name": "S3",
        "alternate": {"https": {"href": address, "alternate:name": "HTTPS"}},
    }
