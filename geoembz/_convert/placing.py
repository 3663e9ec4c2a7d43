"""Where a store is built, and how what was built gets to its place.

On this machine a build lies inside its destination, as ``DST/.geoembz/TOKEN``, or beside it, as
``.DST.geoembz-TOKEN``, where a store at ``DST`` is to be replaced. The token is the lock's, so no
two conversions ever have the same path: whoever takes an abandoned build over renames it, and the
former owner, should it wake, finds nothing at the paths that it knows.

Object stores cannot rename. A date that replaces another one there is built below ``.geoembz/``,
under a name that its plan gives it, with all the metadata that the store will have. Once all of it
is there, the journal says so, and the server copies object by object to the keys that readers know,
the root's metadata last. Killed on the way, the next command that takes the store copies again:
nothing of it needs the source.

Meanwhile readers see vectors of the old date or of the new one. Where a place holds something at
one of the two dates only, or lies in several objects (codes and mask, chunks without a shard), what
was there goes first and the digests say what will be: a reader is told that an object is missing,
and decodes no codes of one date by the mask of the other.
"""

import errno
import re
import shutil
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from geoembz._convert.placing_shards import (
    COPIES,
    built_keys,
    copy_keys,
    copy_shards,
    place_shards,
)
from geoembz._objects.files import exchange
from geoembz._objects.tree import ObjectTree
from geoembz._work.executors import run_tasks
from geoembz.errors import StoreError
from geoembz.store.contents import GONE, TOKEN
from geoembz.store.digests import DIGESTS, ROOT
from geoembz.store.documents import EMBEDDING, VALID
from geoembz.store.journal import FOLDER, Journal
from geoembz.store.levels import OVERVIEWS
from geoembz.store.lock import Fence

_ROOT = "zarr.json"
_ARRAYS = (EMBEDDING, VALID)
_SHARD = re.compile(rf"({OVERVIEWS}/\d+/)?({EMBEDDING}|{VALID})/c/")
_OLD = ".old"
_ZARR = frozenset({_ROOT, ".zgroup", ".zarray", ".zattrs", ".zmetadata", "table.parquet", FOLDER})
_ZARR_FOLDER = (_ROOT, ".zgroup", ".zarray", "c", FOLDER)


def inside(destination: Path, token: str) -> Path:
    """Return where a conversion builds what will be new in its destination."""
    return destination / FOLDER / token


def beside(destination: Path, token: str) -> Path:
    """Return where a conversion builds what will replace its destination."""
    path = destination.resolve()
    return path.with_name(f".{path.name}.geoembz-{token}")


def builds(destination: Path) -> list[Path]:
    """Return the builds inside a destination."""
    folder = destination / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if TOKEN.fullmatch(path.name))


def builds_beside(destination: Path) -> list[Path]:
    """Return the builds beside a destination."""
    return [path for path in _siblings(destination) if TOKEN.fullmatch(path.name[-32:])]


def _siblings(destination: Path) -> list[Path]:
    path = destination.resolve()
    start = f".{path.name}.geoembz-"
    if not path.parent.is_dir():
        return []
    return sorted(entry for entry in path.parent.iterdir() if entry.name.startswith(start))


def discard(build: Path) -> None:
    """Delete a build; its name goes first, so that its writers cannot add to it."""
    doomed = build if build.suffix == GONE else build.with_name(build.name + GONE)
    if build != doomed:
        _delete(doomed)
        try:
            build.rename(doomed)
        except FileNotFoundError:
            return
    _delete(doomed)


def _delete(path: Path) -> None:
    def missing(_function: Any, _path: str, error: BaseException) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    shutil.rmtree(path, onexc=missing)


def sweep(destination: Path) -> None:
    """Delete what killed conversions left half deleted; the lock must be ours."""
    folder = destination / FOLDER
    doomed = list(folder.glob(f"*{GONE}")) if folder.is_dir() else []
    doomed += [path for path in _siblings(destination) if not TOKEN.fullmatch(path.name[-32:])]
    for path in doomed:
        discard(path)


def place_inside(build: Path, destination: Path, plan: Mapping[str, Any]) -> None:
    """Rename what was built to where it belongs, the root's metadata last; may be repeated.

    Parameters
    ----------
    build, destination
        From where to where.
    plan
        What was built: a date for a store (`append`), its levels (`overviews`), shards of it
        (`update`), or a store.

    Raises
    ------
    StoreError
        If something else is in the way.
    """
    if "append" in plan:
        _place_date(build, destination, plan["position"])
        return
    if "overviews" in plan:
        _place_levels(build, destination)
        return
    if "update" in plan:
        place_shards(build, destination)
        return
    names = sorted(path.name for path in build.iterdir() if path.name not in {FOLDER, _ROOT})
    for name in [*names, _ROOT]:
        if (build / name).exists():
            _move(build / name, destination / name)


def _move(source: Path, target: Path) -> None:
    if target.is_file():
        raise StoreError(_in_the_way(target))
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise StoreError(_in_the_way(target)) from error
        raise


def _in_the_way(target: Path) -> str:
    return (
        f"{target}: was put there while the conversion ran and is in its way; expected a place for "
        "the store; move it elsewhere and run the same command again"
    )


def grows(plan: Mapping[str, Any]) -> bool:
    """Whether a plan adds to a store that is there."""
    return not plan.keys().isdisjoint({"append", "overviews", "update"})


def prepare_date(build: Path, destination: Path, position: int) -> None:
    """Make the folders of a date that has no shard: what was there before must go all the same."""
    for array in _arrays(destination):
        (build / f"{array}/c/{position}").mkdir(parents=True, exist_ok=True)


def _arrays(place: Path) -> list[str]:
    """Return the paths of the arrays of shards in a store or a build, codes before masks.

    Layers are those that have digests besides.
    """
    groups = ["", *(f"{OVERVIEWS}/{path.name}/" for path in sorted(place.glob(f"{OVERVIEWS}/*")))]
    paths = [f"{group}{name}" for name in _ARRAYS for group in groups]
    recorded = {path.name for path in place.glob(f"{DIGESTS}/*/") if path.name != OVERVIEWS}
    paths += sorted(recorded.difference(_ARRAYS))
    return [path for path in paths if (place / path).is_dir()]


def _place_date(build: Path, destination: Path, position: int) -> None:
    """Put a date's shards in the place of all that was there, then the metadata.

    Meanwhile the mask is away: it must not speak of codes that are not its own.
    """
    arrays = _arrays(build)
    for array in reversed(arrays):
        new, target = (folder / f"{array}/c/{position}" for folder in (build, destination))
        if new.exists() and target.exists():
            former = build / FOLDER / "former" / array
            former.parent.mkdir(parents=True, exist_ok=True)
            target.rename(former)
    for array in arrays:
        new, target = (folder / f"{array}/c/{position}" for folder in (build, destination))
        if new.exists():  # else it is in its place already
            target.parent.mkdir(parents=True, exist_ok=True)
            new.rename(target)
    _place_files(build, destination)


def _place_levels(build: Path, destination: Path) -> None:
    """Put the levels in the place of what was left of others, then the metadata."""
    new, target = build / OVERVIEWS, destination / OVERVIEWS
    if new.exists():  # else they are in their place already
        if target.exists():
            former = build / FOLDER / "former"
            former.mkdir(exist_ok=True)
            target.rename(former / OVERVIEWS)
        new.rename(target)
    _place_files(build, destination)


def _place_files(build: Path, destination: Path) -> None:
    for key in sorted(built_keys(build), key=lambda key: key == _ROOT):
        target = destination / key
        target.parent.mkdir(parents=True, exist_ok=True)
        (build / key).replace(target)


def swap(build: Path, destination: Path) -> None:
    """Let a build and a store change places; what no Zarr store has goes with the place."""
    path = destination.resolve()
    if not exchange(build, path):
        old = build.with_name(build.name + _OLD)
        path.rename(old)
        build.rename(path)
        old.rename(build)
    for entry in list(build.iterdir()):
        if not _is_zarr(entry) and not (path / entry.name).exists():
            entry.rename(path / entry.name)


def _is_zarr(entry: Path) -> bool:
    return entry.name in _ZARR or any((entry / name).exists() for name in _ZARR_FOLDER)


def end_interrupted_swap(destination: Path) -> None:
    """Where a swap was killed between two renames, end it, or put the old store back."""
    path = destination.resolve()
    if path.exists():
        return
    for old in _siblings(destination):
        if old.name.endswith(_OLD):
            new = old.with_name(old.name.removesuffix(_OLD))
        elif old.name.endswith("-old"):  # as earlier versions called it
            new = old.with_name(f"{old.name.removesuffix('old')}new")
        else:
            continue
        (new if _is_whole(new) else old).rename(path)
        return


def _is_whole(build: Path) -> bool:
    journal = Journal(ObjectTree(build))
    return journal.is_complete() or ((build / _ROOT).exists() and not journal.exists())


REPLACES = "replaces"
"""Member of a plan: whether its date is in the store already."""


def is_staged(plan: Mapping[str, Any]) -> bool:
    """Whether an object store builds a plan beside what is there."""
    return REPLACES in plan or "update" in plan


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
    if "update" in plan:
        copy_shards(build, tree, fence, keys)
        return
    digests = {key for key in keys if key.startswith(f"{DIGESTS}/")}
    arrays = _arrays_among(keys)
    shards = {key for key in keys if key.rpartition("/c/")[0] in arrays}
    former = {key for array in arrays for key in tree.keys(f"{array}/c/{plan['position']}")}
    fence.check()
    tree.remove_keys(sorted(former - shards))
    copy_keys(build, tree, fence, sorted(digests))
    places = [list(group) for _, group in groupby(sorted(shards, key=_place), _place)]
    run_tasks(partial(_replace, build, tree, fence, former), places, workers=COPIES)
    copy_keys(build, tree, fence, sorted(set(keys) - shards - digests - {ROOT}))
    copy_keys(build, tree, fence, [ROOT])
    build.remove_keys([ROOT])


def _arrays_among(keys: Iterable[str]) -> set[str]:
    """Return the paths of the arrays of shards: codes, masks, and layers, which have digests."""
    nodes = {key.removesuffix(f"/{_ROOT}") for key in keys if key.endswith(f"/{_ROOT}")}
    return {path for path in nodes if _SHARD.match(f"{path}/c/") or f"{DIGESTS}/{path}" in nodes}


def _place(key: str) -> tuple[str, ...]:
    """Return the level, the row and the column of a shard."""
    level, place = key.split("/c/")
    return level.rpartition("/")[0], *place.split("/")[-2:]


def _replace(
    build: ObjectTree, tree: ObjectTree, fence: Fence, former: AbstractSet[str], keys: list[str]
) -> None:
    """Copy the objects of one place: codes and layers, then the mask, unless it is the same."""
    masks = [key for key in keys if f"{VALID}/c/" in key]
    codes = [key for key in keys if key not in masks]
    changed = codes + [key for key in masks if tree.read(key) != build.read(key)]
    if len(changed) > 1:
        fence.check()
        tree.remove_keys([key for key in changed if key in former])
    copy_keys(build, tree, fence, changed)
