"""The store that is published, as it was when that began.

Another command may change it meanwhile. What is sent is one state of it, or nothing is seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from geoembz._publish.digest import Digest, digest
from geoembz._publish.plan import ROOT, check_source
from geoembz._publish.store_metadata import check_root
from geoembz._publish.tree import ObjectTree, find
from geoembz.errors import StoreError
from geoembz.store.recorded import recorded_digests


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

    tree: ObjectTree
    keys: tuple[str, ...]
    root: bytes
    recorded: Mapping[str, str]

    @classmethod
    def of(cls, tree: ObjectTree) -> Self:
        """Look at a store.

        Raises
        ------
        StoreError
            If it is not complete, or has lost an object.
        """
        keys = check_source(tree.list(), str(tree.url), partial(find, tree))
        root = tree.read(ROOT)
        check_root(root, f"publish: {tree.url}")
        recorded = recorded_digests(root, tree.read) or {}
        lost = sorted(recorded.keys() - set(keys))
        if lost:
            raise StoreError(
                f"publish: {tree.url}/{lost[0]} is missing (of {len(lost):,} objects): it was "
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
        data = self.root if key == ROOT else self.tree.read(key)
        found = digest(data)
        if not found.sha256.startswith(self.recorded.get(key, "")):
            raise StoreError(
                f"publish: {self.tree.url}/{key} is not what the store says of it (sha256 "
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
        keys = check_source(self.tree.list(), str(self.tree.url), partial(find, self.tree))
        if set(keys) != set(self.keys) or self.tree.read(ROOT) != self.root:
            raise StoreError(
                f"publish: {self.tree.url} was changed while it was published; expected one that "
                "stays as it is; run the same command again once the other command has ended"
            )
