"""Copy a store: data first, metadata last, each object verified; resumable.

Knows object trees and nothing of what is in a store: it needs no Zarr library.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geoembz._objects.faults import RetryPolicy
from geoembz._publish.manifest import Digest, Manifest, digest, manifest_name, manifest_of
from geoembz._publish.page import write_page
from geoembz._publish.plan import ROOT, Original, Target, hold, leftovers, phases
from geoembz._publish.tree import PublishedTree, open_tree
from geoembz._spelling import spelled
from geoembz._util.dry_run import DryRun, Foreseen, is_dry
from geoembz._util.progress import Progress
from geoembz._util.results import Result
from geoembz._util.threads import check_workers, for_each
from geoembz.errors import InvalidConfigError, StoreError

if TYPE_CHECKING:
    from geoembz._publish.stac import Described

_log = logging.getLogger("geoembz.publish")

_ABSENT = "embedding/c/absent"

type Describe = Callable[[PublishedTree], "Described"]
"""Called with the objects of a published store."""


@dataclass(frozen=True)
class PublishReport(Result):
    """What `publish` or `copy_store` did.

    Parameters
    ----------
    url, manifest_url
        Where the store and its manifest are; an Icechunk repository has no manifest.
    n_objects, n_uploaded, n_skipped
        Objects of the store; those sent; those that were there already, identical.
    bytes_uploaded
        Size of those sent.
    stac_urls
        Where the STAC item and collection are; empty where none were asked for.
    time
        The item's time and where it comes from, in words; None without an item.
    is_time_of_publication
        Whether the item's time says nothing about the embeddings.
    page_url
        Where the page is that shows the store; None where none was asked for.
    notes
        What the destination lacks for browsers to read it, and what to do.
    snapshot
        In an Icechunk repository, the snapshot that has the store now.
    """

    url: str
    manifest_url: str | None
    n_objects: int
    n_uploaded: int
    n_skipped: int
    bytes_uploaded: int
    stac_urls: tuple[str, ...] = ()
    time: str | None = None
    is_time_of_publication: bool = False
    page_url: str | None = None
    notes: tuple[str, ...] = ()
    snapshot: str | None = None

    def to_table(self) -> str:
        """Return the report as lines of text."""
        if self.snapshot is not None:
            return self._of_commit()
        lines = [
            (
                f"{self.url}: {self.n_objects:,} objects, {self.n_uploaded:,} sent "
                f"({self.bytes_uploaded:,} bytes), {self.n_skipped:,} there already; all verified"
            ),
            f"manifest {self.manifest_url}",
            *(f"wrote {written}" for written in self.stac_urls),
            *([] if self.time is None else [f"time {self.time}"]),
            *([] if self.page_url is None else [f"page {self.page_url}"]),
            *self.notes,
        ]
        if self.is_time_of_publication:
            advice = "publish again with --start and --end to say what time the embeddings describe"
            lines.append(spelled(advice))
        return "\n".join(lines)

    def _of_commit(self) -> str:
        what = (
            f"{self.n_uploaded:,} new or other ({self.bytes_uploaded:,} bytes)"
            if self.n_uploaded
            else "nothing new, so nothing was committed"
        )
        return f"{self.url}: {self.n_objects:,} objects, {what}\nsnapshot {self.snapshot}"


def copy_store(
    store_path: str,
    url: str,
    *,
    endpoint_url: str | None = None,
    workers: int = 8,
    anon_check: bool = False,
    overwrite: bool = False,
    break_lock: bool = False,
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
    describe: Describe | None = None,
    page: Mapping[str, bytes] | None = None,
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
    break_lock
        Take the destination from a command that holds it.
    policy
        Retries of each request.
    progress
        Told how many objects are done.
    describe
        Called with the objects at the destination when the store is there and nobody else may write
        yet; writes what describes it beside it.
    page
        Files of a page that shows the store, by name; written beside it then.

    Raises
    ------
    InvalidConfigError
        If a name is refused; nothing was read or written.
    DestinationExistsError
        If something else is at the destination, or another command writes there.
    StoreError
        If the source is no complete store, or changes meanwhile; if the server refuses, stays
        away, or stored something else; if `anon_check` fails.
    """
    check_workers("publish", workers)
    source = open_tree(store_path, endpoint_url=endpoint_url, policy=policy)
    tree = open_tree(url, endpoint_url=endpoint_url, policy=policy)
    if source.place == tree.place:
        raise InvalidConfigError(f"publish: {url} is the store itself; choose another destination")
    _log.info("listing %s", source.place)
    original = Original.of(source)
    if is_dry():
        raise Foreseen(_foresee(original, tree, overwrite=overwrite))
    with hold(tree, breaks=break_lock) as target:
        sender = _Sender(original, target, progress)
        _send(sender, workers, overwrite=overwrite)
        described = None if describe is None else describe(target.tree)
        page_url = None if page is None else write_page(target.tree, page)
    if anon_check:
        check_anonymous(url, sender.digests, endpoint_url=endpoint_url)
    return PublishReport(
        url=str(tree.place),
        manifest_url=str(tree.place) + manifest_name(""),
        n_objects=len(original.keys),
        n_uploaded=sender.n_uploaded,
        n_skipped=len(original.keys) - sender.n_uploaded,
        bytes_uploaded=sender.bytes_uploaded,
        stac_urls=() if described is None else described.urls,
        time=None if described is None else str(described.time),
        is_time_of_publication=described is not None and described.time.is_of_publication,
        page_url=page_url,
    )


def _foresee(original: Original, tree: PublishedTree, *, overwrite: bool) -> DryRun:
    """Return what copying a store would send, by the sizes of what is there already."""
    there, sizes = Target(tree).listed(), original.tree.list()
    root, url = digest(original.root), str(tree.place)
    old = leftovers(original.keys, root, there, url, overwrite=overwrite)
    new = [key for key in original.keys if key not in there or there[key].size != sizes[key].size]
    known = len(original.keys) - len(new)
    state = f"{known:,} objects are there with the same size" if there else "nothing is there"
    if old.extra or old.hidden:
        state += f"; another store, of which {len(old.extra):,} objects are deleted"
    return DryRun(
        command="publish",
        destination=url,
        state=state,
        inputs=(str(original.tree.place),),
        input_bytes=None,
        unit="object",
        count=len(original.keys),
        bytes_read=sum(sizes[key].size or 0 for key in original.keys),
        objects=len(new),
        bytes_written=sum(sizes[key].size or 0 for key in new),
        notes=("beside it: the manifest, and the STAC item and the page that are asked for",),
    )


def _send(sender: "_Sender", workers: int, *, overwrite: bool) -> None:
    """Make a destination hold a store, and nothing else; the root comes last."""
    original, target = sender.original, sender.target
    root = digest(original.root)
    old = leftovers(original.keys, root, sender.there, str(target.tree.place), overwrite=overwrite)
    for key in old.hidden:
        target.tree.delete(key)
        sender.there.pop(key)
    *before, last = phases(original.keys)
    _log.info("copying %s objects; %s are there", len(original.keys), len(sender.there))
    for group in before:
        sender.send(group, workers)
    for_each([key for key in old.extra if key not in old.hidden], target.tree.delete, workers)
    original.check_unchanged()
    _log.info("looking at what was copied")
    if ROOT not in sender.there:  # what is hidden is looked at before it is shown
        target.check(sender.digests)
    manifest = manifest_of(target.tree.place.name, sender.digests | {ROOT: root})
    _write_manifest(target.tree, manifest)
    sender.send(last, workers)
    target.check_visible(sender.digests)


class _Sender:
    """Sends groups of objects and remembers their digests; the one place with state."""

    def __init__(self, original: Original, target: Target, progress: Progress | None) -> None:
        self.original, self.target, self.there = original, target, target.listed()
        self._n_objects, self._progress = len(original.keys), progress
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
        data, value = self.original.read(key)
        needed = not self._is_there(key, value)
        if needed:
            self.target.tree.send(key, data, value)
        with self._lock:
            self._n_done += 1
            if self._progress is not None:
                self._progress(self._n_done, self._n_objects)
        return key, value, needed

    def _is_there(self, key: str, value: Digest) -> bool:
        listed = self.there.get(key)
        if listed is None or listed.size != value.size:
            return False
        if listed.md5 is not None:
            return listed.md5 == value.md5
        return digest(self.target.tree.get(key)) == value


def _write_manifest(target: PublishedTree, manifest: Manifest) -> None:
    data = manifest.to_json()
    target.beside().send(manifest_name(target.place.name), data, digest(data))


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
            same = digest(public.get(key)) == digests[key]
        except StoreError as error:
            raise StoreError(
                f"publish: the store is there, but not public: {error}; "
                "allow s3:GetObject to everyone in the bucket's policy, or leave --anon-check out"
            ) from None
        if not same:
            raise StoreError(f"publish: the public reads another {url}/{key}; is there a cache?")
    _check_absence(public, url)


def _check_absence(public: PublishedTree, url: str) -> None:
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
