"""Object trees: what lies under a prefix, read, written and deleted by relative key.

Says what a tree can do, and does it on any fsspec file system (a local disk, memory, another
cloud), checking writes by reading back; `s3_tree` does it on S3, `open_tree` chooses. What may pass
is tried again with growing pauses; the caller says which errors those are.
"""

import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from geoembz._objects.faults import as_store_error, will_pass
from geoembz._objects.names import StoreUrl, check_key
from geoembz._publish.manifest import Digest, digest
from geoembz.errors import GeoembzError, InvalidConfigError, StoreError


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


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try.

    Parameters
    ----------
    attempts
        At least 1.
    first_pause_s, longest_pause_s
        The pause doubles after each failure, in seconds.
    """

    attempts: int = 8
    first_pause_s: float = 0.25
    longest_pause_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse no attempt at all."""
        if self.attempts < 1:
            raise InvalidConfigError(f"publish: {self.attempts} attempts; expected at least 1")

    def pause_s(self, failures: int, name: str) -> float:
        """Return the pause after so many failures: 50 to 100 % of the doubled one.

        The share follows from `name`, so that parallel workers do not come back all at once.
        """
        spread = 0.5 + zlib.crc32(f"{name} {failures}".encode()) / 2**33
        doubled = self.first_pause_s * float(2 ** (failures - 1))
        return spread * min(self.longest_pause_s, doubled)


def with_retries[T](
    action: Callable[[], T],
    what: str,
    policy: RetryPolicy,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what an action returns, trying again while its errors may pass.

    Parameters
    ----------
    action
        What to do; it must be safe to do twice.
    what
        Its name in messages.
    policy
        How often, how patiently.
    sleep
        Waits so many seconds.

    Raises
    ------
    StoreError
        If an error will not pass, or did not pass in time. It names no credentials and carries no
        cause that could.
    """
    for attempt in range(1, policy.attempts + 1):
        try:
            return action()
        except GeoembzError:
            raise
        except Exception as error:  # noqa: BLE001 (every library has its own; all are translated)
            if attempt == policy.attempts or not will_pass(error):
                raise as_store_error(error, what, attempt) from None
        sleep(policy.pause_s(attempt, what))
    raise AssertionError("unreachable")


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
