"""The root of several grids: a group that says which stores it holds, and what they share."""

import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import MemoryStore

from geoembz.conventions import RootAttributes, StoreAttributes
from geoembz.errors import StoreError
from geoembz.store.objects import ObjectTree

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

_CONSOLIDATED = "consolidated_metadata"


def write_root(url: str | ObjectTree, names: Sequence[str]) -> RootAttributes:
    """Write the root's metadata, consolidated over all its stores: the root now exists.

    Parameters
    ----------
    url
        The root: its URL, or its objects.
    names
        Complete stores directly below it.

    Raises
    ------
    StoreError
        If one is missing or has another encoding than the first.
    """
    tree = url if isinstance(url, ObjectTree) else ObjectTree(url)
    documents = {name: _document(tree, name) for name in names}
    children = {
        name: StoreAttributes.from_json(f"{tree.url}/{name}", document["attributes"])
        for name, document in documents.items()
    }
    attributes = RootAttributes.of(tree.url, children)
    objects: dict[str, Buffer] = {}
    memory = MemoryStore(objects)
    root = zarr.create_group(memory, attributes=attributes.to_json())
    for name, document in documents.items():
        root.create_group(name, attributes=document["attributes"])
        for key, member in document[_CONSOLIDATED]["metadata"].items():
            alone = {part: value for part, value in member.items() if part != _CONSOLIDATED}
            _insert(objects, f"{name}/{key}/zarr.json", alone)
    with warnings.catch_warnings():
        # Zarr v3 readers look for consolidated metadata although v3 does not specify it yet.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(memory)
    tree.write("zarr.json", objects["zarr.json"].to_bytes())
    return attributes


def _document(tree: ObjectTree, name: str) -> dict[str, Any]:
    document = tree.read_json(f"{name}/zarr.json")
    if not isinstance(document, dict) or _CONSOLIDATED not in document:
        raise StoreError(f"{tree.url}/{name}: no complete store; repeat the conversion")
    return document


def _insert(objects: "dict[str, Buffer]", key: str, document: dict[str, Any]) -> None:
    from zarr.core.buffer import default_buffer_prototype

    content = json.dumps(document).encode()
    objects[key] = default_buffer_prototype().buffer.from_bytes(content)
