"""Check names before anything is read or written: URLs, prefixes, object keys.

Knows only strings, and the folder that relative paths start from. A name that could leave its
prefix, or carry a secret, is refused here.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from geoembz.errors import InvalidConfigError

ICECHUNK = "icechunk+"
"""How URLs of places in Icechunk repositories begin."""

_LONGEST_KEY_BYTES = 1024  # the S3 limit
_FORBIDDEN = frozenset('\\{}^%`[]"<>~#|?*')


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A checked destination.

    Parameters
    ----------
    protocol
        fsspec protocol, e.g. ``s3``.
    root
        Bucket and prefix, or absolute path, without a trailing slash.
    """

    protocol: str
    root: str

    def __str__(self) -> str:
        """Return the URL."""
        return f"{self.protocol}://{self.root}"

    @property
    def bucket(self) -> str:
        """First part of the root."""
        return self.root.split("/", 1)[0]

    @property
    def prefix(self) -> str:
        """Root without the bucket."""
        return self.root.partition("/")[2]

    @property
    def name(self) -> str:
        """Last part of the root."""
        return self.root.rsplit("/", 1)[-1]

    @property
    def parent(self) -> "StoreUrl":
        """The prefix that holds this one; a bucket at the least."""
        return StoreUrl(self.protocol, self.root.rpartition("/")[0])


def parse_store_url(url: str) -> StoreUrl:
    """Check a store's URL or path.

    Parameters
    ----------
    url
        ``s3://bucket/prefix/name.zarr``, any other fsspec URL, or a local path, which is made
        absolute: what follows ``file://`` up to a slash would be a host.

    Raises
    ------
    InvalidConfigError
        If it holds credentials (they are not repeated), has no name of its own, or a part of it
        is ``..``, empty or not printable.

    Examples
    --------
    >>> parse_store_url("s3://bucket/a/b.zarr/").prefix
    'a/b.zarr'
    """
    protocol, separator, root = url.partition("://")
    if not separator:
        protocol, root = "file", url
    if protocol != "file" and "@" in root.split("/", 1)[0]:
        raise InvalidConfigError(
            f"the {protocol} URL holds credentials; give them in the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or a profile (AWS_PROFILE), never in a URL"
        )
    root = root.rstrip("/")
    if protocol != "file":
        _check_parts(url, root)
        if "/" not in root.strip("/") and protocol == "s3":
            raise InvalidConfigError(f"{url} names a whole bucket; expected s3://bucket/name.zarr")
    if not root:
        raise InvalidConfigError(f"{url!r} names no store; expected s3://bucket/name.zarr")
    return StoreUrl(protocol, str(Path(root).absolute()) if protocol == "file" else root)


def is_icechunk(url: str) -> bool:
    """Whether a URL names something in an Icechunk repository.

    Examples
    --------
    >>> is_icechunk("icechunk+s3://bucket/tiles@main"), is_icechunk("s3://bucket/tiles.zarr")
    (True, False)
    """
    return url.startswith(ICECHUNK)


def refuse_snapshot(url: str) -> None:
    """Refuse to write to a place in an Icechunk repository, which changes by commits alone.

    Raises
    ------
    InvalidConfigError
        Saying how.
    """
    if is_icechunk(url):
        raise InvalidConfigError(
            f"{url}: a place in an Icechunk repository, whose snapshots never change; write a "
            "plain store, and commit it: geoembz publish STORE icechunk+…@BRANCH"
        )


def check_endpoint(endpoint_url: str | None) -> str | None:
    """Return an endpoint unchanged, or refuse one that is no http(s) URL or holds credentials."""
    if endpoint_url is None:
        return None
    parts = urlsplit(endpoint_url)
    if parts.username or parts.password:
        raise InvalidConfigError(
            "the endpoint (--endpoint-url, AWS_ENDPOINT_URL) holds credentials; give them in "
            "the environment instead"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidConfigError(
            f"endpoint {endpoint_url!r} (--endpoint-url, AWS_ENDPOINT_URL); expected http://… or "
            "https://…"
        )
    return endpoint_url


def check_key(key: str) -> str:
    """Return a key relative to a store unchanged, or refuse one that could leave it.

    Raises
    ------
    InvalidConfigError
        If a part is empty, ``.`` or ``..``, or a character is not portable.

    Examples
    --------
    >>> check_key("embedding/c/0/1/2")
    'embedding/c/0/1/2'
    """
    _check_parts(key, key)
    return key


def is_codes(path: str) -> bool:
    """Whether an array holds the codes of a store, or of a grid of one, at full resolution.

    Examples
    --------
    >>> is_codes("embedding"), is_codes("utm31n/embedding"), is_codes("digests/embedding")
    (True, True, False)
    >>> is_codes("overviews/2/embedding")
    False
    """
    *groups, name = path.split("/")
    return name == "embedding" and "digests" not in groups and not is_of_level(path)


def is_of_level(path: str) -> bool:
    """Whether an object or a node belongs to an overview, not to a store's full resolution.

    Examples
    --------
    >>> is_of_level("utm31n/overviews/2/embedding"), is_of_level("utm31n/embedding")
    (True, False)
    """
    return "overviews" in path.split("/")


_TEXTS = {".html": "html", ".css": "css", ".js": "javascript", ".txt": "plain"}


def text_type(name: str) -> str | None:
    """Return the media type of a file of a page by its name; None of what is none.

    Examples
    --------
    >>> text_type("out.zarr.view/main.js"), text_type("out.zarr/zarr.json")
    ('text/javascript; charset=utf-8', None)
    """
    kind = next((kind for suffix, kind in _TEXTS.items() if name.endswith(suffix)), None)
    return None if kind is None else f"text/{kind}; charset=utf-8"


def _check_parts(what: str, path: str) -> None:
    odd = sorted({c for c in path if not c.isprintable() or c in _FORBIDDEN})
    parts = path.split("/")
    if odd or any(part in ("", ".", "..") for part in parts) or path != path.strip():
        raise InvalidConfigError(
            f"name {what!r} is refused"
            + (f" for its characters {odd}" if odd else "")
            + "; expected parts separated by single slashes, none of them '.' or '..', "
            "in printable characters that every object store accepts"
        )
    if len(path.encode()) > _LONGEST_KEY_BYTES:
        raise InvalidConfigError(
            f"name {what[:60]!r}… is longer than {_LONGEST_KEY_BYTES} bytes; shorten it"
        )
