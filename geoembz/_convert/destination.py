"""Where a conversion's store is to be: what may be there already, and what must not."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from geoembz._convert.placing import builds, end_interrupted_swap
from geoembz._objects.files import refuse_inside_store
from geoembz._objects.names import refuse_snapshot
from geoembz._objects.tree import ObjectTree
from geoembz._util.dry_run import is_dry
from geoembz.errors import DestinationExistsError, InvalidConfigError
from geoembz.store.journal import FOLDER, Journal

_ROOTS = ("zarr.json", ".zgroup", ".zarray")


@dataclass(frozen=True)
class Destination:
    """A checked destination.

    Parameters
    ----------
    url
        Where the store will be.
    replaces
        Whether a store is there that the new one replaces, once it is complete.
    gives_up
        Whether an unfinished conversion there, if it is another one, is given up.
    breaks_lock
        Whether to take the destination from another conversion that seems to hold it.
    """

    url: str
    replaces: bool = False
    gives_up: bool = False
    breaks_lock: bool = False

    @cached_property
    def tree(self) -> ObjectTree:
        """The objects at the destination."""
        return ObjectTree(self.url)

    @property
    def holds_store(self) -> bool:
        """Whether a Zarr store is there now."""
        tree = self.tree
        return any(tree.read(name) is not None for name in _ROOTS)

    @classmethod
    def check(cls, url: str | Path, *, overwrite: bool, breaks_lock: bool = False) -> Self:
        """Check a destination before anything is read or written.

        Raises
        ------
        InvalidConfigError
            If it lies inside a file or another store, or cannot be replaced as asked.
        DestinationExistsError
            If it holds a complete store and `overwrite` is not given, or other things.
        """
        refuse_snapshot(str(url))
        self = cls(str(url), breaks_lock=breaks_lock)
        tree = self.tree
        if tree.is_local:
            _refuse_files(tree.local_path)
            refuse_inside_store(tree.local_path)
            if not is_dry():
                end_interrupted_swap(tree.local_path)
        if not tree.exists():
            return self
        journal = Journal(tree)
        is_store = self.holds_store
        if not is_store and not journal.has_traces() and not _is_empty(tree):
            raise DestinationExistsError(
                f"{url}: exists and is no Zarr store; expected an empty place; choose another "
                "destination (--overwrite replaces Zarr stores only)"
            )
        if overwrite:
            return self._overwriting(journal, is_store=is_store)
        if is_store and not journal.has_traces():  # else there is something to end, or to sweep up
            raise DestinationExistsError(holds_already(self.url))
        if tree.is_local and not is_store and journal.exists():
            raise InvalidConfigError(
                f"{url}: holds an unfinished conversion of an earlier geoembz, which cannot be "
                "finished by this one; pass --overwrite to start anew"
            )
        return self

    def _overwriting(self, journal: Journal, *, is_store: bool) -> Self:
        tree = self.tree
        if not tree.is_local:
            if is_store or journal.plan() is not None:
                raise InvalidConfigError(
                    f"{self.url}: --overwrite needs a local destination; object stores cannot "
                    "rename; delete it first or choose another one"
                )
            return self
        path = tree.local_path.resolve()
        can_swap = os.access(path.parent, os.W_OK) and not os.path.ismount(path)
        if not is_store and not journal.has_traces():
            return self
        if can_swap:
            return type(self)(self.url, replaces=True, breaks_lock=self.breaks_lock)
        placed = any(Journal(ObjectTree(build)).is_complete() for build in builds(path))
        if not is_store and not placed and not journal.exists():
            return type(self)(self.url, gives_up=True, breaks_lock=self.breaks_lock)
        raise InvalidConfigError(
            f"{self.url}: --overwrite builds in {path.parent} and renames, which is "
            f"{'another disk' if os.path.ismount(path) else 'write-protected'}; expected a folder "
            "of its own there; delete what it holds, or choose another destination"
        )


def holds_already(url: str) -> str:
    """Return what to say of a destination that holds a complete store."""
    return f"{url}: holds a store already; choose another destination or pass --overwrite"


def _refuse_files(path: Path) -> None:
    for parent in (path, *path.parents):
        if parent.is_symlink() and not parent.exists():
            raise InvalidConfigError(
                f"{path}: {parent} is a symbolic link to nothing; expected the path of a new "
                "directory; remove the link, or make the directory it points to"
            )
        if parent.exists() and not parent.is_dir():
            what = "is a file" if parent == path else f"lies inside {parent}, which is a file"
            raise InvalidConfigError(f"{path}: {what}; expected the path of a new directory")


def _is_empty(tree: ObjectTree) -> bool:
    """Whether nothing is there, but perhaps the folder of a lock that has gone."""
    if tree.is_local:
        return all(entry.name == FOLDER for entry in tree.local_path.iterdir())
    return not tree.sizes()
