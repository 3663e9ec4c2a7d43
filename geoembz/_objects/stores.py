"""Open the file system behind a URL, and translate its errors.

The one place that knows how S3 is configured.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

import fsspec

from geoembz._objects import faults
from geoembz._objects.explain import count
from geoembz._objects.faults import RetryPolicy, as_store_error, is_absence
from geoembz._objects.names import check_endpoint, is_icechunk, parse_store_url
from geoembz.errors import StoreError

_KEYS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_NO_SIGN_REQUEST",
)  # fmt: skip

_former_clients: list[Any] = []
"""Made with other credentials. Nobody closes them, and aiohttp complains of those that just go."""


_CONNECT_SECONDS, _READ_SECONDS = 10, 60
HTTP, S3 = ("http://", "https://"), ("s3://", "s3a://")
_LIBRARIES = (
    "botocore",
    "aiobotocore",
    "aiohttp",
    "s3fs",
    "gcsfs",
    "adlfs",
    "icechunk",
    "_icechunk_python",
)


@dataclass(frozen=True)
class Access:
    """How a server is asked: where it is, as whom, and how patiently.

    Parameters
    ----------
    endpoint_url
        Of an S3 server other than Amazon's; None for ``AWS_ENDPOINT_URL``.
    anonymous
        Whether to send no credentials (S3); None: if there are none, or ``AWS_NO_SIGN_REQUEST``.
    policy
        Retries of each request.
    """

    endpoint_url: str | None = None
    anonymous: bool | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)


def storage_options(url: str, access: Access | None = None) -> dict[str, Any]:
    """Return fsspec's options for a store's URL; see `s3_options`.

    Raises
    ------
    InvalidConfigError
        If an S3 URL holds credentials, names a whole bucket or could leave its prefix, or the
        endpoint is no URL.
    """
    if not url.startswith(S3):
        return {}
    parse_store_url(url)
    return s3_options(access)


def s3_options(access: Access | None = None, *, keeps_listings: bool = False) -> dict[str, Any]:
    """Return s3fs' options: the one way in which stores, inputs and publications reach S3.

    Parameters
    ----------
    access
        Of whoever tries again himself what fails. None for Zarr and fsspec, which do not: botocore
        does so as often.
    keeps_listings
        Whether objects may be looked up in listings that were read before.

    Raises
    ------
    InvalidConfigError
        If the endpoint is no URL.
    """
    _use_credentials(credential_settings())
    _count_requests()
    asked = access or Access()
    endpoint = check_endpoint(asked.endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or None)
    retries = {"max_attempts": faults.ATTEMPTS, "mode": "standard"}
    config: dict[str, Any] = {
        "retries": retries if access is None else {"max_attempts": 0},
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "max_pool_connections": 64,
        # Other servers than Amazon's know no x-amz-checksum headers.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if endpoint:
        config["s3"] = {"addressing_style": "path"}
    return {
        "anon": s3_is_anonymous() if asked.anonymous is None else asked.anonymous,
        "endpoint_url": endpoint,
        "config_kwargs": config,
        "use_listings_cache": keeps_listings,
        "max_concurrency": 1,  # else s3fs asks for the size of each object before it reads it
    }


def credential_settings() -> tuple[str | None, ...]:
    """Return what the environment says about credentials: with another they are to be asked for."""
    return tuple(map(os.environ.get, _KEYS))


@cache
def _count_requests() -> None:
    """Let the clients of S3 that are made from now on tell `explain` of every request."""
    import botocore

    botocore.register_initializer(lambda session: session.register("response-received.s3", _note))


def _note(response_dict: dict[str, Any] | None, **_: Any) -> None:
    """Count an answer; bodies that stream have not come yet, but their size is known."""
    if response_dict is None:  # none came
        count(0)
        return
    is_head = response_dict["context"]["operation_name"].startswith("Head")
    count(0 if is_head else int(response_dict["headers"].get("content-length") or 0))


@lru_cache(maxsize=1)
def _use_credentials(_keys: tuple[str | None, ...]) -> None:
    """Let clients go that were made with other credentials, when they change in this process.

    s3fs keeps clients by their options, in which credentials of the environment do not appear:
    whoever mends a wrong key in a notebook would be refused until Python is started again.
    """
    s3_is_anonymous.cache_clear()
    s3fs = sys.modules.get("s3fs")  # nobody made a client before it was imported
    if s3fs is not None:
        _former_clients.extend(s3fs.S3FileSystem._cache.values())  # noqa: SLF001  no other way
        s3fs.S3FileSystem.clear_instance_cache()


@lru_cache(maxsize=1)
def s3_is_anonymous() -> bool:
    """Whether S3 is to be read without signing: asked for as GDAL does, or nothing to sign with."""
    asked = os.environ.get("AWS_NO_SIGN_REQUEST")
    if asked is not None:
        return asked.upper() in {"YES", "TRUE", "ON", "1"}
    import botocore.session

    return botocore.session.get_session().get_credentials() is None


def gdal_s3_options() -> dict[str, str]:
    """Return what GDAL must be told to reach the server that AWS_ENDPOINT_URL names.

    GDAL knows the host alone, as AWS_S3_ENDPOINT; where that is set it holds.
    """
    unsigned = {"AWS_NO_SIGN_REQUEST": "YES"} if s3_is_anonymous() else {}
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not url or "AWS_S3_ENDPOINT" in os.environ:
        return unsigned
    parts = urlsplit(url)
    return {
        **unsigned,
        "AWS_S3_ENDPOINT": f"{parts.netloc}{parts.path}".rstrip("/"),
        "AWS_HTTPS": "YES" if parts.scheme == "https" else "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }


def open_filesystem(url: str, access: Access) -> tuple[Any, str]:
    """Return the file system of a path or URL, which tries nothing again, and the path in it.

    Raises
    ------
    StoreError
        If the URL's scheme is unknown or its package is missing.
    """
    if is_icechunk(url):
        from geoembz._objects.icechunk import open_snapshot_files

        return open_snapshot_files(url, access)
    options = storage_options(url, access)
    try:
        if url.startswith(HTTP):
            return ranged_http(), url.rstrip("/")
        filesystem, root = fsspec.core.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise StoreError(
            f"{url}: {error}; expected a path or a URL such as s3://bucket/prefix"
        ) from error
    if options:
        filesystem.retries = 1  # s3fs' own: one policy, one count
    return filesystem, root.rstrip("/") or root


def ranged_http(**options: Any) -> Any:
    """Return the file system of HTTP; imported only here, as it needs a quarter of a second."""
    from geoembz._objects.web import RangedHttp

    return RangedHttp(**options)


@contextmanager
def remote_faults(what: str) -> Iterator[None]:
    """Turn what a server or its library raises into a `StoreError` without credentials.

    An absent object stays a `FileNotFoundError`, an absent bucket does not; damaged content is
    not a matter of the server.

    Parameters
    ----------
    what
        What is tried, e.g. ``GET s3://bucket/key``.
    """
    try:
        yield
    except Exception as error:
        if not _is_fault(error):
            raise
        raise as_store_error(error, what) from None


def _is_fault(error: Exception) -> bool:
    library = type(error).__module__.partition(".")[0]
    return (isinstance(error, OSError) and not is_absence(error)) or library in _LIBRARIES
