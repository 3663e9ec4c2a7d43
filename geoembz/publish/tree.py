"""Object trees: what lies under a prefix, read, written and deleted by relative key.

Knows fsspec and, for S3, s3fs. Each write is checked against what the server says it stored.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from geoembz.errors import StoreError
from geoembz.publish.digest import Digest, content_type, digest
from geoembz.publish.names import StoreUrl, check_endpoint, check_key, parse_store_url
from geoembz.publish.retry import RetryPolicy, with_retries

_MD5 = re.compile(r"[0-9a-f]{32}")
_SINGLE_PUT_BYTES = 5 * 2**30


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it; `md5` only where the server computed one."""

    size: int
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

    def delete(self, key: str) -> None:
        """Delete an object."""
        ...


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
        return S3Tree(store, _s3_filesystem(endpoint, anonymous=anonymous), policy)
    import fsspec

    return FsspecTree(store, fsspec.filesystem(store.protocol), policy)


def beside(tree: ObjectTree) -> ObjectTree:
    """Return the tree that holds a store's siblings: manifest, STAC."""
    parent = StoreUrl(tree.url.protocol, tree.url.root.rpartition("/")[0])
    if isinstance(tree, S3Tree):
        return S3Tree(parent, tree.fs, tree.policy)
    if isinstance(tree, FsspecTree):
        return FsspecTree(parent, tree.fs, tree.policy)
    raise TypeError(f"unknown tree {type(tree).__name__}")


def _s3_filesystem(endpoint_url: str | None, *, anonymous: bool) -> Any:  # noqa: ANN401
    import os

    import s3fs

    endpoint = endpoint_url or check_endpoint(os.environ.get("AWS_ENDPOINT_URL") or None)
    config: dict[str, Any] = {
        "retries": {"max_attempts": 0},
        "connect_timeout": 10,
        "read_timeout": 60,
        "max_pool_connections": 64,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if endpoint:
        config["s3"] = {"addressing_style": "path"}
    filesystem = s3fs.S3FileSystem(
        anon=anonymous,
        endpoint_url=endpoint,
        config_kwargs=config,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    filesystem.retries = 1  # ours are the only ones: one policy, one count
    return filesystem


@dataclass(frozen=True)
class S3Tree:
    """A prefix in a bucket. Writes are single PUTs with Content-MD5: whole or not at all."""

    url: StoreUrl
    fs: Any
    policy: RetryPolicy

    def list(self) -> dict[str, Listed]:
        """Return every object under the prefix by relative key."""
        prefix = f"{self.url.prefix}/".lstrip("/")
        found: dict[str, Listed] = {}
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", "LIST", "", Prefix=prefix, **token)
            for item in page.get("Contents", ()):
                if key := item["Key"][len(prefix) :]:
                    etag = str(item.get("ETag", "")).strip('"')
                    md5 = etag if _MD5.fullmatch(etag) else None
                    found[key] = Listed(int(item["Size"]), md5)
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        path = f"{self.url.root}/{check_key(key)}"
        return bytes(with_retries(lambda: self.fs.cat_file(path), f"GET s3://{path}", self.policy))

    def write(self, key: str, data: bytes, expected: Digest) -> None:
        """Store an object and compare the server's checksum; read back where it gives none."""
        if len(data) > _SINGLE_PUT_BYTES:
            raise StoreError(
                f"publish: {key} has {len(data):,} bytes, more than one PUT can hold "
                f"({_SINGLE_PUT_BYTES:,}); convert with smaller shards"
            )
        response = self._call(
            "put_object",
            "PUT",
            check_key(key),
            Body=data,
            ContentMD5=expected.content_md5,
            ContentType=content_type(key),
            Metadata={"sha256": expected.sha256},
        )
        stored = str(response.get("ETag", "")).strip('"')
        if stored != expected.md5 and digest(self.read(key)) != expected:
            raise StoreError(
                f"publish: {self.url}/{key} is not what was sent (sha256 differs on reading back); "
                "check the server, then run the same command again"
            )

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._call("delete_object", "DELETE", check_key(key))

    def _call(self, method: str, verb: str, key: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        what = f"{verb} {self.url}" + (f"/{key}" if key else "")
        if key:
            arguments["Key"] = f"{self.url.prefix}/{key}".lstrip("/")
        body = arguments.pop("Body", None)

        def action() -> dict[str, Any]:
            if body is not None:  # a stream: aiohttp warns of large raw bytes
                arguments["Body"] = io.BytesIO(body)
            return dict(self.fs.call_s3(method, Bucket=self.url.bucket, **arguments))

        return with_retries(action, what, self.policy)


@dataclass(frozen=True)
class FsspecTree:
    """A directory or prefix of any fsspec file system; writes are checked by reading back."""

    url: StoreUrl
    fs: Any
    policy: RetryPolicy

    def list(self) -> dict[str, Listed]:
        """Return every object under the prefix by relative key; links are refused."""
        root = self._root()
        found = self.fs.find(root, detail=True, withdirs=False)
        if self.url.protocol == "file":
            _refuse_links(Path(root))
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
            self.fs.pipe_file(path, data)

        with_retries(action, f"PUT {path}", self.policy)
        if digest(self.read(key)) != expected:
            raise StoreError(f"publish: {self.url}/{key} is not what was sent; check the disk")

    def delete(self, key: str) -> None:
        """Delete an object."""
        path = f"{self._root()}/{check_key(key)}"
        with_retries(lambda: self.fs.rm_file(path), f"DELETE {path}", self.policy)

    def _root(self) -> str:
        return str(self.fs._strip_protocol(self.url.root)).rstrip("/")  # noqa: SLF001


def _refuse_links(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_symlink():
            raise StoreError(
                f"publish: {path} is a symbolic link; a store holds plain files only, and what a "
                "link points at is not published; replace it by a copy"
            )
