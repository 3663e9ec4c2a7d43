"""Which objects a store has, and whether each belongs to one of its arrays.

Knows keys and locks only. A plain web server cannot say what it holds: there, `present` is None.
"""

from collections.abc import Callable, Iterator, Mapping
from math import ceil, prod
from typing import Any

import numpy as np

from geoembz._publish import Problem
from geoembz._verify.result import Part
from geoembz.store import ObjectTree
from geoembz.store.traces import Trace, find_traces, is_trace

_MOST_SMALL_CHUNKS = 1000


def present_keys(tree: ObjectTree) -> frozenset[str] | None:
    """Return every key of a store; None where the server cannot list."""
    if tree.url.startswith(("http://", "https://")):
        return None
    return frozenset(tree.sizes())


def part_traces(
    listed: frozenset[str] | None, read: Callable[[str], bytes | None]
) -> tuple[frozenset[str] | None, Part]:
    """Part the keys of a store from what commands left below ``.geoembz/``, and say what that is.

    Returns
    -------
    present, traces
        The keys of the store; a problem where it is neither what it was nor what it will be, else a
        note.
    """
    if listed is None:
        return None, Part(0, frozenset())
    traces = find_traces(listed, read)
    problems = {Problem(key, trace) for key, trace in traces.items() if trace is Trace.PLACING}
    notes = [f"{key}: {trace}" for key, trace in traces.items() if trace is not Trace.PLACING]
    present = frozenset(key for key in listed if not is_trace(key))
    return present, Part(0, frozenset(problems), tuple(notes))


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


def missing_objects(
    keys: frozenset[str], nodes: Mapping[str, Mapping[str, Any]]
) -> Iterator[Problem]:
    """Yield the objects of small arrays that are not there: those are written whatever they hold.

    The large arrays are sharded, or are `embedding` and `valid`; theirs may be left out where they
    hold nothing.
    """
    for path, node in sorted(nodes.items()):
        if path.rpartition("/")[2] in ("embedding", "valid") or not _is_small(node):
            continue
        shape, chunk = node["shape"], node["chunk_grid"]["configuration"]["chunk_shape"]
        counts = [ceil(size / step) for size, step in zip(shape, chunk, strict=True)]
        for position in np.ndindex(*counts):
            key = "/".join([path, "c", *map(str, position)])
            if key not in keys:
                yield Problem(key, "missing")


def _is_small(node: Mapping[str, Any]) -> bool:
    """Whether a node is an array without shards, of few chunks."""
    try:
        shape, chunk = node["shape"], node["chunk_grid"]["configuration"]["chunk_shape"]
        n_chunks = prod(ceil(size / step) for size, step in zip(shape, chunk, strict=True))
        return n_chunks <= _MOST_SMALL_CHUNKS and "shard" not in node["codecs"][0]["name"]
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        return False


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
