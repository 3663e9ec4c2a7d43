"""The grids of a store: the one that most have, or those below a root and what they share."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import MemoryStore

from geoembz._objects.icechunk import pin
from geoembz._objects.names import check_key
from geoembz._objects.tree import ObjectTree
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.store.attributes import RootAttributes, StoreAttributes
from geoembz.store.conventions import GRIDS, records_digests
from geoembz.store.digests import ROOT, read_seal, root_content, sha256
from geoembz.store.documents import CONSOLIDATED, consolidated, insert_documents
from geoembz.store.open import open_group
from geoembz.store.reader import StoreReader


def grid_names(url: str, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the grids below a root; none where the store is one grid, or a table.

    Raises
    ------
    StoreError
        If the root names what cannot be a grid.
    """
    names = attributes.get(GRIDS)
    if names is None:
        return ()
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise StoreError(
            f"{url}: {GRIDS} is {names!r}; expected a list of names; the store is damaged"
        )
    try:
        return tuple(check_key(str(name)) for name in names)
    except InvalidConfigError as error:
        raise StoreError(f"{url}: {GRIDS} names no grid ({error})") from error


def open_readers(
    store: str | Path | StoreReader,
    grid: str | None = None,
    group: zarr.Group | None = None,
    level: int | None = None,
) -> list[StoreReader]:
    """Open a store, or all stores below a root of several grids, or the one that is named.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    grid
        Name of one grid, such as ``utm32n``; None for all.
    group
        The store's root group, where that is open already: saves a request.
    level
        Number of the level to read, 0 being the full resolution; None for that, or for the level
        that an open reader has.

    Raises
    ------
    InvalidConfigError
        If there is no such grid, or one has no such level.
    StoreError
        If the store cannot be read.
    """
    if isinstance(store, StoreReader):
        return [store.at_level(level)]
    url = str(store)
    group = open_group(url) if group is None else group
    url = pin(url, group.store)
    names = grid_names(url, group.attrs.asdict())
    if grid is None:
        children = [StoreReader.open(f"{url.rstrip('/')}/{name}", level=level) for name in names]
        return children or [StoreReader.open(url, group, level)]
    if grid not in names:
        known = f"grids {', '.join(names)}" if names else "one grid, which has no name"
        raise InvalidConfigError(f"grid {grid!r}: {url} has {known}; expected one of its names")
    return [StoreReader.open(f"{url.rstrip('/')}/{grid}", level=level)]


def open_one(
    store: str | Path | StoreReader, grid: str | None = None, group: zarr.Group | None = None
) -> StoreReader:
    """Open the one grid of a store, or the one that is named of several.

    Raises
    ------
    InvalidConfigError
        If there are several and none is named, or there is no such grid.
    StoreError
        If the store cannot be read.
    """
    readers = open_readers(store, grid, group)
    if len(readers) > 1:
        raise InvalidConfigError(
            f"{store}: holds {len(readers)} grids; {choose_grid(readers)}, or open it as a whole "
            "with xarray.open_datatree(…, engine='geoembz')"
        )
    return readers[0]


def shared_encoding(readers: Sequence[StoreReader]) -> Encoding:
    """Return the encoding of all grids.

    Raises
    ------
    InvalidConfigError
        If one has another.
    """
    first = readers[0].encoding
    if any(reader.encoding.hash != first.hash for reader in readers):
        raise InvalidConfigError(
            f"{readers[0].url}: its grids have different encodings; take each of them alone"
        )
    return first


def choose_grid(readers: list[StoreReader]) -> str:
    """Return the advice to name one of some grids."""
    names = [reader.url.rstrip("/").rpartition("/")[2] for reader in readers]
    return f"name one of them, such as grid {names[0]!r} (there are {', '.join(names)})"


if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


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
        insert_documents(objects, f"{name}/", document)
    root_document = json.loads(consolidated(memory, objects)[ROOT])
    digests = {f"{name}/{ROOT}": sha256(content) for name, content in contents.items()}
    versions = {child.version for child in children.values()}
    has_digests = all(records_digests(version) for version in versions)
    tree.write(ROOT, root_content(root_document, digests if has_digests else None))
    return attributes


def grids_ahead(url: str, names: Sequence[str]) -> set[str]:
    """Return the stores that have changed since their root was written, which comes last."""
    tree = ObjectTree(url)
    told = read_seal(tree.read_json(ROOT)) or {}
    keys = {name: f"{name}/{ROOT}" for name in names}
    return {
        name
        for name, key in keys.items()
        if key in told and sha256(tree.read(key) or b"") != told[key]
    }


def _content(tree: ObjectTree, name: str) -> bytes:
    """Return the root document of a complete store, as it stands."""
    document = tree.read_json(f"{name}/{ROOT}")
    content = tree.read(f"{name}/{ROOT}")
    if content is None or not isinstance(document, dict) or CONSOLIDATED not in document:
        raise StoreError(f"{tree.url}/{name}: no complete store; repeat the conversion")
    return content
