"""Describe a published store as a STAC item and collection.

The only module that knows pystac. It reads a store's JSON metadata, no arrays.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from geoembz._publish.manifest import digest
from geoembz._publish.plan import check_source
from geoembz._publish.stac_about import (
    ALTERNATE_SCHEMA,
    alternates,
    keywords,
    providers,
    source_data,
    source_files,
    source_links,
    sources_of,
    summaries,
)
from geoembz._publish.stac_extent import Footprint, ItemTime, footprint
from geoembz._publish.store_metadata import PROJ_FIELDS, StoreMetadata, read_metadata
from geoembz._publish.thumbnail import thumbnail_name
from geoembz._publish.tree import PublishedTree, open_tree
from geoembz._util.optional import import_extra
from geoembz.errors import StoreError

if TYPE_CHECKING:
    import pystac

EMB_SCHEMA = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
PROJ_SCHEMA = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER_SCHEMA = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
_ZARR_MEDIA_TYPE = "application/vnd.zarr; version=3"


@dataclass(frozen=True)
class Described:
    """The description of a published store.

    Parameters
    ----------
    urls
        Of the item and of the collection.
    time
        The item's, and where it comes from.
    """

    urls: tuple[str, str]
    time: ItemTime


def describe(
    tree: PublishedTree,
    *,
    interval: tuple[datetime, datetime] | None = None,
    licence: str | None = None,
    address: str | None = None,
    thumbnail: bytes | None = None,
) -> Described:
    """Write an item and a collection beside a published store, and return what was written.

    Parameters
    ----------
    tree
        The objects of the store; the two are written beside it.
    interval
        Start and end of the time the embeddings describe, with time zones. Without one it is that
        of an item that describes this store already, or of the store's time axis; where there is
        neither, that of publication, and the item's description says so.
    licence
        SPDX identifier or URL. Without one it is the store's, or that of the collection that is
        there already; ``other`` where nothing says it.
    address
        Where a web server has the store, too; None where that is not known.
    thumbnail
        A picture, as a PNG: written beside the store, and an asset of the item. None for none.

    Raises
    ------
    MissingPackageError
        If pystac is not installed.
    StoreError
        If the store has no place on Earth, or no geoemb attributes.

    References
    ----------
    STAC 1.1; embeddings extension v0.0.1 (prefix ``emb``), projection v2.0.0, raster v2.0.0,
    alternate assets v1.2.0.
    """
    metadata = read_metadata(tree)
    earlier = {
        kind: _earlier(tree, f"{metadata.name}.stac-{kind}.json") for kind in ("item", "collection")
    }
    is_same = bool(earlier["item"]) and sources_of(earlier["item"]) == sorted(source_data(metadata))
    when = ItemTime.of(metadata, interval, earlier["item"] if is_same else None)
    item = stac_item(metadata, when, address)
    if thumbnail is not None:
        name = thumbnail_name(metadata.name)
        tree.beside().send(name, thumbnail, digest(thumbnail))
        item.add_asset("thumbnail", _picture(name))
    collection = stac_collection(
        metadata, item, licence, earlier["collection"] if is_same else None
    )
    for document, kind in ((item, "item"), (collection, "collection")):
        name = f"{metadata.name}.stac-{kind}.json"
        text = json.dumps(document.to_dict(transform_hrefs=False), indent=1, allow_nan=False)
        data = f"{text}\n".encode()
        tree.beside().send(name, data, digest(data))
    urls = f"{metadata.url}.stac-item.json", f"{metadata.url}.stac-collection.json"
    return Described(urls, when)


def _earlier(tree: PublishedTree, name: str) -> Mapping[str, Any]:
    """Return a document that an earlier publication wrote; empty where there is none to read."""
    try:
        document = json.loads(tree.beside().read(name) or b"{}")
    except StoreError as error:
        if not isinstance(error.__context__, PermissionError):
            raise
        return {}
    except (ValueError, RecursionError):  # nobody's description: it is written anew
        return {}
    return document if isinstance(document, Mapping) else {}


def check_pystac() -> None:
    """Raise `MissingPackageError` unless pystac is installed."""
    _pystac()


def check_place(url: str, *, endpoint_url: str | None = None) -> None:
    """Refuse a store that `describe` could not describe, before it is copied.

    Parameters
    ----------
    url
        The store that is to be published.
    endpoint_url
        As for `publish`.

    Raises
    ------
    StoreError
        If the store is not complete, has no place on Earth, or no embeddings.
    """
    tree = open_tree(url, endpoint_url=endpoint_url)
    check_source(tree.list(), url, tree.read)
    footprint(read_metadata(tree).grids.values())


def stac_item(metadata: StoreMetadata, when: ItemTime, address: str | None = None) -> "pystac.Item":
    """Return a store's item: place, time, grid, quantization and the `embeddings` asset."""
    stac = _pystac()
    place = footprint(metadata.grids.values())
    is_moment = when.start == when.end
    properties: dict[str, Any] = {"title": metadata.name} | _projection(metadata)
    if (gsd := metadata.emb("gsd")) is not None:
        properties["gsd"] = gsd
    if quantization := _quantization(metadata.emb("quantization")):
        properties["emb:quantization"] = quantization
    sources = source_data(metadata)
    properties |= source_files(sources) | when.properties()
    elsewhere = alternates(address)
    item: pystac.Item = stac.Item(
        id=metadata.name.removesuffix(".zarr"),
        geometry=place.geometry,
        bbox=list(place.bbox),
        datetime=when.start if is_moment else None,
        start_datetime=None if is_moment else when.start,
        end_datetime=None if is_moment else when.end,
        properties=properties,
        stac_extensions=[
            EMB_SCHEMA,
            PROJ_SCHEMA,
            RASTER_SCHEMA,
            *([ALTERNATE_SCHEMA] if elsewhere else []),
        ],
    )
    item.add_asset("embeddings", _asset(metadata, elsewhere))
    item.add_link(stac.Link("collection", f"./{metadata.name}.stac-collection.json"))
    for source in source_links(sources):
        item.add_link(stac.Link("emb:source-data", source))
    item.collection_id = _collection_id(metadata)
    return item


def stac_collection(
    metadata: StoreMetadata,
    item: "pystac.Item",
    licence: str | None = None,
    earlier: Mapping[str, Any] | None = None,
) -> "pystac.Collection":
    """Return the collection that holds a store's item."""
    if None in (metadata.emb("type"), metadata.emb("dimensions")):
        raise StoreError(
            f"stac: {metadata.url} has no geoemb:type and geoemb:dimensions; "
            "expected a store made by geoembz convert"
        )
    stac = _pystac()
    place: Footprint = footprint(metadata.grids.values())
    terms = str(licence or metadata.root.get("geoembz:license") or _terms(earlier or {}) or "other")
    times = item.common_metadata
    interval = [times.start_datetime or item.datetime, times.end_datetime or item.datetime]
    summarized, makers = summaries(metadata), providers(metadata)
    collection: pystac.Collection = stac.Collection(
        id=_collection_id(metadata),
        title=metadata.name,
        description=f"Earth embeddings in {metadata.name}, made by geoembz",
        extent=stac.Extent(stac.SpatialExtent([list(place.bbox)]), stac.TemporalExtent([interval])),
        license="other" if _is_url(terms) else terms,
        keywords=keywords(metadata),
        providers=[stac.Provider.from_dict(maker) for maker in makers] or None,
        summaries=stac.Summaries(summarized),
        stac_extensions=[EMB_SCHEMA, *([PROJ_SCHEMA] if "proj:code" in summarized else [])],
        extra_fields={
            "emb:type": metadata.emb("type"),
            "emb:dimensions": metadata.emb("dimensions"),
            "data_type": metadata.data_type,
        },
    )
    if _is_url(terms):
        collection.add_link(stac.Link("license", terms))
    collection.add_link(stac.Link("item", f"./{metadata.name}.stac-item.json"))
    collection.add_link(stac.Link("emb:model", str(metadata.emb("model"))))
    for source in source_links(source_data(metadata)) or ["urn:geoembz:source:unknown"]:
        collection.add_link(stac.Link("emb:source-data", source))
    return collection


def _terms(collection: Mapping[str, Any]) -> str | None:
    """Return the licence of an earlier collection, a name or a URL."""
    name, links = collection.get("license"), collection.get("links")
    if isinstance(name, str) and name != "other":
        return name
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "license":
            return str(link.get("href"))
    return None


def _is_url(terms: str) -> bool:
    """Whether a licence is no SPDX name: STAC links to those."""
    return "://" in terms


def _projection(metadata: StoreMetadata) -> dict[str, Any]:
    """Return the `proj:` fields of the one grid there is; of several, none holds for all."""
    if len(metadata.grids) != 1:
        return {"proj:code": None}
    (grid,) = metadata.grids.values()
    fields = {name: grid[name] for name in PROJ_FIELDS if name in grid}
    for name in ("shape", "transform", "bbox"):
        if f"spatial:{name}" in grid:
            fields[f"proj:{name}"] = list(grid[f"spatial:{name}"])
    return fields


def _quantization(raw: object) -> dict[str, Any] | None:
    """Return the Zarr convention's quantization object as the STAC extension has it."""
    if not isinstance(raw, Mapping) or not {"method", "original_dtype"} <= raw.keys():
        return None
    names = ("method", "original_dtype", "quantized_dtype")
    fields: dict[str, Any] = {name: raw[name] for name in names if name in raw}
    if link := raw.get("link"):
        fields["link"] = {"rel": "about", "href": str(link)}
    return fields


def _asset(metadata: StoreMetadata, elsewhere: Mapping[str, Any]) -> "pystac.Asset":
    fields: dict[str, Any] = {"data_type": metadata.data_type, **elsewhere}
    if any("spatial:shape" in grid for grid in metadata.grids.values()):  # tables have no pixels
        fields["raster:sampling"] = "area"
    if metadata.nodata is not None:
        fields["nodata"] = metadata.nodata
    if (gsd := metadata.emb("gsd")) is not None:
        fields["raster:spatial_resolution"] = gsd
    is_local = metadata.url.startswith("file://")
    asset: pystac.Asset = _pystac().Asset(
        # no folder of this machine: what lies in one is often served from elsewhere
        href=f"./{metadata.name}" if is_local else metadata.url,
        title="Zarr v3 store of embeddings",
        media_type=_ZARR_MEDIA_TYPE,
        roles=["data", "embeddings"],
        extra_fields=fields,
    )
    return asset


def _picture(name: str) -> "pystac.Asset":
    asset: pystac.Asset = _pystac().Asset(
        href=f"./{name}",
        title="First three components in colour",
        media_type="image/png",
        roles=["thumbnail"],
    )
    return asset


def _collection_id(metadata: StoreMetadata) -> str:
    return f"{metadata.name.removesuffix('.zarr')}-collection"


def _pystac() -> Any:
    return import_extra("pystac", "stac", "stac: items need pystac", ", or publish with --no-stac")
