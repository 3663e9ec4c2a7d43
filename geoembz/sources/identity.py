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
