"""The objects of a store that is published, or published to: listed, read, written and compared.

What a write stores is compared with what was sent: an S3 server says its MD5, of all others the
object is read back. Web servers cannot list: what a store of format 0.2 holds is known by its
digests, of an older one by the manifest beside it.
"""

import copy
import io
from pathlib import Path
from typing import Self

from geoembz._objects.faults import RetryPolicy, as_store_error
from geoembz._objects.files import PARTIAL
from geoembz._objects.icechunk import pin_url
from geoembz._objects.names import (
    StoreUrl,
    check_endpoint,
    check_key,
    is_icechunk,
    parse_store_url,
)
from geoembz._objects.stores import Access
from geoembz._objects.tree import Listed, ObjectTree
from geoembz._publish.manifest import Digest, content_type, digest, manifest_name, parse_manifest
from geoembz.errors import StoreError
from geoembz.store.contents import recorded_digests
from geoembz.store.digests import ROOT
from geoembz.store.lock import DestinationLock

_SINGLE_PUT_BYTES = 5 * 2**30


class PublishedTree(ObjectTree):
    """Objects under a prefix, by keys that are checked.

    Parameters
    ----------
    place
        Where it is.
    access
        How the server is asked.

    Attributes
    ----------
    place
        As given.
    lock
        Of whoever publishes to it: nothing is sent or deleted unless it is held. None: not asked.
    """

    def __init__(self, place: StoreUrl, access: Access) -> None:
        super().__init__(place.root if place.protocol == "file" else str(place), access=access)
        self.place = place
        self.lock: DestinationLock | None = None

    def beside(self) -> Self:
        """Return the tree that holds this one's siblings: manifest, STAC. The same lock holds."""
        tree = copy.copy(self)
        tree.place = self.place.parent
        tree.url, tree.root = self.url.rpartition("/")[0], self.root.rpartition("/")[0]
        tree.local_path = self.local_path.parent
        return tree

    def fenced_by(self, lock: DestinationLock) -> Self:
        """Return the same tree for whoever holds a lock, as long as nobody takes it over."""
        tree = copy.copy(self)
        tree.lock = lock
        return tree

    def list(self) -> dict[str, Listed]:
        """Return every object by relative key.

        Raises
        ------
        StoreError
            If there is a link, which is not followed; if a web server has a store that does not
            say what it holds.
        """
        if self.is_local:
            return _list_files(self.local_path)
        return self._list_by_digests() if self.is_web else self._list()

    def _list_by_digests(self) -> dict[str, Listed]:
        """Return every object that the store has a digest of, else those of its manifest."""
        root = self.read(ROOT)
        if root is None:
            return {}
        recorded = recorded_digests(root, self.get)
        if recorded is not None:
            return dict.fromkeys((ROOT, *recorded), Listed(None))
        name = manifest_name(self.place.name)
        content = self.beside().read(name)
        if content is None:
            raise StoreError(
                f"publish: {self.place} cannot be listed over {self.place.protocol}; expected a "
                f"store of format 0.2, or {name} beside it, to tell which objects there are; "
                "publish the original again, or copy the store by other means"
            )
        manifest = parse_manifest(content, f"{self.place}{manifest_name('')}")
        return {key: Listed(entry.size) for key, entry in manifest.entries.items()}

    def get(self, key: str) -> bytes:
        """Return the content of an object.

        Raises
        ------
        StoreError
            If there is none, or it cannot be read.
        """
        try:
            content = self.read(check_key(key))
            if content is None:
                raise FileNotFoundError(f"there is no {key}")
        except OSError as error:
            raise as_store_error(error, f"GET {self.url}/{key}") from None
        return content

    def send(self, key: str, content: bytes, expected: Digest) -> None:
        """Write an object whole, and make sure that it is what is there then.

        Raises
        ------
        StoreError
            If it is not, or the destination is not held any more.
        """
        self._check_held()
        check_key(key)
        if self.place.protocol == "s3":
            if self._put(key, content, expected) == expected.md5:
                return
        else:
            self.write(key, content)
        if digest(self.get(key)) != expected:
            raise StoreError(
                f"publish: {self.place}/{key} is not what was sent (it differs on reading back); "
                "check the disk or the server, then run the same command again"
            )

    def _put(self, key: str, content: bytes, expected: Digest) -> str:
        """Send an object with one PUT and its MD5, whole or not at all; return its ETag."""
        if len(content) > _SINGLE_PUT_BYTES:
            raise StoreError(
                f"publish: {key} has {len(content):,} bytes, more than one PUT can hold "
                f"({_SINGLE_PUT_BYTES:,}); convert with smaller shards"
            )

        def put() -> str:
            response = self.filesystem.call_s3(
                "put_object",
                Bucket=self.place.bucket,
                Key=f"{self.place.prefix}/{key}".lstrip("/"),
                Body=io.BytesIO(content),  # a stream: aiohttp warns of large raw bytes
                ContentMD5=expected.content_md5,
                ContentType=content_type(key),
                Metadata={"sha256": expected.sha256},
            )
            return str(response.get("ETag", "")).strip('"')

        return self._ask("PUT", key, put)

    def delete(self, key: str, *, is_held: bool = True) -> None:
        """Delete an object; `is_held`: only while the destination is."""
        if is_held:
            self._check_held()
        super().delete(check_key(key))

    def _check_held(self) -> None:
        """Refuse to go on where another command has taken the destination over."""
        if self.lock is not None and not self.lock.is_ours():
            raise StoreError(
                f"publish: {self.lock.url}: another command has taken the destination over; this "
                "one ends here; run it again once the other has ended"
            )


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
        for path in (folder / name for name in files if not name.endswith(PARTIAL)):
            found[path.relative_to(root).as_posix()] = Listed(path.stat().st_size)
    return found


def open_tree(
    url: str,
    *,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    policy: RetryPolicy | None = None,
) -> PublishedTree:
    """Return the tree under a URL or a local path.

    Parameters
    ----------
    url
        Of a store, checked by `parse_store_url`.
    endpoint_url
        Of an S3 server other than Amazon's; AWS_ENDPOINT_URL counts too.
    anonymous
        Send no credentials (S3 only).
    policy
        Retries.

    Raises
    ------
    InvalidConfigError
        If the URL or endpoint is refused.
    """
    access = Access(check_endpoint(endpoint_url), anonymous, policy or RetryPolicy())
    if is_icechunk(url):
        protocol, _, root = pin_url(url, access).partition("://")
        return PublishedTree(StoreUrl(protocol, root), access)
    return PublishedTree(parse_store_url(url), access)
