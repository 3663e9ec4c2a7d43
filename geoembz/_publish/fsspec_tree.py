"""Objects on any fsspec file system: a local disk, memory, another cloud.

Writes are checked by reading back.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoembz._objects.names import StoreUrl, check_key
from geoembz._publish.digest import Digest, digest
from geoembz._publish.retry import RetryPolicy, with_retries
from geoembz._publish.tree import Listed
from geoembz.errors import StoreError

_DRAFT = ".draft"


@dataclass(frozen=True)
class FsspecTree:
    """A directory or prefix of any fsspec file system; writes are checked by reading back."""

    url: StoreUrl
    fs: Any
    policy: RetryPolicy

    def beside(self) -> "FsspecTree":
        """Return the tree that holds this one's siblings: manifest, STAC."""
        return FsspecTree(self.url.parent, self.fs, self.policy)

    def list(self) -> dict[str, Listed]:
        """Return every object under the prefix by relative key; links are refused."""
        root = self._root()
        if self.url.protocol == "file":
            return _list_files(Path(root))
        self.fs.invalidate_cache()
        found = self.fs.find(root, detail=True, withdirs=False)
        return {
            path[len(root) :].lstrip("/"): Listed(int(info["size"])) for path, info in found.items()
        }

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        path = f"{self._root()}/{check_key(key)}"
        return bytes(with_retries(lambda: self.fs.cat_file(path), f"GET {path}", self.policy))

    def write(self, key: str, data: bytes, expected: Digest) -> None:
        """Store an object and read it back."""
        path = f"{self._root()}/{check_key(key)}"

        def action() -> None:
            self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self.url.protocol == "file":
                _write_whole(Path(path), data)
            else:
                self.fs.pipe_file(path, data)

        with_retries(action, f"PUT {path}", self.policy)
        if digest(self.read(key)) != expected:
            raise StoreError(f"publish: {self.url}/{key} is not what was sent; check the disk")

    def create(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one; return whether it was stored."""
        path = f"{self._root()}/{check_key(key)}"

        def action() -> bool:
            try:
                self.fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            return True

        return with_retries(action, f"PUT {path}", self.policy)

    def delete(self, key: str) -> None:
        """Delete an object."""
        path = f"{self._root()}/{check_key(key)}"
        with_retries(lambda: self.fs.rm_file(path), f"DELETE {path}", self.policy)

    def _root(self) -> str:
        return str(self.fs._strip_protocol(self.url.root)).rstrip("/")  # noqa: SLF001


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that readers see whole or not at all; a draft that is left is used again."""
    draft = path.with_name(f"{path.name}{_DRAFT}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _list_files(root: Path) -> dict[str, Listed]:
    """Return every file below a directory; links are refused, not followed."""
    found = {}
    for folder, folders, files in root.walk():
        for path in (folder / name for name in (*folders, *files)):
            if path.is_symlink():
                raise StoreError(
                    f"publish: {path} is a symbolic link; a store holds plain files only, and what "
                    "a link points at is not published; replace it by a copy"
                )
        for path in (folder / name for name in files if not name.endswith(_DRAFT)):
            found[path.relative_to(root).as_posix()] = Listed(path.stat().st_size)
    return found
