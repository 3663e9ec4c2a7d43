"""Whether an input is still the one that was opened: sizes and times now and then."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

from geoembz._objects.identity import display_name
from geoembz._objects.reading import forget_listings, object_status, read_range
from geoembz._objects.subdatasets import Subdataset
from geoembz.errors import SourceChangedError

if TYPE_CHECKING:
    from geoembz.sources.base import SourceInfo

_ASKED_AT_ONCE = 32
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
    from concurrent.futures import ThreadPoolExecutor

    places = list(paths)
    if len(places) == 1 or not any("://" in place for place in places):
        return tuple(map(Stamp.of, places))
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        return tuple(pool.map(Stamp.of, places))


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


def check_unchanged(infos: Iterable["SourceInfo"]) -> None:
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
