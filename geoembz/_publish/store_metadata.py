"""What a store's `zarr.json` files say about it, read without a Zarr library."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geoembz._objects.names import is_codes, is_of_level
from geoembz._publish.tree import PublishedTree
from geoembz._util.bounded_json import parse_object
from geoembz.errors import StoreError
from geoembz.store.contents import is_trace
from geoembz.store.schema import check_if_known

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


def read_metadata(tree: PublishedTree) -> StoreMetadata:
    """Return what a store's `zarr.json` files say of its full resolution."""
    groups, codes = {}, None
    for key in sorted(tree.list()):
        is_node = key.rsplit("/", 1)[-1] == "zarr.json"
        if is_node and not is_trace(key) and not is_of_level(key):
            document = _json(tree, key)
            path = key.removesuffix("zarr.json").rstrip("/")
            if document.get("node_type") == "group":
                groups[path] = _attributes(f"{tree.place}/{path}", document)
            elif is_codes(path) and codes is None:
                codes = document
    placed = {path: _with_box(attributes) for path, attributes in groups.items()}
    grids = {
        path: attributes
        for path, attributes in placed.items()
        if "spatial:bbox" in attributes and any(field in attributes for field in PROJ_FIELDS)
    }
    if not grids or codes is None:
        raise StoreError(
            f"stac: {tree.place} has "
            f"{'no embedding array' if grids else 'no CRS and bounding box'}; STAC describes "
            "stores on a map; expected proj: and spatial: attributes, or the geoembz:bbox of a "
            "table with places; publish it with --no-stac"
        )
    about = codes.get("attributes")
    nodata = about.get("nodata") if isinstance(about, Mapping) else None
    return StoreMetadata(
        name=tree.place.name,
        url=str(tree.place),
        root=groups.get("", {}),
        grids=grids,
        data_type=str(codes.get("data_type")),
        nodata=nodata if isinstance(nodata, int | float) else None,
    )


def _attributes(where: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes of a group, checked as far as they are known."""
    attributes = document.get("attributes") or {}
    if not isinstance(attributes, Mapping):
        raise StoreError(f"{where}: attributes are {attributes!r}; expected a JSON object")
    check_if_known(where, attributes)
    return attributes


def check_root(content: bytes, where: str) -> None:
    """Refuse a store whose root metadata nobody could read.

    Raises
    ------
    StoreError
        If they are no JSON object, or the attributes of a geoembz store are malformed.
    """
    _attributes(where, parse_object(content, where, error=StoreError))


def _with_box(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return attributes with the box of a table's places where a grid has that of its pixels."""
    box = attributes.get("geoembz:bbox")
    return attributes if box is None else {"spatial:bbox": box, **attributes}


def _json(tree: PublishedTree, key: str) -> dict[str, Any]:
    return parse_object(tree.get(key), f"stac: {tree.place}/{key}", error=StoreError)
