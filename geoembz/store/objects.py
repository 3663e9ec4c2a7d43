"""Objects under one URL: the little that metadata and the journal need beside Zarr itself."""

import json
import os
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from geoembz.errors import StoreError
from geoembz.store.remote import open_filesystem, remote_faults


class ObjectTree:
    """A directory or an object-store prefix.

    Parameters
    ----------
    url
        Local path or fsspec URL.

    Raises
    ------
    StoreError
        If the URL's scheme is unknown or its package is missing; in every method, if the server
        refuses or fails.
    InvalidConfigError
        If the URL holds credentials or could leave its prefix.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        self.filesystem, self.root = open_filesystem(self.url)

    @property
    def is_local(self) -> bool:
        """Whether this is a directory on this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    @property
    def local_path(self) -> Path:
        """The directory; only where `is_local`."""
        return Path(self.root)

    def read(self, key: str) -> bytes | None:
        """Return an object's content; None where there is none."""
        try:
            with self._faults("GET", key):
                content: bytes = self.filesystem.cat_file(f"{self.root}/{key}")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return content

    def read_json(self, key: str) -> Any:
        """Return an object's JSON; None where there is no object.

        Raises
        ------
        StoreError
            If the object is no JSON.
        """
        content = self.read(key)
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise StoreError(
                f"{self.url}/{key}: not JSON ({error}); the store is damaged"
            ) from error

    def write(self, key: str, content: bytes) -> None:
        """Write an object; a reader sees all of it or nothing."""
        if not self.is_local:
            with self._faults("PUT", key):
                self.filesystem.pipe_file(f"{self.root}/{key}", content)
            return
        try:
            self._write_local(self.local_path / key, content)
        except OSError as error:
            raise StoreError(
                f"{self.url}: cannot be written ({error.strerror}); expected a place with room and "
                "permission to write; choose another destination"
            ) from error

    @staticmethod
    def _write_local(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def write_json(self, key: str, document: Any) -> None:
        """Write an object as JSON with sorted keys."""
        self.write(key, json.dumps(document, sort_keys=True).encode())

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the size of every object below `prefix`, in bytes, by key."""
        self.filesystem.invalidate_cache()
        base = f"{self.root}/{prefix}".rstrip("/")
        with self._faults("LIST", prefix):
            found = self.filesystem.find(base, detail=True)
        skipped = len(self.root) + 1
        return {path[skipped:]: int(entry["size"] or 0) for path, entry in sorted(found.items())}

    def exists(self) -> bool:
        """Whether anything is there."""
        self.filesystem.invalidate_cache()
        if self.is_local:
            return bool(self.filesystem.exists(self.root))
        # The answer to a GET says what is wrong; that to a HEAD only that something is.
        if self.read("zarr.json") is not None:
            return True
        with self._faults("LIST", ""):
            return bool(self.filesystem.exists(self.root))

    def remove(self, prefix: str = "") -> None:
        """Delete everything below `prefix`."""
        target = f"{self.root}/{prefix}".rstrip("/")
        self.filesystem.invalidate_cache()
        with self._faults("DELETE", prefix):
            if self.filesystem.exists(target):
                self.filesystem.rm(target, recursive=True)

    def _faults(self, verb: str, key: str) -> AbstractContextManager[None]:
        if self.is_local:
            return nullcontext()
        return remote_faults(f"{verb} {self.url}/{key}".rstrip("/"))
