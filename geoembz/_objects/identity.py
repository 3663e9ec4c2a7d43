"""Names of inputs that may be shown and stored: URIs without credentials."""

import re
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from geoembz._objects.subdatasets import Subdataset


def public_input(path: str) -> str:
    """Return the URI of an input that may not be there, as `identify` makes it."""
    part = Subdataset.of(path)
    if part is not None:
        return f"{public_input(part.file)}#{quote(part.member)}"
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
    part = Subdataset.of(path)
    if part is not None:
        return part.inside(display_name(part.file))
    if path.startswith("/vsi"):
        return without_credentials(path)
    return public_uri(path) if "://" in path else path


def public_uri(url: str) -> str:
    """Return a URL without user, password, query and fragment, where secrets travel.

    Examples
    --------
    >>> public_uri("https://user:secret@example.org/a.tif?X-Amz-Signature=abc")
    'https://example.org/a.tif'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # a host in brackets that is no address: whoever opens it says so
        return without_credentials(url)
    netloc = parts.netloc.rpartition("@")[2].lower()
    return without_credentials(urlunsplit((parts.scheme, netloc, parts.path, "", "")))


def without_credentials(path: str) -> str:
    """Return a GDAL path without user, password and query."""
    return re.sub(r"//[^/\s]*@", "//", path).split("?", 1)[0]
