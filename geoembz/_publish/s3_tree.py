"""Objects in an S3 bucket. Each PUT is checked against what the server says it stored.

The only module that knows s3fs.
"""

import io
import os
import re
from dataclasses import dataclass
from typing import Any

from geoembz._objects.faults import fault_code
from geoembz._objects.names import StoreUrl, check_endpoint, check_key
from geoembz._objects.tree import EXISTS_CODES
from geoembz._publish.manifest import Digest, content_type, digest
from geoembz._publish.tree import Listed, RetryPolicy, with_retries
from geoembz.errors import StoreError

_MD5 = re.compile(r"[0-9a-f]{32}")
_SINGLE_PUT_BYTES = 5 * 2**30


def s3_filesystem(endpoint_url: str | None, *, anonymous: bool) -> Any:
    """Return an s3fs file system without caches or retries of its own; errors come at once."""
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
        max_concurrency=1,  # else it asks for the size of each object before it reads it
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

    def beside(self) -> "S3Tree":
        """Return the tree that holds this one's siblings: manifest, STAC."""
        return S3Tree(self.url.parent, self.fs, self.policy)

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

    def create(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one; return whether it was stored."""

        def action() -> bool:
            try:
                self.fs.call_s3("put_object", **self._at(key), Body=data, IfNoneMatch="*")
            except OSError as error:
                if isinstance(error, FileExistsError) or fault_code(error) in EXISTS_CODES:
                    return False
                raise
            return True

        return with_retries(action, f"PUT {self.url}/{check_key(key)}", self.policy)

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._call("delete_object", "DELETE", check_key(key))

    def _call(self, method: str, verb: str, key: str, **arguments: Any) -> dict[str, Any]:
        what = f"{verb} {self.url}" + (f"/{key}" if key else "")
        arguments |= self._at(key)
        body = arguments.pop("Body", None)

        def action() -> dict[str, Any]:
            if body is not None:  # a stream: aiohttp warns of large raw bytes
                arguments["Body"] = io.BytesIO(body)
            return dict(self.fs.call_s3(method, **arguments))

        return with_retries(action, what, self.policy)

    def _at(self, key: str) -> dict[str, str]:
        """Return how a request names an object; without a key, the bucket."""
        bucket = {"Bucket": self.url.bucket}
        return {**bucket, "Key": f"{self.url.prefix}/{key}".lstrip("/")} if key else bucket
