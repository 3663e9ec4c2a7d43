"""What of a store is sent, in which order and where to, and what to do with what is there already.

Another command may change the store meanwhile: what is sent is one state of it, or nothing is seen.
Nobody else writes to the destination: the lock is that of all writers (`DestinationLock`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Self

from geoembz._objects.names import check_key
from geoembz._objects.tree import Listed
from geoembz._publish.manifest import Digest, digest, is_metadata
from geoembz._publish.store_metadata import check_root
from geoembz._publish.tree import PublishedTree
from geoembz.errors import DestinationExistsError, StoreError
from geoembz.store.contents import Trace, find_traces, is_trace, recorded_digests
from geoembz.store.lock import DestinationLock, is_lock


@dataclass(frozen=True)
class Original:
    """A complete store.

    Parameters
    ----------
    tree
        Its objects.
    keys
        Their keys.
    root
        The root's ``zarr.json``, read once.
    recorded
        The digests that the store gives for all others; none in format 0.1.
    """

    tree: PublishedTree
    keys: tuple[str, ...]
    root: bytes
    recorded: Mapping[str, str]

    @classmethod
    def of(cls, tree: PublishedTree) -> Self:
        """Look at a store.

        Raises
        ------
        StoreError
            If it is not complete, or has lost an object.
        """
        keys = check_source(tree.list(), str(tree.place), tree.read)
        root = tree.get(ROOT)
        check_root(root, f"publish: {tree.place}")
        recorded = recorded_digests(root, tree.get) or {}
        lost = sorted(recorded.keys() - set(keys))
        if lost:
            raise StoreError(
                f"publish: {tree.place}/{lost[0]} is missing (of {len(lost):,} objects): it was "
                "stored, and is lost; convert again, or fetch the store again"
            )
        return cls(tree, keys, root, recorded)

    def read(self, key: str) -> tuple[bytes, Digest]:
        """Return an object and its digest, which is the one that the store gives for it.

        Raises
        ------
        StoreError
            If it is another: damaged, or of a later state of the store.
        """
        data = self.root if key == ROOT else self.tree.get(key)
        found = digest(data)
        if not found.sha256.startswith(self.recorded.get(key, "")):
            raise StoreError(
                f"publish: {self.tree.place}/{key} is not what the store says of it (sha256 "
                f"{found.sha256[:12]}…; expected {self.recorded[key][:12]}…): another command "
                "changes the store, or it is damaged; run geoembz verify, then the same command "
                "again"
            )
        return data, found

    def check_unchanged(self) -> None:
        """Refuse a store that another command has changed, or is about to.

        Raises
        ------
        StoreError
            If it has a journal, a lock, another root or other objects now.
        """
        keys = check_source(self.tree.list(), str(self.tree.place), self.tree.read)
        if set(keys) != set(self.keys) or self.tree.get(ROOT) != self.root:
            raise StoreError(
                f"publish: {self.tree.place} was changed while it was published; expected one that "
                "stays as it is; run the same command again once the other command has ended"
            )


ROOT = "zarr.json"


def phases(keys: Iterable[str]) -> list[list[str]]:
    """Return keys in groups, each to be complete before the next is begun.

    Data first, then metadata from the deepest node up, the root's last: a node becomes visible
    only when all that it refers to is there.

    Examples
    --------
    >>> phases(["zarr.json", "a/zarr.json", "a/c/0", "zarr.json"])
    [['a/c/0'], ['a/zarr.json'], ['zarr.json']]
    """
    by_phase: dict[int, list[str]] = {}
    for key in sorted(set(keys)):
        order = -key.count("/") if is_metadata(key) else -(10**6)
        by_phase.setdefault(order, []).append(key)
    return [by_phase[order] for order in sorted(by_phase)]


def check_source(
    keys: Iterable[str], url: str, read: Callable[[str], bytes | None]
) -> tuple[str, ...]:
    """Return the keys of a complete store; refuse any other, and names that could leave a prefix.

    What a command left below ``.geoembz/`` that was killed when all was done is no part of it.

    Raises
    ------
    StoreError
        If there is no root metadata, or a command writes there, or was killed before its end.
    """
    found = [check_key(key) for key in keys]
    for folder, trace in find_traces(found, read).items():  # of the root, or of a store below it
        if trace is not Trace.DEBRIS:
            key = next(key for key in found if key.startswith(f"{folder}/"))
            raise StoreError(
                f"publish: {url} is not complete, or being written to (it has {key}); run the "
                "command that wrote it again, to its end"
            )
    if ROOT not in found:
        raise StoreError(f"publish: {url} has no {ROOT}; expected a Zarr v3 store; check the path")
    return tuple(key for key in found if not is_trace(key))


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What must go before the new root is written.

    Parameters
    ----------
    extra
        Keys at the destination that the source does not have.
    hidden
        Documents that must go first, in this order, so that nobody reads a mixture: the root's, and
        those just below it, which may be roots of grids.
    """

    extra: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def leftovers(
    source: Iterable[str], root: Digest, there: Mapping[str, Listed], url: str, *, overwrite: bool
) -> Leftovers:
    """Return what must be deleted at a destination, or refuse to delete it.

    Raises
    ------
    DestinationExistsError
        If another store is there, or parts of one, and nothing says that it may go.
    """
    extra = tuple(sorted(set(there) - set(source)))
    old = there.get(ROOT)
    differs = old is not None and (old.size != root.size or old.md5 not in (None, root.md5))
    if (extra or differs) and not overwrite:
        what = "another store" if differs else f"objects that are not of this store ({extra[0]} …)"
        raise DestinationExistsError(
            f"publish: {url} holds {what}; choose another prefix, or say --overwrite to replace it"
        )
    if old is None or not (differs or extra):
        return Leftovers(extra)
    below = (key for key in sorted(there) if key.count("/") == 1 and key.endswith(f"/{ROOT}"))
    return Leftovers(extra, (ROOT, *below))


@dataclass(frozen=True)
class Target:
    """A destination that is held.

    Parameters
    ----------
    tree
        Its objects, which are written and deleted only while it is held.
    """

    tree: PublishedTree

    def listed(self) -> dict[str, Listed]:
        """Return what is there but the lock; of a root, the MD5 is known on every file system."""
        there = {key: value for key, value in self.tree.list().items() if not is_lock(key)}
        root = there.get(ROOT)
        if root is not None and root.md5 is None:
            there[ROOT] = replace(root, md5=digest(self.tree.get(ROOT)).md5)
        return there

    def check(self, digests: Mapping[str, Digest]) -> None:
        """Refuse a destination that holds anything but what was sent.

        Raises
        ------
        StoreError
            If an object is gone, another one, or not of this store.
        """
        there = self.listed()
        for key in sorted(digests.keys() | there.keys()):
            expected, listed = digests.get(key), there.get(key)
            if expected is None:
                what = "was not sent, and is there"
            elif listed is None:
                what = "was stored, and now it is gone"
            elif listed.size != expected.size or listed.md5 not in (None, expected.md5):
                what = "was stored, and now it is another"
            else:
                continue
            raise StoreError(
                f"publish: {self.tree.place}/{key} {what}; something else writes there; stop it "
                "and run the same command again"
            )

    def check_visible(self, digests: Mapping[str, Digest]) -> None:
        """Check as `check` does, after the root was written; hide it again if it must not be seen.

        Raises
        ------
        StoreError
            As `check`.
        """
        try:
            self.check(digests)
        except StoreError:
            with suppress(StoreError):  # the server does not answer; what is wrong is said below
                root = self.tree.read(ROOT)
                if root is not None and digest(root) == digests[ROOT]:
                    self.tree.delete(ROOT, is_held=False)  # whoever holds the destination now
            raise


@contextmanager
def hold(tree: PublishedTree, *, breaks: bool) -> Iterator[Target]:
    """Hold a destination for the length of a block.

    Parameters
    ----------
    tree
        The destination.
    breaks
        Take it from whoever holds it.

    Raises
    ------
    DestinationExistsError
        If another command writes there.
    StoreError
        If a web server has it.
    """
    if tree.is_web:
        raise StoreError(
            f"publish: {tree.place} is the address of a web server, which only reads; expected a "
            "place to write to: s3://bucket/name.zarr, another fsspec URL or a local path"
        )
    with DestinationLock(tree, breaks=breaks) as lock:
        tree.remove_partials()
        yield Target(tree.fenced_by(lock))
