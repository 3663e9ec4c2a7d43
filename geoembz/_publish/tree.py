"""Object trees: what lies under a prefix, read, written and deleted by relative key.

Says what a tree can do; `s3_tree` and `fsspec_tree` do it, `open_tree` chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from geoembz._objects.names import StoreUrl
from geoembz._publish.digest import Digest
from geoembz.errors import StoreError


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it; `md5` only where the server computed one, `size` too."""

    size: int | None
    md5: str | None = None


class ObjectTree(Protocol):
    """Objects under a prefix."""

    @property
    def url(self) -> StoreUrl:
        """Where the tree is."""
        ...

    def list(self) -> Mapping[str, Listed]:
        """Return every object by relative key."""
        ...

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        ...

    def write(self, key: str, data: bytes, expected: Digest) -> None:
        """Store an object whole and make sure that it is what the server stored."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one; return whether it was stored.

        Some servers know no conditional requests and store in any case: read back what matters.
        """
        ...

    def delete(self, key: str) -> None:
        """Delete an object."""
        ...

    def beside(self) -> "ObjectTree":
        """Return the tree that holds this one's siblings: manifest, STAC."""
        ...


def find(tree: ObjectTree, key: str) -> bytes | None:
    """Return an object's content; None where there is no such object."""
    try:
        return tree.read(key)
    except StoreError as error:
        if isinstance(error.__context__, FileNotFoundError):
            return None
        raise
