"""The root of several grids: a group that says which stores it holds, and what they share."""

import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import MemoryStore

from geoembz._objects.tree import ObjectTree
from geoembz.errors import StoreError
from geoembz.store.conventions import RootAttributes, StoreAttributes, records_digests
from geoembz.store.seal import ROOT, root_content, sha256

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
    contents = {name: _content(tree, name) for name in names}
    documents = {name: json.loads(content) for name, content in contents.items()}
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
    digests = {f"{name}/{ROOT}": sha256(content) for name, content in contents.items()}
    versions = {child.version for child in children.values()}
    has_digests = all(records_digests(version) for version in versions)
    document = json.loads(objects[ROOT].to_bytes())
    tree.write(ROOT, root_content(document, digests if has_digests else None))
    return attributes


def _content(tree: ObjectTree, name: str) -> bytes:
    """Return the root document of a complete store, as it stands."""
    document = tree.read_json(f"{name}/{ROOT}")
    content = tree.read(f"{name}/{ROOT}")
    if content is None or not isinstance(document, dict) or _CONSOLIDATED not in document:
        raise StoreError(f"{tree.url}/{name}: no complete store; repeat the conversion")
    return content


def _insert(objects: "dict[str, Buffer]", key: str, document: dict[str, Any]) -> None:
    from zarr.core.buffer import default_buffer_prototype

    content = json.dumps(document).encode()
    objects[key] = default_buffer_prototype().buffer.from_bytes(content)
