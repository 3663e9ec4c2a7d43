"""Put shards that an update made in the places of those that readers know, one by one.

Codes and layers come first, then the masks that make pixels valid, then the digests and the other
documents, the root's last: in this order a reader that looks at masks before codes sees each pixel
as it was or as it is now (spec/format.md, "Updates"). Kept pixels have the same codes in both.

Killed on the way, what is left is put in its place by the next command that takes the store, in the
same order; nothing of it needs the source.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from geoembz._objects.tree import ObjectTree
from geoembz._work.executors import run_tasks
from geoembz.store.digests import DIGESTS, ROOT
from geoembz.store.documents import VALID
from geoembz.store.journal import FOLDER
from geoembz.store.lock import Fence

COPIES = 8
"""Objects that the server is asked to copy at once: each request waits, and moves no byte here."""

_CODES, _MASKS, _DIGESTS, _DOCUMENTS, _LAST = range(5)


def place_shards(build: Path, destination: Path) -> None:
    """Rename what was built to where it belongs, on this machine; may be repeated."""
    for _, keys in _stages(built_keys(build)):
        for key in keys:
            target = destination / key
            target.parent.mkdir(parents=True, exist_ok=True)
            (build / key).replace(target)


def copy_shards(build: ObjectTree, tree: ObjectTree, fence: Fence, keys: Sequence[str]) -> None:
    """Copy what was built to where it belongs, on an object store; may be repeated.

    Its last act removes the copy's root, without which there is nothing to do.

    Parameters
    ----------
    build, tree
        From where to where.
    fence
        Asked before each object.
    keys
        All that was built.

    Raises
    ------
    StoreError
        If the store is another command's by now, or the server refuses.
    """
    for stage, members in _stages(keys):
        places = [list(group) for _, group in groupby(members, partial(_place, stage))]
        run_tasks(partial(copy_keys, build, tree, fence), places, workers=COPIES)
    build.remove_keys([ROOT])


def copy_keys(build: ObjectTree, tree: ObjectTree, fence: Fence, keys: Sequence[str]) -> None:
    """Copy objects one after the other, each if the store is still this command's."""
    for key in keys:
        fence.check()
        build.copy(key, tree)


def built_keys(build: Path) -> Iterator[str]:
    """Yield the keys of all that was built on this machine, the journal left out."""
    for folder, folders, names in os.walk(build):
        if folder == str(build) and FOLDER in folders:
            folders.remove(FOLDER)
        yield from (Path(folder, name).relative_to(build).as_posix() for name in names)


def _stages(keys: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield what may be put in its place together, in order."""
    known = list(keys)
    start, end = f"{DIGESTS}/", f"/{ROOT}"
    described = {key.removesuffix(end) for key in known if key.endswith(end)}
    arrays = {path for path in described if f"{start}{path}" in described}  # those of shards
    ordered = sorted(
        (stage, _place(stage, key), _part(key), key)
        for stage, key in ((_stage(key, arrays), key) for key in known)
    )
    for stage, members in groupby(ordered, itemgetter(0)):
        yield stage, [key for *_, key in members]


def _stage(key: str, arrays: AbstractSet[str]) -> int:
    array = key.rpartition("/c/")[0]
    if key == ROOT:
        return _LAST
    if key.endswith(f"/{ROOT}"):
        return _DOCUMENTS
    if key.startswith(f"{DIGESTS}/"):
        return _DIGESTS
    if array not in arrays:
        return _DOCUMENTS
    return _MASKS if array.rpartition("/")[2] == VALID else _CODES


def _place(stage: int, key: str) -> tuple[str, ...]:
    """Return what objects of codes have in common that lie in one place: all but the part."""
    array, _, place = key.rpartition("/c/")
    return (array, *place.split("/")[-2:]) if stage == _CODES else (key,)


def _part(key: str) -> int:
    """Return the order of the parts of a place: the first components, which tell validity, last."""
    place = key.rpartition("/c/")[2].split("/")
    return -int(place[-3]) if len(place) > 2 and place[-3].isdecimal() else 0
