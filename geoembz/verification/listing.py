"""Which objects a store has, and whether each belongs to one of its arrays.

Knows keys only. A plain web server cannot say what it holds: there, `present` is None.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from geoembz.publish import Problem
from geoembz.store import ObjectTree


def present_keys(tree: ObjectTree) -> frozenset[str] | None:
    """Return every key of a store; None where the server cannot list."""
    if tree.url.startswith(("http://", "https://")):
        return None
    return frozenset(tree.sizes())


def below(present: frozenset[str] | None, name: str) -> frozenset[str] | None:
    """Return the keys below a group, relative to it."""
    if present is None:
        return None
    start = f"{name}/"
    return frozenset(key.removeprefix(start) for key in present if key.startswith(start))


def chunk_positions(keys: frozenset[str], array: str) -> Iterator[tuple[int, ...]]:
    """Yield the position of every stored object of an array."""
    start = f"{array}/c/"
    for key in keys:
        parts = key.removeprefix(start).split("/")
        if key.startswith(start) and all(part.isdecimal() for part in parts):
            yield tuple(map(int, parts))


def unexpected_objects(
    keys: frozenset[str], nodes: Mapping[str, Mapping[str, Any]], others: frozenset[str]
) -> Iterator[Problem]:
    """Yield the objects that belong to no node of a store.

    Parameters
    ----------
    keys
        What is there.
    nodes
        Metadata of every node but the root, by path.
    others
        Keys that are there for other reasons.
    """
    for key in sorted(keys - others - {"zarr.json"}):
        if key.removesuffix("/zarr.json") in nodes and key.endswith("/zarr.json"):
            continue
        array, separator, rest = key.rpartition("/c/")
        if not separator and key.endswith("/c"):
            array, rest = key.removesuffix("/c"), ""
        if array not in nodes or not _is_chunk(nodes[array], rest):
            yield Problem(key, "unexpected: it is no part of the store")


def _is_chunk(node: Mapping[str, Any], rest: str) -> bool:
    """Whether the rest of a key is the position of a chunk of an array."""
    try:
        shape = list(node["shape"])
        chunk = list(node["chunk_grid"]["configuration"]["chunk_shape"])
        position = [int(part) for part in rest.split("/")] if rest else []
        if len(position) != len(shape):
            return False
        ends = (ceil(size / step) for size, step in zip(shape, chunk, strict=True))
        return all(0 <= at < end for at, end in zip(position, ends, strict=True))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return False
