"""Compare every object of a store with the digest that the store gives for it (spec/format.md).

Stores of format 0.1 give none: there, nothing is found here.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import lt

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._objects.explain import count, stage
from geoembz._objects.names import check_key
from geoembz._objects.tree import ObjectTree
from geoembz._publish import Problem
from geoembz._util.threads import for_each
from geoembz.errors import GeoembzError
from geoembz.store.conventions import records_digests
from geoembz.store.digests import (
    ALGORITHM,
    DIGEST_BYTES,
    DIGESTS,
    ROOT,
    SEAL,
    is_sealed,
    read_seal,
)
from geoembz.store.grids import grid_names
from geoembz.store.guard import check_together
from geoembz.store.open import array_of, open_array

_WORKERS = 8
MOST_DIGEST_BYTES = 2**30
"""Digests of 67 million shards: what claims more is refused unread."""

_SHOWN = 12
"""Digits of a digest that are shown."""


def check_small_objects(tree: ObjectTree, present: frozenset[str] | None) -> set[Problem]:
    """Compare a root document, and all objects that it has digests of, with those.

    Parameters
    ----------
    tree
        A store, or a root of several.
    present
        Every key of it; None where the server cannot list.
    """
    try:
        content = tree.read(ROOT)
        document = {} if content is None else json.loads(content)
        attributes = document.get("attributes", {})
        has_digests = SEAL in attributes
        version = attributes.get("geoembz:version")
    except (GeoembzError, ValueError, AttributeError, TypeError, RecursionError):
        return set()  # opening says what is wrong
    if not has_digests:
        if content is None or not isinstance(version, str) or not records_digests(version):
            return set()
        return {Problem(ROOT, f"gives no digests ({SEAL}), which format {version} has")}
    objects = read_seal(document)
    if content is None or objects is None:
        return {Problem(ROOT, f"{SEAL} is malformed")}
    found = for_each(sorted(objects), lambda key: _check_object(tree, key, objects[key]), _WORKERS)
    problems = {problem for problem in found if problem is not None}
    if not is_sealed(content):
        what = "is not the document that was written: it was edited, or parts of it are another's"
        problems.add(Problem(ROOT, what))
    if present is not None:
        problems |= set(_unknown(present, objects, grid_names(tree.url, attributes)))
    return problems


class ShardDigests:
    """The digests of a store's shards.

    Parameters
    ----------
    tree
        The store.
    arrays
        Digests by array, uint8, shape (stored objects along each axis, 16); of arrays that have
        none, none.
    """

    def __init__(self, tree: ObjectTree, arrays: Mapping[str, NDArray[np.uint8]]) -> None:
        self._tree, self._arrays = tree, arrays

    @classmethod
    def of(
        cls, url: str, group: zarr.Group, version: str, arrays: Iterable[str]
    ) -> "tuple[ShardDigests, set[Problem]]":
        """Read the digests of a store's arrays; return with them what cannot be read."""
        found, problems = {}, set()
        for name in arrays if records_digests(version) else ():
            path = f"{DIGESTS}/{name}"
            try:
                digests = open_array(url, group, path)
                check_together(url, array_of(url, group, name), digests)
                if digests.nbytes > MOST_DIGEST_BYTES:
                    problems.add(Problem(path, f"{digests.nbytes:,} bytes; none was read"))
                    continue
                found[name] = np.asarray(digests[...])
            except (GeoembzError, OSError, ValueError, RuntimeError) as error:
                problems.add(Problem(path, f"cannot be read ({error})"))
        return cls(ObjectTree(url), found), problems

    def places(self, name: str) -> Iterator[tuple[int, ...]]:
        """Yield the position of every object that an array should have."""
        if name in self._arrays:
            for place in np.argwhere(self._arrays[name].any(axis=-1)):
                yield tuple(map(int, place))

    def covers(self, name: str, place: tuple[int, ...]) -> bool:
        """Whether an array can have an object at a position."""
        limits = self._arrays[name].shape[:-1] if name in self._arrays else ()
        return len(place) == len(limits) and all(map(lt, place, limits))

    def check(self, keys: Iterable[str]) -> tuple[list[Problem], dict[str, bytes]]:
        """Compare objects with their digests.

        Parameters
        ----------
        keys
            Of stored shards of the arrays.

        Returns
        -------
        problems
            What differs.
        contents
            The objects themselves, of a server; of this machine they are in the page cache.
        """
        problems: list[Problem] = []
        contents: dict[str, bytes] = {}
        for key in keys:
            array, _, place = key.rpartition("/c/")
            if array not in self._arrays:
                continue
            try:
                with stage("digests"):
                    digest, content = self._read(key)
            except (GeoembzError, OSError) as error:
                problems.append(Problem(key, f"cannot be read ({error})"))
                continue
            what = self._compare(digest, array, tuple(map(int, place.split("/"))))
            if what is not None:
                problems.append(Problem(key, what))
            elif content is not None:
                contents[key] = content
        return problems, contents

    def _read(self, key: str) -> tuple[bytes | None, bytes | None]:
        """Return an object's digest, and of a server its content; None where there is none."""
        if self._tree.is_local:
            found = _sha256(self._tree, key)
            return None if found is None else bytes.fromhex(found), None
        content = self._tree.read(key)
        return None if content is None else hashlib.sha256(content).digest(), content

    def _compare(self, digest: bytes | None, array: str, place: tuple[int, ...]) -> str | None:
        recorded = self._arrays[array][place].tobytes()
        is_recorded = any(recorded)
        if digest is None:
            return "missing: it was stored, and is lost" if is_recorded else None
        found = digest[:DIGEST_BYTES]
        if found == recorded:
            return None
        origin = self._origin(found) or "changed, cut, or of another store"
        if not is_recorded:
            return f"unexpected: nothing was stored here: {origin}"
        return (
            f"is not what was written (sha256 {found.hex()[:_SHOWN]}…; expected "
            f"{recorded.hex()[:_SHOWN]}…): {origin}"
        )

    def _origin(self, found: bytes) -> str | None:
        """Return whose object it is, where the store has it elsewhere."""
        wanted = np.frombuffer(found, np.uint8)
        for name, digests in self._arrays.items():
            places = np.argwhere((digests == wanted).all(axis=-1))
            if len(places):
                return f"it is the object of {name}/c/{'/'.join(map(str, places[0]))}"
        return None


def _check_object(tree: ObjectTree, key: str, expected: str) -> Problem | None:
    try:
        with stage("digests"):
            found = _sha256(tree, check_key(key))
    except (GeoembzError, OSError) as error:
        return Problem(key, f"cannot be read ({error})")
    if found is None:
        return Problem(key, "missing")
    if found != expected:
        what = f"has sha256 {found[:_SHOWN]}…; expected {expected[:_SHOWN]}…: edited or another's"
        return Problem(key, what)
    return None


def _sha256(tree: ObjectTree, key: str) -> str | None:
    """Return the SHA-256 of an object, part by part: a table's file may be large."""
    if not tree.is_local and not key.endswith(".parquet"):
        content = tree.read(key)
        return None if content is None else hashlib.sha256(content).hexdigest()
    path = f"{tree.root}/{key}"
    try:
        with open(path, "rb") if tree.is_local else tree.filesystem.open(path, "rb") as file:  # noqa: PTH123
            digest = hashlib.file_digest(file, ALGORITHM).hexdigest()
            count(file.tell() if tree.is_local else 0, requests=int(tree.is_local))
            return digest
    except (FileNotFoundError, NotADirectoryError):
        return None


def _unknown(
    present: frozenset[str], objects: Mapping[str, str], grids: Sequence[str]
) -> Iterator[Problem]:
    """Yield the objects that have no digest and are no shards, which are looked at elsewhere."""
    start, end = f"{DIGESTS}/", f"/{ROOT}"
    arrays = [k.removeprefix(start).removesuffix(end) for k in objects if k.startswith(start)]
    below = (*(f"{name}/c/" for name in arrays), *(f"{name}/" for name in grids))
    for key in sorted(present - objects.keys() - {ROOT}):
        if not key.startswith(below):
            yield Problem(key, "unexpected: the store has no digest of it")
