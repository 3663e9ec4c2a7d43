"""What identifies the version of an input that was read: URI, size, ETag, modification time."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from geoembz._objects.identity import public_uri, split_query, without_credentials
from geoembz._objects.reading import object_status, read_range
from geoembz._objects.subdatasets import Subdataset
from geoembz.sources.base import SourceInfo
from geoembz.sources.stamps import Stamp, place_behind, stamps_of

_ZARR_DOCUMENTS = ("zarr.json", ".zgroup", ".zmetadata")
_HASHED_BYTES = 16 * 2**20
"""What is read at once for a checksum."""


def identify(path: str, files: Sequence[str] = ()) -> SourceInfo:
    """Return the identity of a local file, a URL or a GDAL ``/vsi`` path, without credentials.

    Parameters
    ----------
    path
        What was opened.
    files
        What it is read from, by GDAL's names, such as the members of a virtual raster.
    """
    part = Subdataset.of(path)
    if part is not None:
        whole = identify(part.file, files)
        return replace(whole, uri=f"{whole.uri}#{quote(part.member)}")
    places = {place for place in map(place_behind, (path, *files)) if place is not None}
    if path.startswith("/vsi"):  # first: /vsicurl/https://… holds a scheme, too
        uri = f"gdal:{quote(without_credentials(path))}"
        return SourceInfo(uri, watched=stamps_of(sorted(places)))
    others = stamps_of(sorted(places - {path}))
    if "://" in path:
        seen = object_status(path)
        own = Stamp(path, seen.size_bytes, seen.etag or seen.modified)
        return SourceInfo(
            public_uri(path), seen.size_bytes, seen.etag, path=path, watched=(own, *others)
        )
    status = Path(path).stat()
    return SourceInfo(
        uri=f"file:{quote(Path(path).name)}",
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        path=path,
        watched=(Stamp.of(path), *others),
    )


def identify_tree(path: str, member: str = "") -> SourceInfo:
    """Return the identity of a Zarr group: it is as old as its metadata."""
    suffix = f"/{quote(member)}" if member else ""
    place, query = split_query(path)
    folder = f"{place.rstrip('/')}/{member}".rstrip("/")
    documents = [f"{folder}/{name}{query}" for name in _ZARR_DOCUMENTS]
    found = [stamp for stamp in stamps_of(documents) if stamp.size_bytes is not None]
    if "://" in path:
        return SourceInfo(uri=public_uri(path).rstrip("/") + suffix, watched=tuple(found))
    times = [stamp.version[0] for stamp in found if isinstance(stamp.version, tuple)]
    return SourceInfo(
        uri=f"file:{quote(Path(path).name)}{suffix}",
        mtime_ns=max(times, default=None),
        watched=tuple(found),
    )


def with_checksum(info: SourceInfo) -> SourceInfo:
    """Read an input whole and return its identity with the SHA-256 of its content.

    Inputs that are no single file (Zarr groups, arrays in memory, GDAL ``/vsi`` paths) come back
    as they are.

    Raises
    ------
    SourceError
        If the input cannot be read.
    """
    if info.path is None:
        return info
    digest, position = hashlib.sha256(), 0
    while content := read_range(info.path, position, position + _HASHED_BYTES):
        digest.update(content)
        position += len(content)
        if len(content) < _HASHED_BYTES:  # servers refuse ranges that begin at the end
            break
        if position == info.size_bytes:
            break
    return replace(info, sha256=digest.hexdigest())
