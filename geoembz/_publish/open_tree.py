"""Choose the object tree for a URL: S3 and web servers by their own means, the rest by fsspec.

Web servers cannot list: what a store of format 0.2 holds is known by its digests, of an older one
by the manifest beside it. They are read only.
"""

from dataclasses import dataclass
from typing import Any

from geoembz._objects.names import StoreUrl, check_endpoint, check_key, parse_store_url
from geoembz._objects.stores import ranged_http
from geoembz._publish.manifest import Digest, manifest_name, parse_manifest
from geoembz._publish.s3_tree import S3Tree, s3_filesystem
from geoembz._publish.tree import FsspecTree, Listed, ObjectTree, RetryPolicy, find, with_retries
from geoembz.errors import StoreError
from geoembz.store.digests import ROOT
from geoembz.store.recorded import recorded_digests


@dataclass(frozen=True)
class HttpTree:
    """Objects below an ``http://`` or ``https://`` address."""

    url: StoreUrl
    fs: Any
    policy: RetryPolicy

    def beside(self) -> "HttpTree":
        """Return the tree that holds this one's siblings: manifest, STAC."""
        return HttpTree(self.url.parent, self.fs, self.policy)

    def list(self) -> dict[str, Listed]:
        """Return every object that the store has a digest of, else those of its manifest.

        Raises
        ------
        StoreError
            If there is a store, and neither says what it holds.
        """
        root = find(self, ROOT)
        if root is None:
            return {}
        recorded = recorded_digests(root, self.read)
        if recorded is not None:
            return dict.fromkeys((ROOT, *recorded), Listed(None))
        name = manifest_name(self.url.name)
        content = find(self.beside(), name)
        if content is None:
            raise StoreError(
                f"publish: {self.url} cannot be listed over {self.url.protocol}; expected a store "
                f"of format 0.2, or {name} beside it, to tell which objects there are; publish "
                "the original again, or copy the store by other means"
            )
        manifest = parse_manifest(content, f"{self.url}{manifest_name('')}")
        return {key: Listed(entry.size) for key, entry in manifest.entries.items()}

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        path = f"{self.url}/{check_key(key)}"
        return bytes(with_retries(lambda: self.fs.cat_file(path), f"GET {path}", self.policy))

    def write(self, key: str, data: bytes, expected: Digest) -> None:  # noqa: ARG002
        """Refuse to write."""
        raise self._read_only()

    def create(self, key: str, data: bytes) -> bool:  # noqa: ARG002
        """Refuse to write."""
        raise self._read_only()

    def delete(self, key: str) -> None:  # noqa: ARG002
        """Refuse to delete."""
        raise self._read_only()

    def _read_only(self) -> StoreError:
        return StoreError(
            f"publish: {self.url} is the address of a web server, which only reads; expected a "
            "place to write to: s3://bucket/name.zarr, another fsspec URL or a local path"
        )


def open_tree(
    url: str,
    *,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    policy: RetryPolicy | None = None,
) -> ObjectTree:
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
    store, policy = parse_store_url(url), policy or RetryPolicy()
    endpoint = check_endpoint(endpoint_url)
    if store.protocol == "s3":
        return S3Tree(store, s3_filesystem(endpoint, anonymous=anonymous), policy)
    if store.protocol in ("http", "https"):
        return HttpTree(store, ranged_http(), policy)
    import fsspec

    return FsspecTree(store, fsspec.filesystem(store.protocol), policy)
