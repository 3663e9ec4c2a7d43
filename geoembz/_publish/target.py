"""Where a store is published to, while nobody else writes there.

The lock is that of all writers (`DestinationLock`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from geoembz._objects.tree import Listed
from geoembz._publish.manifest import Digest, digest
from geoembz._publish.plan import ROOT
from geoembz._publish.tree import PublishedTree
from geoembz.errors import StoreError
from geoembz.store.lock import DestinationLock, is_lock


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
