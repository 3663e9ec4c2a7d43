"""Open rasters with GDAL: each name by the formats that it may hold, and nothing over a network.

GDAL looks at content, not at names: a downloaded ``.tif`` may be a virtual raster over another of
the user's files, whose numbers would then be converted and published, or a description of a web
service, to which GDAL would send requests.

Each thread keeps a bounded number open, and bounded in what GDAL keeps of each: a mosaic may have
more tiles than a process may open, or than memory holds blocks of.
rasterio is imported when it is first needed, so that what reads stores alone does without.
"""

import atexit
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from math import prod
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from geoembz._objects.identity import split_query
from geoembz._objects.stores import gdal_s3_options

BLOCK_CACHE_BYTES = 64 * 2**20
"""GDAL's cache of raw blocks. Windows are aligned to blocks, so none is needed twice; GDAL's own
default, 5 % of the machine's memory, would only grow the process."""

_OF_SUFFIX = {
    ".tif": ("GTiff",),
    ".tiff": ("GTiff",),
    ".gtiff": ("GTiff",),
    ".vrt": ("VRT",),
    ".mrf": ("MRF",),
}
"""Formats of the names that everyone uses."""

_NEVER = frozenset(
    {
        "KMLSUPEROVERLAY",
        *("VRT", "GTI", "DERIVED", "HTTP", "WMS", "WCS", "WMTS", "OGCAPI", "OAPIF", "NGW", "DAAS"),
        *("EEDA", "EEDAI", "PLMOSAIC", "PLSCENES", "STACIT", "STACTA", "POSTGISRASTER", "RASDAMAN"),
        *("GEORASTER", "IRIS_WS", "AMIGOCLOUD", "CARTO", "PDF", "GDALG", "MEM", "MRF"),
    }
)
"""Formats that lead to other files, databases, memory or servers: no other name is theirs."""


def open_gdal(path: str, overview: int | None = None) -> Any:
    """Open a raster for reading, as `rasterio.open`, by the formats that its name may stand for.

    ``.tif`` and ``.tiff`` are GeoTIFF; ``.vrt`` (and ``vrt://``) is a virtual raster, whose members
    may be anything that GDAL reads; every other name, among them those of subdatasets such as
    ``NETCDF:"f.nc":name``, is any format that lies in files.

    Parameters
    ----------
    path
        Path, URL, or a name that GDAL knows.
    overview
        Number of one of the overviews that a file holds, to be read in its place; 0 is the finest.

    Raises
    ------
    rasterio.errors.RasterioIOError
        If it is missing, or none of these formats.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> with open_gdal(str(files.embedding)) as raster:
    ...     raster.driver
    'GTiff'
    """
    first, *others = formats_of(path)
    if not others:
        chosen = {} if overview is None else {"overview_level": overview}
        import rasterio

        return rasterio.open(path, driver=first, **chosen)
    return _open_by_any(path, [first, *others])


def _open_by_any(path: str, drivers: list[str]) -> Any:
    """Do as `rasterio.open`, which takes one driver, by several."""
    from rasterio.env import ensure_env_with_credentials
    from rasterio.io import DatasetReader

    @ensure_env_with_credentials  # type: ignore[untyped-decorator]
    def open_path(path: str) -> Any:
        return DatasetReader(path, driver=drivers)

    return open_path(path)


def formats_of(path: str) -> tuple[str, ...]:
    """Return the names of GDAL's drivers that may open a path.

    Examples
    --------
    >>> formats_of("https://example.org/a.TIF?sig=1"), formats_of("a/mosaic.vrt")
    (('GTiff',), ('VRT',))
    """
    if path.lower().startswith("vrt://"):
        return ("VRT",)
    name = split_query(path)[0].rstrip('"')
    found = _OF_SUFFIX.get(PurePosixPath(name).suffix.lower())
    return _in_files() if found is None else found


@cache
def _in_files() -> tuple[str, ...]:
    import rasterio

    with rasterio.Env() as environment:
        known = environment.drivers()
    return tuple(sorted(name for name in known if name.upper() not in _NEVER))


def gdal_environment(path: str) -> Any:
    """Return the GDAL settings for a path, a context manager: masks beside it need them, too.

    READDIR is TRUE: directories are not listed, but a mask file beside the raster is looked for.
    """
    import rasterio

    on_s3 = path.startswith("s3://") or "/vsis3/" in path
    return rasterio.Env(
        GDAL_CACHEMAX=BLOCK_CACHE_BYTES,
        GDAL_DISABLE_READDIR_ON_OPEN="TRUE",
        **(gdal_s3_options() if on_s3 else {}),
    )


MOST_OPEN = 24
"""Files that one thread keeps open: a window that meets more tiles than that is rare."""

MOST_HELD = 64 * 2**20
"""Bytes of blocks that one thread's open files may keep; the newest file stays in any case. To open
one again takes milliseconds."""

_MOST_FILES = 65_536

_tokens = itertools.count()
_local = threading.local()


atexit.register(_local.__dict__.clear)  # GDAL wants its files closed before it is unloaded


def new_token() -> int:
    """Return a number that names one source in this process; a copy of it needs its own."""
    return next(_tokens)


def open_handle(token: int, opener: Callable[[], Any]) -> Any:
    """Return this thread's open file of a source; open it if need be, and let the oldest go.

    Files are never shared between threads: GDAL's are not safe to read from two at once. One that
    is let go is closed as soon as nobody reads from it.
    """
    allow_many_files()
    handles = _handles()
    if token in handles:
        handles.move_to_end(token)
        return handles[token].file
    opened = _Handle(file := opener(), held_bytes(file))
    handles[token] = opened
    while len(handles) > 1 and (
        len(handles) > MOST_OPEN or sum(each.held_bytes for each in handles.values()) > MOST_HELD
    ):
        handles.popitem(last=False)
    return file


class _Handle(NamedTuple):
    """An open file, and what it may keep in memory."""

    file: Any
    held_bytes: int


def held_bytes(raster: Any) -> int:
    """Return what GDAL keeps of an open raster: the block read last, of all bands that share it.

    That of a tile of 1024 x 1024 pixels with 64 bands side by side has 64 MiB; as much again may be
    what it was decompressed from.
    """
    shapes = getattr(raster, "block_shapes", None)
    if not shapes:
        return 0
    is_shared = getattr(raster.interleaving, "name", "") == "pixel"
    together = raster.count if is_shared else 1
    return int(prod(shapes[0]) * np.dtype(raster.dtypes[0]).itemsize * together)


@cache
def allow_many_files() -> None:
    """Let this process open as many files as the system allows it: each worker keeps some open.

    The usual limit of 1,024, which a process may raise by itself, is meant for programs that wait
    for files with `select`; nothing here does.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # what a sandbox forbids is no fault: fewer files then
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def n_open() -> int:
    """Return how many files this thread keeps open."""
    return len(_handles())


def _handles() -> OrderedDict[int, _Handle]:
    handles: OrderedDict[int, _Handle] | None = getattr(_local, "handles", None)
    if handles is None:
        handles = _local.handles = OrderedDict()
    return handles
