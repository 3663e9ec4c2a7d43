"""What a store's `zarr.json` files say about it, read without a Zarr library."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geoembz.bounded_json import parse_object
from geoembz.errors import StoreError
from geoembz.publish.tree import ObjectTree

PROJ_FIELDS = ("proj:code", "proj:wkt2", "proj:projjson")


@dataclass(frozen=True)
class StoreMetadata:
    """What the JSON metadata of a store says.

    Parameters
    ----------
    name
        Last part of the store's URL.
    url
        Of the store.
    root
        Attributes of the root group.
    grids
        Attributes of each group that has a CRS and a place, by path.
    data_type, nodata
        Of the codes.
    """

    name: str
    url: str
    root: Mapping[str, Any]
    grids: Mapping[str, Mapping[str, Any]]
    data_type: str
    nodata: float | None

    def emb(self, field: str) -> object:
        """Return a `geoemb:` attribute of the root, or of the first grid that has it."""
        for attributes in (self.root, *self.grids.values()):
            if (value := attributes.get(f"geoemb:{field}")) is not None:
                return value
        return None


def read_metadata(tree: ObjectTree) -> StoreMetadata:
    """Return what a store's `zarr.json` files say."""
    groups, codes = {}, None
    for key in sorted(tree.list()):
        if key.rsplit("/", 1)[-1] == "zarr.json":
            document = _json(tree, key)
            path = key.removesuffix("zarr.json").rstrip("/")
            if document.get("node_type") == "group":
                groups[path] = dict(document.get("attributes") or {})
            elif path.rsplit("/", 1)[-1] == "embedding" and codes is None:
                codes = document
    grids = {
        path: attributes
        for path, attributes in groups.items()
        if "spatial:bbox" in attributes and any(field in attributes for field in PROJ_FIELDS)
    }
    if not grids or codes is None:
        raise StoreError(
            f"stac: {tree.url} has {'no embedding array' if grids else 'no CRS and bounding box'}; "
            "STAC describes stores on a map; expected proj: and spatial: attributes"
        )
    return StoreMetadata(
        name=tree.url.name,
        url=str(tree.url),
        root=groups.get("", {}),
        grids=grids,
        data_type=str(codes["data_type"]),
        nodata=(codes.get("attributes") or {}).get("nodata"),
    )


def _json(tree: ObjectTree, key: str) -> dict[str, Any]:
    return parse_object(tree.read(key), f"stac: {tree.url}/{key}", error=StoreError)
