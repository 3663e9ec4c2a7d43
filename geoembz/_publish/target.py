"""Where a store is published to, while nobody else writes there.

The lock is that of all writers (`DestinationLock`), kept by the means of the object tree.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from geoembz._objects.names import StoreUrl
from geoembz._objects.tree import ObjectTree as StoreTree
from geoembz._publish.manifest import Digest, digest
from geoembz._publish.plan import ROOT
from geoembz._publish.tree import Listed, ObjectTree, find
from geoembz.errors import StoreError
from geoembz.store.lock import DestinationLock, LockPlace, is_lock


@dataclass(frozen=True)
class FencedTree:
    """Objects of a destination that is held: each is written or deleted only while it is.

    Parameters
    ----------
    tree
        What is written to.
    lock
        Held as long as nobody takes it over.
    """

    tree: ObjectTree
    lock: DestinationLock

    @property
    def url(self) -> StoreUrl:
        """Where the tree is."""
        return self.tree.url

    def list(self) -> Mapping[str, Listed]:
        """Return every object by relative key."""
        return self.tree.list()

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        return self.tree.read(key)

    def write(self, key: str, data: bytes, expected: Digest) -> None:
        """Store an object, while the destination is held."""
        self._check_held()
        self.tree.write(key, data, expected)

    def create(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one, while the destination is held."""
        self._check_held()
        return self.tree.create(key, data)

    def delete(self, key: str) -> None:
        """Delete an object, while the destination is held."""
        self._check_held()
        self.tree.delete(key)

    def beside(self) -> "FencedTree":
        """Return the tree that holds this one's siblings: the same lock holds them."""
        return FencedTree(self.tree.beside(), self.lock)

    def _check_held(self) -> None:
        """Refuse to go on where another command has taken the destination over."""
        if not self.lock.is_ours():
            raise StoreError(
                f"publish: {self.lock.url}: another command has taken the destination over; this "
                "one ends here; run it again once the other has ended"
            )


@dataclass(frozen=True)
class Target:
    """A destination that is held.

    Parameters
    ----------
    tree
        Its objects.
    """

    tree: FencedTree

    def listed(self) -> dict[str, Listed]:
        """Return what is there but the lock; of a root, the MD5 is known on every file system."""
        there = {key: value for key, value in self.tree.list().items() if not is_lock(key)}
        root = there.get(ROOT)
        if root is not None and root.md5 is None:
            there[ROOT] = replace(root, md5=digest(self.tree.read(ROOT)).md5)
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
                f"publish: {self.tree.url}/{key} {what}; something else writes there; stop it and "
                "run the same command again"
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
                bare = self.tree.tree  # our root must go, whoever holds the destination now
                root = find(bare, ROOT)
                if root is not None and digest(root) == digests[ROOT]:
                    bare.delete(ROOT)
            raise


@contextmanager
def held(tree: ObjectTree, *, breaks: bool) -> Iterator[Target]:
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
    """
    with DestinationLock(_place(tree), breaks=breaks) as lock:
        yield Target(FencedTree(tree, lock))


def _place(tree: ObjectTree) -> LockPlace:
    return StoreTree(tree.url.root) if tree.url.protocol == "file" else _RemotePlace(tree)


class _RemotePlace:
    """A lock's place on a server, reached with the publisher's patience and endpoint."""

    def __init__(self, tree: ObjectTree) -> None:
        self._tree, self.url = tree, str(tree.url)

    def read(self, key: str, most: int | None = None) -> bytes | None:
        content = find(self._tree, key)
        return None if content is None else content[:most]

    def create(self, key: str, content: bytes) -> bool:
        return self._tree.create(key, content)

    def write(self, key: str, content: bytes) -> None:
        self._tree.write(key, content, digest(content))

    def remove(self, prefix: str = "") -> None:
        if find(self._tree, prefix) is not None:
            self._tree.delete(prefix)

    def remove_empty(self, prefix: str = "") -> None:
        """Do nothing: servers have no folders."""
