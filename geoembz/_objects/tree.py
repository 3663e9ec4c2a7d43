"""Objects under one URL, read, written, listed and deleted by key: on a disk or at a server."""

import json
import os
import re
import uuid
from collections.abc import Buffer, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from geoembz._objects.explain import counted
from geoembz._objects.faults import fault_code, with_retries
from geoembz._objects.files import PARTIAL, walk_files, write_file
from geoembz._objects.stores import HTTP, Access, open_filesystem
from geoembz._util.bounded_json import MOST_BYTES, parse_json
from geoembz._util.threads import in_order
from geoembz.errors import StoreError

_READERS, _READ_PART = 32, 32
"""Threads, and objects that one reads in a row: a journal of 10⁵ is many tasks."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_EXISTS_CODES = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
"""What servers answer where an object is that was to be created."""


@contextmanager
def local_faults(url: str) -> Iterator[None]:
    """Turn what goes wrong while a local file is written into a `StoreError`: a full disk, say."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(gone(url)) from error
    except OSError as error:
        raise StoreError(
            f"{url}: cannot be written ({error.strerror or error}); expected a place with room and "
            "permission to write; make room and run the same command again, or choose another "
            "destination"
        ) from error


def gone(url: str) -> str:
    """Return what to say where a folder that we write to is no longer there."""
    return (
        f"{url}: is gone; expected the folder that this conversion made: another one has taken the "
        "destination over, or somebody deleted it; run the same command again"
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it; `md5` only where the server computed one, `size` too."""

    size: int | None
    md5: str | None = None


class ObjectTree:
    """A directory or an object-store prefix. What fails at a server and may pass is tried again.

    Parameters
    ----------
    url
        Local path or fsspec URL.
    must_exist
        Never make the directory itself: what belongs to a conversion that lost it stays unwritten.
    access
        How a server is asked.

    Attributes
    ----------
    is_local
        Whether this is a directory on this machine.
    is_web
        Whether a plain web server has it, which cannot list and only reads.
    local_path
        The directory; only where `is_local`.

    Raises
    ------
    StoreError
        If the URL's scheme is unknown or its package is missing; in every method, if the server
        refuses or fails.
    InvalidConfigError
        If the URL holds credentials or could leave its prefix.
    """

    def __init__(
        self, url: str | Path, *, must_exist: bool = False, access: Access | None = None
    ) -> None:
        self.url, self.must_exist, self._access = str(url), must_exist, access or Access()
        self.filesystem, self.root = open_filesystem(self.url, self._access)
        self.is_local = isinstance(self.filesystem, LocalFileSystem)
        self.is_web = self.url.startswith(HTTP)
        self.local_path = Path(self.root)

    def child(self, name: str) -> "ObjectTree":
        """Return what lies below `name`, as a tree; a local folder is made where it is missing."""
        url = f"{self.url.rstrip('/')}/{name}"
        tree = ObjectTree(url, must_exist=self.must_exist, access=self._access)
        if self.is_local and self.must_exist:
            with local_faults(self.url):
                tree.local_path.mkdir(exist_ok=True)
        return tree

    def read(self, key: str, most: int | None = None) -> bytes | None:
        """Return an object's content, or its first `most` bytes; None where there is none."""
        try:
            if self.is_local:
                with open(f"{self.root}/{key}", "rb") as file:  # noqa: PTH123 a Path costs more
                    return counted(file.read(-1 if most is None else most))
            get = partial(self.filesystem.cat_file, f"{self.root}/{key}")
            return bytes(self._ask("GET", key, get))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def read_part(self, key: str, start: int, stop: int | None = None) -> bytes | None:
        """Return bytes ``[start, stop)`` of an object, or those that there are.

        Parameters
        ----------
        key
            Of the object; None is returned where there is none.
        start, stop
            In bytes. A negative `start` counts from the end; None reads to it.

        Examples
        --------
        >>> _ = (tmp_path / "a").write_bytes(b"0123456789")
        >>> tree = ObjectTree(tmp_path)
        >>> tree.read_part("a", 2, 4), tree.read_part("a", -3), tree.read_part("a", 20)
        (b'23', b'789', b'')
        """
        try:
            if self.is_local:
                with open(f"{self.root}/{key}", "rb") as file:  # noqa: PTH123 a Path costs more
                    file.seek(max(start, -os.fstat(file.fileno()).st_size), 0 if start >= 0 else 2)
                    return counted(file.read(-1 if stop is None else max(stop - start, 0)))
            path = f"{self.root}/{key}"
            read = partial(self.filesystem.cat_file, path, start=start, end=stop)
            part: bytes = self._ask("GET", key, read)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return part

    def size(self, key: str) -> int | None:
        """Return the size of an object, in bytes; None where there is none."""
        try:
            if self.is_local:
                path = self.local_path / key
                return path.stat().st_size if path.is_file() else None
            look = partial(self.filesystem.info, f"{self.root}/{key}")
            size = self._ask("HEAD", key, look)["size"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if size is None else int(size)

    def is_below(self, key: str) -> bool:
        """Whether an object's file lies in this directory, wherever links lead; true on servers."""
        if not self.is_local:
            return True
        return (self.local_path / key).resolve().is_relative_to(self.local_path.resolve())

    def check_ranges(self) -> None:
        """Make sure that a part of an object can be read; one byte of the root's document is.

        Raises
        ------
        StoreError
            If the server sends whole objects only.
        """
        if not self.is_local:
            get = partial(self.filesystem.cat_file, f"{self.root}/zarr.json", start=0, end=1)
            self._ask("GET", "zarr.json", get)

    def read_json(self, key: str) -> Any:
        """Return an object's JSON; None where there is no object.

        Raises
        ------
        StoreError
            If the object is no JSON, or such that cannot be believed; see `parse_json`.
        """
        content = self.read(key, MOST_BYTES + 1)
        if content is None:
            return None
        expected = "metadata; the store is damaged: fetch it again"
        return parse_json(content, f"{self.url}/{key}", error=StoreError, expected=expected)

    def read_json_many(self, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield keys and their JSON, in order; many are read at once, few kept.

        Raises
        ------
        StoreError
            If an object is no JSON.
        """

        def read(part: Sequence[str]) -> list[tuple[str, Any]]:
            return [(key, self.read_json(key)) for key in part]

        parts = batched(keys, _READ_PART)
        for pairs in in_order(parts, read, _READERS, ahead=_READERS):
            yield from pairs

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless there is one; return whether it was written.

        Some servers know no conditional requests and write in any case: read back what matters.
        """
        if self.is_local:
            with local_faults(self.url):
                return self._create_local(self.local_path / key, content)

        def put() -> bool:
            try:
                self.filesystem.pipe_file(f"{self.root}/{key}", content, mode="create")
            except OSError as error:
                if isinstance(error, FileExistsError) or fault_code(error) in _EXISTS_CODES:
                    return False
                raise
            return True

        return self._ask("PUT", key, put)

    def write(self, key: str, content: Buffer, *, sync: bool = True) -> None:
        """Write an object; a reader sees all of it or nothing.

        Parameters
        ----------
        key, content
            Where, and what.
        sync
            Whether to wait until this machine's disk has it; not for what can be made again.
        """
        if self.is_local:
            with local_faults(self.url):
                self._write_local(self.local_path / key, content, sync=sync)
        else:
            put = partial(self.filesystem.pipe_file, f"{self.root}/{key}", bytes(content))
            self._ask("PUT", key, put)

    def sync(self, keys: Sequence[str]) -> None:
        """Wait until this machine's disk has objects; a server has what it has answered for."""
        if not self.is_local:
            return
        with local_faults(self.url):
            for key in keys:
                with open(f"{self.root}/{key}", "rb") as file:  # noqa: PTH123 a Path costs more
                    os.fsync(file.fileno())

    def copy(self, key: str, target: "ObjectTree") -> None:
        """Copy an object to the same key of another tree on the same server, which does the work.

        A reader sees the former object or the new one.
        """
        paths = f"{self.root}/{key}", f"{target.root}/{key}"
        self._ask("COPY", key, lambda: self.filesystem.cp_file(*paths))

    def _write_local(self, path: Path, content: Buffer, *, sync: bool) -> None:
        root = self.local_path if self.must_exist else None
        try:
            write_file(path, content, root=root, sync=sync)
        except FileNotFoundError as error:
            if self.must_exist:
                raise StoreError(gone(self.url)) from error
            write_file(path, content, sync=sync)  # its folder went the moment after it was made

    def _create_local(self, path: Path, content: bytes) -> bool:
        """Link a complete file to its name: of several who try, one succeeds."""
        draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
        self.write(str(draft.relative_to(self.local_path)), content)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return False
        except FileNotFoundError:
            if path.parent.is_dir():  # who succeeded has swept ours away
                return False
            raise
        finally:
            draft.unlink(missing_ok=True)
        for other in path.parent.glob(f"{path.name}.*{PARTIAL}"):  # of writers that were killed
            other.unlink(missing_ok=True)
        return True

    def remove_partials(self) -> None:
        """Delete what writers of local files left when they were killed; servers keep none."""
        if self.is_local:
            for path in self.local_path.rglob(f"*{PARTIAL}"):
                path.unlink(missing_ok=True)

    def write_json(self, key: str, document: Any) -> None:
        """Write an object as JSON with sorted keys."""
        self.write(key, json.dumps(document, sort_keys=True).encode())

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the size of every object below `prefix`, in bytes, by key."""
        if self.is_local:
            return {key: entry.stat().st_size for key, entry in self._local_files(prefix)}
        return {key: listed.size or 0 for key, listed in self._list(prefix).items()}

    def _list(self, prefix: str = "") -> dict[str, Listed]:
        """Return what a server says of every object below `prefix`, by key, in order."""
        self.filesystem.invalidate_cache()
        base = f"{self.root}/{prefix}".rstrip("/")
        found = self._ask("LIST", prefix, partial(self.filesystem.find, base, detail=True))
        skipped = len(self.root) + 1
        return {path[skipped:]: _as_listed(entry) for path, entry in sorted(found.items())}

    def keys(self, prefix: str = "") -> list[str]:
        """Return the key of every object below `prefix`, in order."""
        if not self.is_local:
            return list(self.sizes(prefix))
        return [key for key, _ in self._local_files(prefix)]

    def _local_files(self, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
        """Return keys and files, folder by folder; a journal has 10⁵: no `Path` for each."""
        skipped = len(str(self.local_path).rstrip(os.sep)) + 1
        files = {
            entry.path[skipped:].replace(os.sep, "/"): entry
            for entry in walk_files(self.local_path / prefix)
        }
        return [(key, files[key]) for key in sorted(files, key=lambda key: key.split("/"))]

    def exists(self) -> bool:
        """Whether anything is there."""
        self.filesystem.invalidate_cache()
        if self.is_local:
            return bool(self.filesystem.exists(self.root))
        # The answer to a GET says what is wrong; that to a HEAD only that something is.
        if self.read("zarr.json") is not None:
            return True
        return bool(self._ask("LIST", "", partial(self.filesystem.exists, self.root)))

    def remove(self, prefix: str = "") -> None:
        """Delete everything below `prefix`."""
        target = f"{self.root}/{prefix}".rstrip("/")
        self.filesystem.invalidate_cache()

        def delete() -> None:
            if self.filesystem.exists(target):
                with suppress(FileNotFoundError):  # somebody else was faster
                    self.filesystem.rm(target, recursive=True)

        self._ask("DELETE", prefix, delete)

    def delete(self, key: str) -> None:
        """Delete an object, if it is there: one request."""
        with suppress(FileNotFoundError):
            path = f"{self.root}/{key}"
            self._ask("DELETE", key, partial(self.filesystem.rm_file, path))

    def remove_keys(self, keys: Sequence[str]) -> None:
        """Delete objects by their keys; on a server, a thousand with each request."""
        if self.is_local:
            for key in keys:
                (self.local_path / key).unlink(missing_ok=True)
        elif keys:
            paths = [f"{self.root}/{key}" for key in keys]
            self._ask("DELETE", keys[0], partial(self.filesystem.rm, paths))

    def remove_empty(self, prefix: str = "") -> None:
        """Remove a local folder and those in it, if there is no file; servers have no folders."""
        if not self.is_local:
            return
        for folder, _, _ in os.walk(self.local_path / prefix, topdown=False):
            with suppress(OSError):  # something is in it, or it is gone
                Path(folder).rmdir()

    def _ask[T](self, verb: str, key: str, action: Callable[[], T]) -> T:
        """Do something, at a server as often as the policy says; it must be safe to do twice."""
        if self.is_local:
            return action()
        return with_retries(action, f"{verb} {self.url}/{key}".rstrip("/"), self._access.policy)


def _as_listed(entry: Mapping[str, Any]) -> Listed:
    """Return what fsspec says of an object; the ETag of a single PUT to S3 is its MD5."""
    etag = str(entry.get("ETag", "")).strip('"')
    return Listed(int(entry["size"] or 0), etag if _MD5.fullmatch(etag) else None)
