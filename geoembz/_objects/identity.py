"""Names of inputs that may be shown and stored, those of rasters inside files included.

GDAL names pages of a TIFF and variables of netCDF, HDF5 or Zarr: ``GTIFF_DIR:2:pages.tif``,
``NETCDF:"cube.nc":emb_0``. What is shown is a URI without credentials.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

from geoembz.errors import SourceError

_PAGE = re.compile(r"(GTIFF_DIR):((?:off:)?\d+):(.+)", re.IGNORECASE)
_MEMBER = re.compile(
    r"(NETCDF|HDF5|HDF4_\w+|ZARR|GPKG|BAG):(?:\"([^\"]+)\"|([^\":]+)):?(.*)", re.IGNORECASE
)
_MOST_NAMED = 20


@dataclass(frozen=True)
class Subdataset:
    """A name of GDAL's, taken apart.

    Parameters
    ----------
    prefix
        Which driver reads it.
    file
        Path or ``/vsi`` path of the file.
    member
        Number of the page, or name of the variable.
    """

    prefix: str
    file: str
    member: str

    @classmethod
    def of(cls, path: str) -> Self | None:
        """Take a name apart; None where it is the path of a file, or a URL.

        Examples
        --------
        >>> Subdataset.of('NETCDF:"a/cube.nc":emb_0')
        Subdataset(prefix='NETCDF', file='a/cube.nc', member='emb_0')
        >>> Subdataset.of("GTIFF_DIR:2:pages.tif").member, Subdataset.of("s3://bucket/a.tif")
        ('2', None)
        """
        page = _PAGE.fullmatch(path)
        if page is not None:
            return cls(page[1], page[3], page[2])
        member = _MEMBER.fullmatch(path)
        if member is None or Path(path).exists():
            return None
        return cls(member[1], member[2] or member[3], member[4])

    def inside(self, file: str) -> str:
        """Return GDAL's name of the same member of another file.

        Examples
        --------
        >>> Subdataset.of("GTIFF_DIR:2:pages.tif").inside("b.tif")
        'GTIFF_DIR:2:b.tif'
        """
        if self.prefix.upper() == "GTIFF_DIR":
            return f"{self.prefix}:{self.member}:{file}"
        return f'{self.prefix}:"{file}":{self.member}'


def refuse_several(name: str, dataset: Any) -> None:
    """Refuse a file of several rasters, of which GDAL would read the first or none.

    Raises
    ------
    SourceError
        If there are several; the message lists their names.
    """
    found = [Subdataset.of(entry) for entry in dataset.subdatasets]
    members = [entry for entry in found if entry is not None]
    if not dataset.subdatasets and dataset.count:
        return
    if not dataset.subdatasets:
        raise SourceError(f"{name}: no bands; expected a raster with one band per component")
    what = "pages" if dataset.driver == "GTiff" else "subdatasets"
    names = [entry.inside(name) for entry in members]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    raise SourceError(
        f"{name}: {len(dataset.subdatasets)} {what}, and not one raster with a band per component; "
        "name the one that holds the embedding, or all of them if each is a band of it: "
        f"{', '.join(f"'{entry}'" for entry in names[:_MOST_NAMED])}{more}"
    )


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
