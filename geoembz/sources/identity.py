"""What identifies the version of an input that was read: URI, size, modification time."""

import re
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from geoembz.sources.base import SourceInfo


def identify(path: str) -> SourceInfo:
    """Return the identity of a local file, a URL or a GDAL ``/vsi`` path, without credentials."""
    if path.startswith("/vsi"):  # first: /vsicurl/https://… holds a scheme, too
        return SourceInfo(uri=f"gdal:{quote(_without_credentials(path))}")
    if "://" in path:
        return SourceInfo(uri=public_uri(path))
    status = Path(path).stat()
    return SourceInfo(
        uri=f"file:{quote(Path(path).name)}",
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )


def identify_tree(path: str, member: str = "") -> SourceInfo:
    """Return the identity of a Zarr group: a local one is as old as its metadata."""
    suffix = f"/{quote(member)}" if member else ""
    if "://" in path:
        return SourceInfo(uri=public_uri(path).rstrip("/") + suffix)
    documents = (Path(path, member, name) for name in ("zarr.json", ".zgroup", ".zmetadata"))
    times = [document.stat().st_mtime_ns for document in documents if document.exists()]
    return SourceInfo(
        uri=f"file:{quote(Path(path).name)}{suffix}", mtime_ns=max(times, default=None)
    )


def public_input(path: str) -> str:
    """Return the URI of an input that may not be there, as `identify` makes it."""
    if "://" in path:
        return public_uri(path)
    return f"file:{quote(Path(path).name)}"


def split_query(path: str) -> tuple[str, str]:
    """Return a path, and the query that a signed URL carries behind it, question mark included.

    Examples
    --------
    >>> split_query("https://example.org/a.npy?sig=1"), split_query("what?.tif")
    (('https://example.org/a.npy', '?sig=1'), ('what?.tif', ''))
    """
    if "://" not in path:
        return path, ""
    place, mark, query = path.partition("?")
    return place, mark + query


def display_name(path: str) -> str:
    """Return a path or URL as messages show it: without credentials."""
    if path.startswith("/vsi"):
        return _without_credentials(path)
    return public_uri(path) if "://" in path else path


def public_uri(url: str) -> str:
    """Return a URL without user, password, query and fragment, where secrets travel.

    Examples
    --------
    >>> public_uri("https://user:secret@example.org/a.tif?X-Amz-Signature=abc")
    'https://example.org/a.tif'
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def _without_credentials(path: str) -> str:
    return re.sub(r"//[^/@]*@", "//", path).split("?", 1)[0]
