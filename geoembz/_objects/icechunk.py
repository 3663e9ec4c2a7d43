"""Icechunk repositories: their URLs, how they are opened, and their objects as a file system.

Icechunk keeps the objects of a Zarr store, to the byte, in snapshots that never change. A URL names
one of these, or a branch or tag that points at one: ``icechunk+s3://bucket/prefix@main``. Whoever
opens a branch goes on with the snapshot that it pointed at then.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Self

from fsspec import AbstractFileSystem

from geoembz._objects.names import ICECHUNK, check_endpoint, is_icechunk, parse_store_url
from geoembz._objects.stores import Access, s3_is_anonymous
from geoembz._util.optional import import_extra
from geoembz.errors import InvalidConfigError, StoreError

_FORM = re.compile(r"icechunk\+(s3|file)://(.+)@([^@/]+)(?:/(.*))?")
_EXPECTED = (
    "icechunk+s3://bucket/prefix@BRANCH or icechunk+file:///folder@BRANCH (or @TAG, @SNAPSHOT)"
)


@dataclass(frozen=True)
class RepositoryUrl:
    """A place in a repository.

    Parameters
    ----------
    kind
        ``s3`` or ``file``.
    location
        Bucket and prefix, or folder.
    ref
        Branch, tag or snapshot.
    path
        Of a group in it; empty for the root.
    """

    kind: str
    location: str
    ref: str
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Check a URL.

        Raises
        ------
        InvalidConfigError
            If it is of another form, names no bucket and prefix, or holds credentials.

        Examples
        --------
        >>> RepositoryUrl.parse("icechunk+s3://bucket/tiles@main/utm32n").path
        'utm32n'
        """
        found = _FORM.fullmatch(url.rstrip("/"))
        if found is None:
            raise InvalidConfigError(
                f"{url}: names no branch of a repository; expected {_EXPECTED}"
            )
        kind, location, ref, path = found.groups()
        parse_store_url(f"{kind}://{location}")
        return cls(kind, location.rstrip("/"), ref, path or "")

    def __str__(self) -> str:
        """Return the URL."""
        below = f"/{self.path}" if self.path else ""
        return f"{ICECHUNK}{self.kind}://{self.location}@{self.ref}{below}"


def import_icechunk(url: str) -> Any:
    """Import the package; quiet about what its local storage lacks, unless ICECHUNK_LOG is set.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    StoreError
        In a process that was forked from one that has used it.
    """
    _refuse_fork(url)
    is_first = "icechunk" not in sys.modules
    icechunk = import_extra(
        "icechunk", "icechunk", f"{url}: an Icechunk repository needs the package icechunk"
    )
    if is_first and "ICECHUNK_LOG" not in os.environ:
        icechunk.set_logs_filter("error")
    return icechunk


_processes: list[int] = []
"""The process that has used Icechunk."""


def _refuse_fork(url: str) -> None:
    """Refuse to wait for ever: Icechunk's threads do not live through a fork."""
    if not _processes:
        _processes.append(os.getpid())
    elif _processes[0] != os.getpid():
        raise StoreError(
            f"{url}: this process was forked from one that had used Icechunk, which cannot be used "
            "here then; start workers anew: multiprocessing_context='spawn' of PyTorch's "
            "DataLoader, multiprocessing.get_context('spawn')"
        )


def storage_of(place: RepositoryUrl, access: Access | None = None) -> Any:
    """Return where a repository lies, as Icechunk takes it; S3 is reached as everywhere else."""
    icechunk = import_icechunk(str(place))
    if place.kind == "file":
        return icechunk.local_filesystem_storage(os.path.abspath(place.location))  # noqa: PTH100
    asked = access or Access()
    endpoint = check_endpoint(asked.endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or None)
    is_anonymous = s3_is_anonymous() if asked.anonymous is None else asked.anonymous
    bucket, _, prefix = place.location.partition("/")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return icechunk.s3_storage(
        bucket=bucket,
        prefix=prefix,
        region=region or ("us-east-1" if endpoint else None),
        endpoint_url=endpoint,
        allow_http=bool(endpoint and endpoint.startswith("http://")),
        force_path_style=endpoint is not None,
        anonymous=is_anonymous or None,
        from_env=None if is_anonymous else True,
    )


@contextmanager
def icechunk_faults(what: str) -> Iterator[None]:
    """Turn what Icechunk raises into a `StoreError`, without its stack.

    Parameters
    ----------
    what
        What is tried, and where.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"icechunk", "_icechunk_python"}:
            raise
        raise StoreError(f"{what}: Icechunk says: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return an error's message without the places in Icechunk's own code that follow it."""
    text = str(error.args[0] if error.args else error)
    return " ".join(text.partition("\n\ncontext:")[0].split())


def open_repository(place: RepositoryUrl, access: Access | None = None) -> Any:
    """Open a repository.

    Raises
    ------
    StoreError
        If there is none, or it cannot be read.
    """
    icechunk = import_icechunk(str(place))
    with icechunk_faults(f"{place}"):
        try:
            return icechunk.Repository.open(storage_of(place, access))
        except icechunk.RepositoryNotFoundError:
            _refuse_absent(place)


def _refuse_absent(place: RepositoryUrl) -> NoReturn:
    raise StoreError(
        f"{place}: no Icechunk repository at {place.location}; expected {_EXPECTED}; geoembz "
        "publish makes one"
    ) from None


def open_snapshot(place: RepositoryUrl, access: Access | None = None) -> Any:
    """Open the Zarr store of a branch, a tag or a snapshot, looked for in this order.

    Raises
    ------
    StoreError
        If the repository has none of that name.
    """
    icechunk, repository = import_icechunk(str(place)), open_repository(place, access)
    with icechunk_faults(f"{place}"):
        for kind in ("branch", "tag", "snapshot_id"):
            try:
                return repository.readonly_session(**{kind: place.ref}).store
            except (icechunk.NotFoundError, icechunk.InvalidInputError, ValueError):
                continue
        branches = ", ".join(sorted(repository.list_branches()))
        tags = ", ".join(sorted(repository.list_tags())) or "none"
    raise StoreError(
        f"{place}: no branch, tag or snapshot {place.ref!r}; the repository has the branches "
        f"{branches} and the tags {tags}"
    )


def pin(url: str, store: Any) -> str:
    """Return the URL of the snapshot that an open store reads; any other URL as it is.

    Parameters
    ----------
    url
        That it was opened by.
    store
        A Zarr store.
    """
    if not is_icechunk(url):
        return url
    return str(replace(RepositoryUrl.parse(url), ref=store.session.snapshot_id))


class SnapshotFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The objects of a snapshot, to be read by key; nothing can be written to it."""

    protocol = "icechunk"
    cachable = False

    def __init__(self, store: Any, url: str) -> None:
        super().__init__()
        self.store, self.url = store, url

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Return an object, or bytes `start` to `end` of it, and read no more.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        from zarr.core.sync import sync

        with icechunk_faults(f"{self.url}: GET {path}"):
            found: bytes | None = sync(self._read(_key(path), slice(start, end)))
        if found is None:
            raise FileNotFoundError(f"{self.url}: no object {path}")
        return found

    async def _read(self, key: str, part: slice) -> bytes | None:
        """Return a part of an object; None where there is none."""
        from zarr.abc.store import RangeByteRequest
        from zarr.core.buffer import default_buffer_prototype

        prototype = default_buffer_prototype()
        if part == slice(None, None) or key.endswith("zarr.json"):  # it gives documents whole
            found = await self.store.get(key, prototype)
            return None if found is None else bytes(found.to_bytes())[part]
        if not await self.store.exists(key):
            return None
        first, last, _ = part.indices(await self.store.getsize(key))
        if first >= last:
            return b""
        found = await self.store.get(key, prototype, RangeByteRequest(first, last))
        return bytes(found.to_bytes())

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the size of an object.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        found = self.find(path, detail=True)
        if not found:
            raise FileNotFoundError(f"{self.url}: no object {path}")
        return found.get(path, {"name": path, "size": 0, "type": "directory"})  # type: ignore[no-any-return]

    def find(self, path: str, *_: Any, detail: bool = False, **__: Any) -> Any:
        """Return the names of all objects below a prefix, with `detail` what is known of each."""
        from zarr.core.sync import sync

        prefix = _key(path)
        with icechunk_faults(f"{self.url}: LIST {path}"):
            found = sync(self._sizes(prefix))
        lead = path[: len(path) - len(prefix)] if prefix else f"{path.rstrip('/')}/"
        entries = {
            f"{lead}{key}": {"name": f"{lead}{key}", "size": size, "type": "file"}
            for key, size in found.items()
        }
        return entries if detail else list(entries)

    async def _sizes(self, prefix: str) -> dict[str, int]:
        """Return the size of each object below a prefix, or of the one that it names."""
        node, name = prefix, ""
        while True:  # Icechunk lists groups and arrays, not any prefix
            try:
                listed = [key async for key in self.store.list_prefix(f"{node}/" if node else "")]
                break
            except ValueError:
                node, _, name = node.rpartition("/")
        kept = [k for k in listed if not name or k == prefix or k.startswith(f"{prefix}/")]
        return {key: await self.store.getsize(key) for key in kept}

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        """Return all objects below a prefix: the store has no folders."""
        found = self.find(path, detail=True)
        return list(found.values()) if detail else list(found)

    def pipe_file(self, path: str, *_: Any, **__: Any) -> NoReturn:
        """Refuse to write."""
        self._refuse(path)

    def rm_file(self, path: str) -> NoReturn:
        """Refuse to delete."""
        self._refuse(path)

    def _refuse(self, path: str) -> NoReturn:
        raise StoreError(
            f"{self.url}: {path} cannot be written: a snapshot never changes; write a plain store, "
            "and commit it with geoembz publish STORE icechunk+…@BRANCH"
        )


def _key(path: str) -> str:
    return path.strip("/")


def open_zarr(url: str) -> Any:
    """Open what a URL names, to be read by Zarr: a store, or a group in one."""
    from zarr.storage import StorePath

    place = RepositoryUrl.parse(url)
    store = open_snapshot(place)
    return StorePath(store, place.path) if place.path else store


def pin_url(url: str, access: Access | None = None) -> str:
    """Return the URL of the snapshot that a URL names now."""
    return pin(url, open_snapshot(RepositoryUrl.parse(url), access))


def open_snapshot_files(url: str, access: Access | None = None) -> tuple[SnapshotFileSystem, str]:
    """Return the objects of a snapshot as a file system, and the path of a URL in it."""
    place = RepositoryUrl.parse(url)
    return SnapshotFileSystem(open_snapshot(place, access), url), f"/{place.path}".rstrip("/")
