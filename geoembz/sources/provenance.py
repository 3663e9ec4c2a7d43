"""What identifies the version of an input that was read, and whether it is still that one."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote

from geoembz._objects.identity import (
    Subdataset,
    display_name,
    public_uri,
    split_query,
    without_credentials,
)
from geoembz._objects.names import ICECHUNK, is_icechunk
from geoembz._objects.reading import forget_listings, object_status, read_range
from geoembz._util.threads import for_each
from geoembz.errors import SourceChangedError

_ASKED_AT_ONCE = 32
BBOX = "bbox"
"""Under which key a store says where the pixels of a source lie."""

_ARCHIVE = re.compile(r"(.+?\.(?:zip|kmz|tar|tgz|gz|7z|rar))(?:/.*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Stamp:
    """One file or object, as it is at a moment.

    Parameters
    ----------
    path
        Where it is.
    size_bytes
        Its size; None where it is unknown, or nothing is there.
    version
        Modification time in ns and inode of a local file; ETag of an object, or else what the
        server says of its last modification. None where unknown.
    """

    path: str
    size_bytes: int | None
    version: tuple[int, int] | str | None

    @classmethod
    def of(cls, path: str) -> Self:
        """Return a file or object as it is now."""
        if "://" in path:
            status = object_status(path)
            return cls(path, status.size_bytes, status.etag or status.modified)
        try:
            file = Path(path).stat()
        except OSError:
            return cls(path, None, None)
        return cls(path, file.st_size, (file.st_mtime_ns, file.st_ino))

    def brief(self) -> list[Any]:
        """Return what tells it from another version, without the folder it is in."""
        time = self.version[0] if isinstance(self.version, tuple) else self.version
        return [Path(self.path).name, self.size_bytes, time]


def stamps_of(paths: Iterable[str]) -> tuple[Stamp, ...]:
    """Return files and objects as they are now, in order; servers are asked for many at once."""
    places = list(paths)
    if len(places) == 1 or not any("://" in place for place in places):
        return tuple(map(Stamp.of, places))
    return tuple(for_each(places, Stamp.of, _ASKED_AT_ONCE))


def place_behind(name: str) -> str | None:
    """Return the path or URL of the file that GDAL reads under a name; None where that is unknown.

    Of a file in an archive it is the archive.

    Examples
    --------
    >>> place_behind("/vsicurl/https://example.org/a.tif"), place_behind("/vsis3/bucket/a.tif")
    ('https://example.org/a.tif', 's3://bucket/a.tif')
    >>> place_behind("/vsizip//data/a.zip/b.tif"), place_behind("/vsigs/bucket/a.tif")
    ('/data/a.zip', None)
    """
    part = Subdataset.of(name)
    if part is not None:
        return place_behind(part.file)
    if not name.startswith("/vsi"):
        return name
    if found := re.match(r"/vsi(?:zip|tar|gzip|7z|rar)/(.+)", name):
        place = place_behind(found[1].lstrip("{").partition("}")[0])
        archive = None if place is None else _ARCHIVE.match(place)
        return None if archive is None else archive[1]
    if found := re.match(r"/vsisubfile/[^,]*,(.+)", name):
        return place_behind(found[1])
    if found := re.match(r"/vsicurl(?:_streaming)?/(.+)", name):
        return found[1]
    if found := re.match(r"/vsis3(?:_streaming)?/(.+)", name):
        return f"s3://{found[1]}"
    return next(iter(parse_qs(name.partition("?")[2]).get("url", ())), None)


@dataclass(frozen=True)
class SourceInfo:
    """One input object and what identifies the version of it that was read.

    Parameters
    ----------
    uri
        A URI without credentials. Of a local file only the name is kept, as ``file:NAME``: stores
        are published, paths of one machine are not.
    size_bytes
        Size of the object, in bytes; None where it is unknown.
    version
        ETag of a remote object; None where it is unknown.
    sha256
        Hex digest of the content, where it was asked for.
    bbox
        ``(xmin, ymin, xmax, ymax)`` of its pixels, in the CRS of the grid they are stored in; None
        where that is not known, and of tables.
    layers
        Names of the layers whose numbers it holds, of an object that holds no vectors.
    mtime_ns
        Modification time of a local file. An interrupted conversion is resumed only while it stays
        the same; a store does not hold it, since a copy of the file must give the same store.
    path
        Where the content can be read again, as it was given; never written anywhere.
    watched
        The files and objects that the content comes from, as they were when it was opened: that of
        `path`, members of a virtual raster, masks and the like.
    """

    uri: str
    size_bytes: int | None = None
    version: str | None = None
    sha256: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    layers: tuple[str, ...] = ()
    mtime_ns: int | None = None
    path: str | None = field(default=None, repr=False, compare=False)
    watched: tuple[Stamp, ...] = field(default=(), repr=False, compare=False)

    def identity(self) -> dict[str, Any]:
        """Return what tells this version of the object from others."""
        known = {
            name: getattr(self, name)
            for name in ("uri", "size_bytes", "version", "sha256", "mtime_ns")
        }
        others = [stamp.brief() for stamp in self.watched if stamp.path != self.path]
        return known | ({"files": others} if others else {})

    def provenance(self) -> dict[str, Any]:
        """Return what a store says about this object."""
        known = {name: value for name, value in self.identity().items() if value is not None}
        for name in ("mtime_ns", "files"):
            known.pop(name, None)
        if self.layers:
            known["layers"] = list(self.layers)
        return known if self.bbox is None else {**known, BBOX: list(self.bbox)}


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
    if is_icechunk(path) and "+file://" in path:  # no folder of this machine
        uri = f"{ICECHUNK}file:{quote(Path(path).name, safe='@')}{suffix}"
        return SourceInfo(uri=uri, watched=tuple(found))
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


def check_unchanged(infos: Iterable[SourceInfo]) -> None:
    """Refuse to go on with inputs that are others than when they were opened.

    Raises
    ------
    SourceChangedError
        If a file was written to, replaced or deleted meanwhile, or an object has another ETag.
    SourceError
        If a server does not answer any more.
    """
    stamps = list(dict.fromkeys(stamp for info in infos for stamp in info.watched))
    forget_listings(stamp.path for stamp in stamps)
    now = stamps_of([stamp.path for stamp in stamps])
    for then, is_now in zip(stamps, now, strict=True):
        if is_now.size_bytes is None and "://" in then.path and then != is_now:
            read_range(then.path, 0, 1)  # where a server merely fails, what is done is kept
        if then != is_now:
            raise SourceChangedError(
                f"{display_name(then.path)}: changed while it was converted: "
                f"{_change(then, is_now)}; expected an input that stays as it is, or a store would "
                "hold parts of two; nothing is kept: run the same command again once the input is "
                "complete"
            )


def _change(then: Stamp, now: Stamp) -> str:
    if now.size_bytes is None:
        return "it is gone"
    if then.size_bytes != now.size_bytes:
        return f"{then.size_bytes} bytes then, {now.size_bytes} now"
    return "replaced or written to since"
