"""Read bytes of local and remote files with fsspec."""

from collections.abc import Iterable
from typing import IO, Any, NamedTuple

import fsspec

from geoembz._objects.identity import display_name
from geoembz._objects.names import is_icechunk
from geoembz._objects.stores import S3, Access, open_filesystem, s3_options
from geoembz.errors import SourceError

_BLOCK_BYTES, _MOST_BLOCKS = 2 * 2**20, 64


def read_range(path: str, start: int, stop: int | None) -> bytes:
    """Return bytes ``[start, stop)`` of a file, or those that there are; None reads to the end.

    Raises
    ------
    SourceError
        If the file cannot be read.
    """
    filesystem, root = filesystem_of(path)
    try:
        content: bytes = filesystem.cat_file(root, start=start, end=stop)
    except _faults(path) as error:
        raise SourceError(
            f"{display_name(path)}: cannot be read ({type(error).__name__}: {error}); "
            "check the path, and for object stores the credentials"
        ) from error
    return content


def open_remote(path: str) -> IO[bytes]:
    """Open a remote file for reading parts of it; the last 64 blocks of 2 MB stay in memory.

    Raises
    ------
    SourceError
        If the file cannot be opened.
    """
    filesystem, root = filesystem_of(path)
    try:
        file: IO[bytes] = filesystem.open(
            root,
            "rb",
            block_size=_BLOCK_BYTES,
            cache_type="blockcache",
            cache_options={"maxblocks": _MOST_BLOCKS},
        )
    except _faults(path) as error:
        raise SourceError(
            f"{display_name(path)}: cannot be opened ({type(error).__name__}: {error}); "
            "check the URL, and for object stores the credentials"
        ) from error
    return file


class ObjectStatus(NamedTuple):
    """What a server says of an object, each None where it is silent.

    Parameters
    ----------
    size_bytes
        Its size.
    etag
        Its ETag, without quotes.
    modified
        When it was modified last, in the server's own form.
    """

    size_bytes: int | None = None
    etag: str | None = None
    modified: str | None = None


def object_status(path: str) -> ObjectStatus:
    """Return what tells this version of an object from others, as it was last listed, or is now."""
    filesystem, root = filesystem_of(path)
    try:
        status = filesystem.info(root)
    except PermissionError:
        status = _find_listed(filesystem, path, root)
    except _faults(path):
        status = {}  # whoever reads the object says what is wrong with it
    etag = status.get("ETag") or status.get("etag")
    modified = status.get("Last-Modified") or status.get("LastModified")
    return ObjectStatus(
        status.get("size"),
        None if etag is None else str(etag).strip('"'),
        None if modified is None else str(modified),
    )


def forget_listings(paths: Iterable[str]) -> None:
    """See what is there now: listings of a bucket are kept, and objects looked up in them."""
    for path in paths:
        if "://" in path and not path.startswith("/vsi"):
            filesystem_of(path)[0].invalidate_cache()


def exists(path: str) -> bool:
    """Whether a file is there and may be read, even where its headers alone may not."""
    filesystem, root = filesystem_of(path)
    try:
        return bool(filesystem.exists(root))
    except PermissionError:
        try:
            filesystem.cat_file(root, start=0, end=1)
        except OSError:
            return False
        return True


def filesystem_of(path: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path there.

    Raises
    ------
    SourceError
        If nothing installed speaks the URL's protocol.
    """
    if is_icechunk(path):
        return open_filesystem(path, Access())
    options = s3_options(keeps_listings=True) if path.startswith(S3) else {}
    try:
        filesystem, root = fsspec.core.url_to_fs(path, **options)
    except (ImportError, ValueError) as error:
        raise SourceError(
            f"{display_name(path)}: {error}; expected a path or a URL such as s3://bucket/key"
        ) from error
    return filesystem, root


def _find_listed(filesystem: Any, path: str, root: str) -> dict[str, Any]:
    """Return what a listing says of an object, where its headers may not be read; else nothing."""
    try:
        entries = filesystem.ls(root.rpartition("/")[0], detail=True)
    except _faults(path):
        return {}
    return next((entry for entry in entries if entry["name"] == root), {})


def _faults(path: str) -> tuple[type[Exception], ...]:
    """Return what fsspec raises where a server does not answer as it should."""
    if not path.startswith(S3):
        return OSError, ValueError
    from botocore.exceptions import BotoCoreError

    return OSError, ValueError, BotoCoreError
