"""A date that replaces another one on an object store: built beside it, then copied over it.

Object stores cannot rename. The date is built below ``.geoembz/``, under a name that its plan
gives it, with all the metadata that the store will have. Once all of it is there, the journal says
so, and the server copies object by object to the keys that readers know, the root's metadata last.
Killed on the way, the next command that takes the store copies again: nothing of it needs the
source.

Meanwhile readers see vectors of the old date or of the new one. Where a place holds something at
one of the two dates only, or lies in several objects (codes and mask, chunks without a shard), what
was there goes first and the digests say what will be: a reader is told that an object is missing,
and decodes no codes of one date by the mask of the other.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import groupby
from typing import Any

from geoembz._convert.runner import run_tasks
from geoembz.store import EMBEDDING, VALID, Fence, Journal, ObjectTree
from geoembz.store.digests import DIGESTS, ROOT
from geoembz.store.journal import FOLDER

REPLACES = "replaces"
"""Member of a plan: whether its date is in the store already."""

_ARRAYS = (EMBEDDING, VALID)
_COPIES = 8


def is_staged(plan: Mapping[str, Any]) -> bool:
    """Whether an object store builds a plan beside what is there."""
    return REPLACES in plan


def staging_place(tree: ObjectTree, plan: Mapping[str, Any]) -> ObjectTree:
    """Return where a plan's date is built: nobody else's, so late writers harm no other."""
    digest = Journal.of(tree, plan).digest or ""
    return tree.child(f"{FOLDER}/{digest[:32]}")


def copy_over(tree: ObjectTree, plan: Mapping[str, Any], fence: Fence) -> None:
    """Copy a complete date over the one that it replaces, the root's metadata last.

    May be repeated: its last act removes the copy's root, without which there is nothing to do.

    Parameters
    ----------
    tree
        The store.
    plan
        Of the date.
    fence
        Asked before each object.

    Raises
    ------
    StoreError
        If the store is another command's by now, or the server refuses.
    """
    build = staging_place(tree, plan)
    keys = build.keys()
    if ROOT not in keys:
        return
    shards = {key for key in keys if key.startswith((f"{EMBEDDING}/c/", f"{VALID}/c/"))}
    digests = {key for key in keys if key.startswith(f"{DIGESTS}/")}
    former = {key for array in _ARRAYS for key in tree.keys(f"{array}/c/{plan['position']}")}
    fence.check()
    tree.remove_keys(sorted(former - shards))
    _copy(build, tree, fence, sorted(digests))
    places = [list(group) for _, group in groupby(sorted(shards, key=_place), _place)]
    run_tasks(partial(_replace, build, tree, fence, former), places, workers=_COPIES)
    _copy(build, tree, fence, sorted(set(keys) - shards - digests - {ROOT}))
    _copy(build, tree, fence, [ROOT])
    build.remove_keys([ROOT])


def _place(key: str) -> tuple[str, ...]:
    """Return the row and the column of a shard."""
    return tuple(key.split("/")[-2:])


def _replace(
    build: ObjectTree, tree: ObjectTree, fence: Fence, former: AbstractSet[str], keys: list[str]
) -> None:
    """Copy the objects of one place: codes first, then the mask, unless it is the same."""
    masks = [key for key in keys if key.startswith(f"{VALID}/")]
    codes = [key for key in keys if key not in masks]
    changed = codes + [key for key in masks if tree.read(key) != build.read(key)]
    if len(changed) > 1:
        fence.check()
        tree.remove_keys([key for key in changed if key in former])
    _copy(build, tree, fence, changed)


def _copy(build: ObjectTree, tree: ObjectTree, fence: Fence, keys: Sequence[str]) -> None:
    for key in keys:
        fence.check()
        build.copy(key, tree)
