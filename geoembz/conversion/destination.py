"""Where a conversion writes, and how it replaces what is there: never half of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from geoembz.errors import DestinationExistsError, InvalidConfigError
from geoembz.store import DestinationLock, Journal, ObjectTree


@dataclass(frozen=True)
class Destination:
    """A checked destination.

    Parameters
    ----------
    url
        Where the store will be.
    building
        Where it is built: `url` itself, or a sibling when something at `url` is to be replaced.
    was_empty
        Whether an empty directory was there.
    breaks_lock
        Whether to take the destination from another conversion that seems to hold it.
    """

    url: str
    building: str
    was_empty: bool = False
    breaks_lock: bool = False

    def lock(self) -> DestinationLock:
        """Return the lock to hold while writing."""
        return DestinationLock(self.tree, breaks=self.breaks_lock)

    @classmethod
    def check(cls, url: str | Path, *, overwrite: bool) -> Self:
        """Check a destination before anything is read or written.

        Raises
        ------
        InvalidConfigError
            If it lies inside a file, or holds something that is no Zarr store.
        DestinationExistsError
            If it holds a complete store and `overwrite` is not given.
        """
        tree = ObjectTree(url)
        if tree.is_local:
            _refuse_files(tree.local_path)
        if not tree.exists() or _is_empty(tree):
            return cls(tree.url, tree.url, was_empty=tree.exists())
        is_store = any(tree.read(name) is not None for name in ("zarr.json", ".zgroup", ".zarray"))
        journal = Journal(tree)
        # Without a plan nothing was written yet, unless a store stands there already.
        unfinished = journal.exists() or (journal.has_traces() and not is_store)
        if not is_store and not unfinished:
            raise DestinationExistsError(
                f"{url}: exists and is no Zarr store; expected an empty place; choose another "
                "destination (--overwrite replaces Zarr stores only)"
            )
        if not overwrite and unfinished:
            return cls(tree.url, tree.url)
        if not overwrite:
            raise DestinationExistsError(
                f"{url}: holds a store already; choose another destination or pass --overwrite"
            )
        if not tree.is_local:
            raise InvalidConfigError(
                f"{url}: --overwrite needs a local destination; object stores cannot rename; "
                "delete it first or choose another one"
            )
        path = tree.local_path.resolve()
        return cls(tree.url, str(path.with_name(f".{path.name}.geoembz-new")))

    @property
    def replaces(self) -> bool:
        """Whether something at `url` is to be replaced."""
        return self.building != self.url

    @property
    def tree(self) -> ObjectTree:
        """The objects of the store being built."""
        return ObjectTree(self.building)

    def discard(self) -> None:
        """Delete what was built, but not a directory that was there before."""
        if self.was_empty and self.tree.is_local:
            for entry in self.tree.local_path.iterdir():
                self.tree.remove(entry.name)
        else:
            self.tree.remove()

    def swap(self) -> None:
        """Put the finished store in the place of what was there, then delete that."""
        if not self.replaces:
            return
        path, new = ObjectTree(self.url).local_path.resolve(), Path(self.building)
        old = path.with_name(f".{path.name}.geoembz-old")
        ObjectTree(old).remove()
        path.rename(old)
        new.rename(path)
        ObjectTree(old).remove()


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
    if tree.is_local:
        return not any(tree.local_path.iterdir())
    return not tree.sizes()
