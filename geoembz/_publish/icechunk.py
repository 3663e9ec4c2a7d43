"""Commit a store to a branch of an Icechunk repository: one snapshot, or nothing.

Only what differs from the snapshot before is written, as the digests of the two tell: a new date
of a store adds its shards. Readers of the branch see the old store until the commit, which fails
where the branch has moved meanwhile.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from geoembz._objects.icechunk import (
    RepositoryUrl,
    icechunk_faults,
    import_icechunk,
    open_repository,
    storage_of,
)
from geoembz._objects.names import check_endpoint
from geoembz._objects.stores import Access
from geoembz._publish.plan import ROOT, Original
from geoembz._publish.run import PublishReport
from geoembz._publish.tree import PublishedTree, open_tree
from geoembz._util.progress import Progress
from geoembz._util.threads import check_workers, for_each
from geoembz.errors import DestinationExistsError, InvalidConfigError, StoreError
from geoembz.store.contents import recorded_digests
from geoembz.store.open import open_group
from geoembz.store.watch import continues

_KINDS = ("zarr.json", "c")
"""What is in the name of each object of a Zarr store: others cannot be kept."""


def commit_store(
    store: str,
    url: str,
    *,
    message: str | None = None,
    endpoint_url: str | None = None,
    workers: int = 8,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PublishReport:
    """Commit a store to a branch; a repository is made where there is none.

    Parameters
    ----------
    store
        A complete store: a local path or a URL.
    url
        Of the branch.
    message
        Of the commit; None says what was published.
    endpoint_url
        Of an S3 server other than Amazon's.
    workers
        Objects in flight.
    overwrite
        Let another store take the place of the one that the branch has: former snapshots stay.
    progress
        Told how many objects are done.

    Raises
    ------
    InvalidConfigError
        If the URL names no branch, or the store has objects that a repository cannot hold.
    DestinationExistsError
        If the branch has another store.
    StoreError
        If the source is no complete store, or changes meanwhile; if the branch does, or the
        repository cannot be written.
    """
    check_workers("publish", workers)
    place = RepositoryUrl.parse(url)
    if place.path:
        raise InvalidConfigError(
            f"publish: {url} names a group in a repository; a store is its root: leave "
            f"/{place.path} out"
        )
    source = open_tree(store, endpoint_url=endpoint_url)
    original = Original.of(source)
    _refuse_other_objects(original, str(source.place))
    session = _open_session(place, Access(check_endpoint(endpoint_url)))
    before = _Former.of(place, session.snapshot_id, endpoint_url)
    if before.keys and not overwrite:
        _refuse_another(store, before, url)
    commit = _Commit(original, before, session, progress)
    commit.write(workers)
    original.check_unchanged()
    snapshot = commit.finish(place, message or f"geoembz publish {source.place.name}")
    return PublishReport(
        url=url,
        manifest_url=None,
        n_objects=len(original.keys),
        n_uploaded=commit.n_written,
        n_skipped=len(original.keys) - commit.n_written,
        bytes_uploaded=commit.bytes_written,
        snapshot=snapshot,
    )


def _refuse_other_objects(original: Original, name: str) -> None:
    other = [key for key in original.keys if not set(_KINDS) & set(key.split("/"))]
    if other:
        raise InvalidConfigError(
            f"publish: {name} has {other[0]}, which is no part of a Zarr array: an Icechunk "
            "repository holds arrays and groups alone: a table with columns of text stays plain; "
            "publish it to a bucket or a folder"
        )


def _open_session(place: RepositoryUrl, access: Access) -> Any:
    """Return a session that writes to a branch, in a repository that is made where there is none.

    Raises
    ------
    StoreError
        If there is no such branch.
    """
    icechunk, storage = import_icechunk(str(place)), storage_of(place, access)
    with icechunk_faults(f"publish: {place}"):
        if not icechunk.Repository.exists(storage):
            icechunk.Repository.create(storage)
        repository = open_repository(place, access)
        branches = sorted(repository.list_branches())
        if place.ref in branches:
            return repository.writable_session(place.ref)
    raise StoreError(
        f"publish: {place}: no branch {place.ref!r}; the repository has {', '.join(branches)}; "
        "expected one of them: tags and snapshots never change, and other branches are made with "
        "Icechunk (Repository.create_branch)"
    )


@dataclass(frozen=True)
class _Former:
    """What a branch had before.

    Parameters
    ----------
    tree
        Its objects.
    keys
        Their keys.
    root
        The root's ``zarr.json``; None in a repository without a store.
    recorded
        The digests that the store gives; none in format 0.1.
    """

    tree: PublishedTree
    keys: frozenset[str]
    root: bytes | None
    recorded: Mapping[str, str]

    @classmethod
    def of(cls, place: RepositoryUrl, snapshot: str, endpoint_url: str | None) -> "_Former":
        """Look at a snapshot."""
        pinned = RepositoryUrl(place.kind, place.location, snapshot)
        tree = open_tree(str(pinned), endpoint_url=endpoint_url)
        root = tree.read(ROOT)
        recorded = {} if root is None else recorded_digests(root, tree.get) or {}
        return cls(tree, frozenset(tree.list()), root, recorded)


def _refuse_another(store: str, before: _Former, url: str) -> None:
    """Refuse to put a store in place of one that it does not continue."""
    try:
        is_later = continues(open_group(str(before.tree.place)), open_group(store))
    except StoreError:  # what is there is no store of ours
        is_later = False
    if not is_later:
        raise DestinationExistsError(
            f"publish: {url} holds another store, which {store} does not continue by a date; "
            "choose another branch or repository, or say --overwrite: former snapshots stay"
        )


class _Commit:
    """Writes the objects that are new or other in a session, and deletes those that went."""

    def __init__(
        self, original: Original, before: _Former, session: Any, progress: Progress | None
    ) -> None:
        self.original, self.before, self.session = original, before, session
        self._progress, self._done, self._lock = progress, 0, threading.Lock()
        self.n_written = self.bytes_written = 0

    def write(self, workers: int) -> None:
        """Write nodes from the root down, then chunks, which belong to an array that is there."""
        keys = self.original.keys
        for key in sorted((k for k in keys if k.endswith(ROOT)), key=lambda key: key.count("/")):
            self._write_one(key)
        for_each([key for key in keys if not key.endswith(ROOT)], self._write_one, workers)
        gone = sorted(self.before.keys - set(keys), key=lambda key: -key.count("/"))
        for key in gone:
            self._ask(key, partial(self.session.store.delete, key))

    def _write_one(self, key: str) -> None:
        if not self._is_recorded(key):
            content = self.original.read(key)[0]
            if self._differs(key, content):
                self._put(key, content)
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, len(self.original.keys))

    def _is_recorded(self, key: str) -> bool:
        """Whether both stores give the same digest for an object."""
        told = self.original.recorded.get(key)
        same = told is not None and self.before.recorded.get(key) == told
        return same and key in self.before.keys

    def _differs(self, key: str, content: bytes) -> bool:
        """Whether an object is not there yet; those without a digest are compared."""
        if key in self.before.keys and key not in self.before.recorded:
            return self.before.tree.get(key) != content
        return True

    def _put(self, key: str, content: bytes) -> None:
        from zarr.core.buffer import default_buffer_prototype

        buffer = default_buffer_prototype().buffer.from_bytes(content)
        self._ask(key, lambda: self.session.store.set(key, buffer))
        with self._lock:
            self.n_written += 1
            self.bytes_written += len(content)

    def _ask(self, key: str, action: Callable[[], Any]) -> None:
        from zarr.core.sync import sync

        with icechunk_faults(f"publish: {key}"):
            sync(action())

    def finish(self, place: RepositoryUrl, message: str) -> str:
        """Commit, and return the snapshot: the former one where nothing differs.

        Raises
        ------
        StoreError
            If the branch has moved.
        """
        icechunk = import_icechunk(str(place))
        if not self.session.has_uncommitted_changes:
            return str(self.session.snapshot_id)
        with icechunk_faults(f"publish: {place}"):
            try:
                return str(self.session.commit(message))
            except icechunk.ConflictError:
                pass
        raise StoreError(
            f"publish: {place}: conflict: branch {place.ref!r} moved on from snapshot "
            f"{self.before.tree.place.name.rpartition('@')[2]} while this was written, so nothing "
            "was committed; look at what is there now, and run the same command again"
        )
