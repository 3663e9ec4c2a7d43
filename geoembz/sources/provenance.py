"""What identifies the version of an input that was read: URI, size, ETag, modification time."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from geoembz._objects.identity import public_uri, without_credentials
from geoembz._objects.reading import object_status, read_range
from geoembz._objects.subdatasets import Subdataset
from geoembz.sources.base import SourceInfo
from geoembz.sources.stamps import Stamp

_HASHED_BYTES = 16 * 2**20
"""What is read at once for a checksum."""


def identify(path: str, files: Sequence[str] = ()) -> SourceInfo:
    """Return the identity of a local file, a URL or a GDAL ``/vsi`` path, without credentials.

    Parameters
    ----------
    path
        What was opened.
    files
        Local files that it is read from, such as the members of a virtual raster.
    """
    part = Subdataset.of(path)
    if part is not None:
        whole = identify(part.file, files)
        return replace(whole, uri=f"{whole.uri}#{quote(part.member)}")
    if path.startswith("/vsi"):  # first: /vsicurl/https://… holds a scheme, too
        return SourceInfo(uri=f"gdal:{quote(without_credentials(path))}")
    if "://" in path:
        size_bytes, etag = object_status(path)
        uri, own = public_uri(path), (Stamp(path, size_bytes, etag),)
        return SourceInfo(uri, size_bytes=size_bytes, version=etag, path=path, watched=own)
    status = Path(path).stat()
    return SourceInfo(
        uri=f"file:{quote(Path(path).name)}",
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        path=path,
        watched=(Stamp.of(path), *(Stamp.of(name) for name in sorted(set(files) - {path}))),
    )


def identify_tree(path: str, member: str = "") -> SourceInfo:
    """Return the identity of a Zarr group: a local one is as old as its metadata."""
    suffix = f"/{quote(member)}" if member else ""
    if "://" in path:
        return SourceInfo(uri=public_uri(path).rstrip("/") + suffix)
    documents = (Path(path, member, name) for name in ("zarr.json", ".zgroup", ".zmetadata"))
    found = [document for document in documents if document.exists()]
    return SourceInfo(
        uri=f"file:{quote(Path(path).name)}{suffix}",
        mtime_ns=max((document.stat().st_mtime_ns for document in found), default=None),
        watched=tuple(Stamp.of(str(document)) for document in found),
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
