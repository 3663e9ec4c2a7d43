"""What a verification found, and which objects a store has.

A plain web server cannot say what it holds: there, `present` is None. From a server, an object is
fetched once, hashed and decoded.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.storage import MemoryStore

from geoembz._objects.tree import ObjectTree
from geoembz._publish import Problem
from geoembz._text import printable
from geoembz._util.results import Result
from geoembz.store import StoreReader, TableReader
from geoembz.store.contents import Trace, find_traces, is_trace
from geoembz.store.conventions import FIRST_VERSION, records_digests
from geoembz.store.digests import DIGESTS, ROOT


@dataclass(frozen=True)
class Verification(Result):
    """What was read, and what is wrong.

    Parameters
    ----------
    store
        Where it is.
    shards
        Shards of all its grids and dates, or of its table; those that are stored were read.
    problems
        By key; empty if all is well.
    notes
        What is below ``.geoembz/``, which is no part of the store, and does it no harm.
    """

    store: str
    shards: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    def to_table(self) -> str:
        """Return it as lines of text, one per problem."""
        notes = [printable(f"note: {note}") for note in self.notes]
        if not self.problems:
            return "\n".join([*notes, f"{self.store}: {self.shards:,} shards read, nothing wrong"])
        lines = [printable(f"{problem.key}: {problem.what}") for problem in self.problems]
        return "\n".join([*notes, *lines, f"{self.store}: {len(lines)} problems"])


@dataclass(frozen=True)
class Part:
    """What was found in one part of a store: a grid, or a table.

    Parameters
    ----------
    shards
        How many shards it has.
    problems
        By key relative to that part.
    notes
        See `Verification`.
    """

    shards: int
    problems: frozenset[Problem]
    notes: tuple[str, ...] = ()

    def below(self, name: str) -> "Part":
        """Return the same with keys relative to the root that holds it as `name`."""
        found = (Problem(f"{name}/{problem.key}", problem.what) for problem in self.problems)
        return Part(self.shards, frozenset(found), self.notes)


_MOST_SMALL_CHUNKS = 1000
_BELOW_DIGESTS = re.compile(rf"(^|/){DIGESTS}/")


def present_keys(tree: ObjectTree) -> frozenset[str] | None:
    """Return every key of a store; None where the server cannot list."""
    if tree.is_web:
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

    The large arrays are sharded, or are `embedding` and `valid`, or have digests; their objects may
    be left out where they hold nothing.
    """
    recorded = {_BELOW_DIGESTS.sub(r"\1", path) for path in nodes if _BELOW_DIGESTS.search(path)}
    for path, node in sorted(nodes.items()):
        is_large = path in recorded or path.rpartition("/")[2] in ("embedding", "valid")
        if is_large or not _is_small(node):
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


class Contents[R: (StoreReader, TableReader)]:
    """Readers of a store that find some of its objects in memory.

    Parameters
    ----------
    reader
        The open store. On this machine's disk it is the fastest: the objects are in the page cache.
    """

    def __init__(self, reader: R) -> None:
        self._given: R = reader
        self._reader: R = reader
        self._objects: dict[str, Buffer] | None = None
        root = self._root(ObjectTree(reader.url))
        if root is not None:
            self._objects = {ROOT: _buffer(root)}
            group = zarr.open_group(MemoryStore(self._objects), mode="r", zarr_format=3)
            unchecked = replace(reader.attributes, version=FIRST_VERSION)
            self._reader = replace(reader, group=group, attributes=unchecked)

    def __reduce__(self) -> tuple[type, tuple[R]]:
        """Leave the objects behind: each worker looks for them by itself."""
        return type(self), (self._given,)

    def _root(self, tree: ObjectTree) -> bytes | None:
        """Return the metadata to read by in memory; None where the store is to be read itself."""
        is_consolidated = self._reader.group.metadata.consolidated_metadata is not None
        has_digests = records_digests(self._reader.attributes.version)
        return None if tree.is_local or not (is_consolidated and has_digests) else tree.read(ROOT)

    @contextmanager
    def reader_of(self, contents: Mapping[str, bytes]) -> Iterator[R]:
        """Return a reader of these objects; where there are none in memory, of the store."""
        if self._objects is None:
            yield self._reader
            return
        self._objects.update({key: _buffer(content) for key, content in contents.items()})
        try:
            yield self._reader
        finally:
            for key in contents:
                del self._objects[key]


def _buffer(content: bytes) -> Buffer:
    return default_buffer_prototype().buffer.from_bytes(content)
