"""Publish a store: data first, metadata last, each object verified; resumable.

Knows object trees and nothing of what is in a store: it needs no Zarr library.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from geoembz.errors import InvalidConfigError, StoreError
from geoembz.publish.digest import Digest, digest
from geoembz.publish.manifest import Manifest, manifest_name, manifest_of
from geoembz.publish.open_tree import open_tree
from geoembz.publish.plan import ROOT, check_source, leftovers, phases
from geoembz.publish.retry import RetryPolicy
from geoembz.publish.store_metadata import check_root
from geoembz.publish.transfer import for_each
from geoembz.publish.tree import Listed, ObjectTree

_ABSENT = "embedding/c/absent"

type Progress = Callable[[int, int], None]
"""Called with objects done and objects in all."""


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What `publish` did.

    Parameters
    ----------
    url, manifest_url
        Where the store and its manifest are.
    n_objects, n_uploaded, n_skipped
        Objects of the store; those sent; those that were there already, identical.
    bytes_uploaded
        Size of those sent.
    manifest
        What is there now.
    """

    url: str
    manifest_url: str
    n_objects: int
    n_uploaded: int
    n_skipped: int
    bytes_uploaded: int
    manifest: Manifest


def publish(
    store_path: str,
    url: str,
    *,
    endpoint_url: str | None = None,
    workers: int = 8,
    anon_check: bool = False,
    overwrite: bool = False,
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> PublishReport:
    """Copy a store so that a reader never sees it incomplete.

    Objects that are there with the same size and checksum are not sent again, so the same call
    after any interruption goes on where it stopped. The manifest is written beside the store just
    before the root metadata.

    Parameters
    ----------
    store_path
        A complete store: a local path or an fsspec URL.
    url
        Where to, e.g. ``s3://bucket/prefix/name.zarr``.
    endpoint_url
        Of an S3 server other than Amazon's.
    workers
        Objects in flight; each is held in memory.
    anon_check
        Afterwards read the root and one object without credentials (S3).
    overwrite
        Replace another store at the destination. Its root goes first, so that readers find no
        store rather than a mixture.
    policy
        Retries of each request.
    progress
        Told how many objects are done.

    Raises
    ------
    InvalidConfigError
        If a name is refused; nothing was read or written.
    DestinationExistsError
        If something else is at the destination.
    StoreError
        If the source is no complete store, the server refuses, stays away, or stored something
        else; if `anon_check` fails.
    """
    source = open_tree(store_path, endpoint_url=endpoint_url, policy=policy)
    target = open_tree(url, endpoint_url=endpoint_url, policy=policy)
    if source.url == target.url:
        raise InvalidConfigError(f"publish: {url} is the store itself; choose another destination")
    keys = list(source.list())
    check_source(keys, store_path)
    content = source.read(ROOT)
    check_root(content, f"publish: {store_path}")
    root = digest(content)
    there = dict(target.list())
    old = leftovers(keys, root, there, str(target.url), overwrite=overwrite)
    if old.hide_root:
        target.delete(ROOT)
        there.pop(ROOT)
    sender = _Sender(source, target, there, len(keys), progress)
    *before, last = phases(keys)
    for group in before:
        sender.send(group, workers)
    for_each(old.extra, target.delete, workers)
    digests = sender.digests | {ROOT: root}
    manifest = manifest_of(target.url.name, digests)
    _write_manifest(target, manifest)
    sender.send(last, workers)
    _check_listing(target, sender.digests)
    if anon_check:
        check_anonymous(url, sender.digests, endpoint_url=endpoint_url)
    return PublishReport(
        url=str(target.url),
        manifest_url=str(target.url) + manifest_name(""),
        n_objects=len(keys),
        n_uploaded=sender.n_uploaded,
        n_skipped=len(keys) - sender.n_uploaded,
        bytes_uploaded=sender.bytes_uploaded,
        manifest=manifest,
    )


class _Sender:
    """Sends groups of objects and remembers their digests; the one place with state."""

    def __init__(
        self,
        source: ObjectTree,
        target: ObjectTree,
        there: dict[str, Listed],
        n_objects: int,
        progress: Progress | None,
    ) -> None:
        self._source, self._target, self._there = source, target, there
        self._n_objects, self._progress = n_objects, progress
        self._lock, self._n_done = threading.Lock(), 0
        self.digests: dict[str, Digest] = {}
        self.n_uploaded = 0
        self.bytes_uploaded = 0

    def send(self, keys: list[str], workers: int) -> None:
        """Send one group; return when every object of it is stored and verified."""
        for key, value, sent in for_each(keys, self._send_one, workers):
            self.digests[key] = value
            self.n_uploaded += sent
            self.bytes_uploaded += value.size * sent

    def _send_one(self, key: str) -> tuple[str, Digest, bool]:
        data = self._source.read(key)
        value = digest(data)
        needed = not self._is_there(key, value)
        if needed:
            self._target.write(key, data, value)
        with self._lock:
            self._n_done += 1
            if self._progress is not None:
                self._progress(self._n_done, self._n_objects)
        return key, value, needed

    def _is_there(self, key: str, value: Digest) -> bool:
        listed = self._there.get(key)
        if listed is None or listed.size != value.size:
            return False
        if listed.md5 is not None:
            return listed.md5 == value.md5
        return digest(self._target.read(key)) == value


def _write_manifest(target: ObjectTree, manifest: Manifest) -> None:
    data = manifest.to_json()
    target.beside().write(manifest_name(target.url.name), data, digest(data))


def _check_listing(target: ObjectTree, digests: dict[str, Digest]) -> None:
    there = target.list()
    for key, value in digests.items():
        listed = there.get(key)
        if listed is None or listed.size != value.size or listed.md5 not in (None, value.md5):
            raise StoreError(
                f"publish: {target.url}/{key} was stored, and now it is "
                f"{'gone' if listed is None else 'another'}; something else writes there; "
                "stop it and run the same command again"
            )


def check_anonymous(
    url: str, digests: dict[str, Digest], *, endpoint_url: str | None = None
) -> None:
    """Read the root and one object of a published store without credentials.

    Raises
    ------
    StoreError
        If the public cannot read them, or reads something else.
    """
    public = open_tree(url, endpoint_url=endpoint_url, anonymous=True, policy=RetryPolicy(3))
    for key in {ROOT, min(digests)}:
        try:
            same = digest(public.read(key)) == digests[key]
        except StoreError as error:
            raise StoreError(
                f"publish: the store is there, but not public: {error}; "
                "allow s3:GetObject to everyone in the bucket's policy, or leave --anon-check out"
            ) from None
        if not same:
            raise StoreError(f"publish: the public reads another {url}/{key}; is there a cache?")
    _check_absence(public, url)


def _check_absence(public: ObjectTree, url: str) -> None:
    """Make sure that an object that is not there is "not found" rather than "denied"."""
    try:
        public.read(_ABSENT)
    except StoreError as error:
        if isinstance(error.__context__, PermissionError):
            raise StoreError(
                f"publish: the public reads {url}, but is denied what is not there; shards without "
                "a valid pixel are not stored, and readers must be told so: allow s3:ListBucket to "
                "everyone too, or leave --anon-check out"
            ) from None
