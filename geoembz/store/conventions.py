"""The conventions that a store's attributes follow: their names, versions and CF's attributes.

Conventions are matched by uuid (reference: spec/format.md, "Attributes").
"""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from geoembz._geo.grid import Grid
from geoembz._text import checked_names
from geoembz._version import READ_VERSIONS
from geoembz.errors import InvalidConfigError, StoreError, StoreVersionError

GRIDS = "geoembz:grids"
"""Attribute of a root: the names of the stores below it."""

TIME = "time"
"""Name of the time axis and of its coordinate."""

TIMES = "geoembz:times"
"""Attribute of a store with a time axis: one entry per date."""

BAND_NAMES = "geoembz:band_names"
"""Attribute of a store: what the components of the original vectors are called."""

LAYERS = "geoembz:layers"
"""Attribute of a store: the numbers of pixels that it has beside the vectors."""

UPDATES = "geoembz:updates"
"""Attribute of a store: how often pixels were filled or replaced since it was made."""

CF_TIME = {
    "axis": "T",
    "standard_name": "time",
    "long_name": "start of the period that the embedding describes",
    "units": "days since 1970-01-01",
    "calendar": "proleptic_gregorian",
}
"""Attributes of the coordinate `time`."""

FIRST_VERSION = "0.1"
"""The format version without digests, and with sizes of pixels by the CRS's unit alone."""

UNKNOWN_MODEL = "urn:geoembz:model:unknown"

GEOEMB_UUID = "61c12cc5-0e28-4056-999a-480cf3fb7e4c"
GEOEMBZ_UUID = "5bdee612-a44e-461d-a046-554e1bff041c"

GEOEMB_CONVENTION = {
    "schema_url": "https://raw.githubusercontent.com/geo-embeddings/embeddings-zarr-convention/"
    "refs/tags/v1/schema.json",
    "spec_url": "https://github.com/geo-embeddings/embeddings-zarr-convention/blob/v1/README.md",
    "uuid": GEOEMB_UUID,
    "name": "geoemb:",
    "description": "Geoembeddings convention for geospatial embedding arrays with model provenance",
}
GEOEMBZ_CONVENTION = {
    "uuid": GEOEMBZ_UUID,
    "name": "geoembz:",
    "description": "How the codes of a compressed embedding store are decoded",
}

type Layout = Literal["plain", "codec"]


def check_model(model: str) -> None:
    """Refuse a model that is no URI.

    Raises
    ------
    InvalidConfigError
        If there is no scheme, or nothing behind it.
    """
    parts = urlsplit(model)
    if not parts.scheme or not (parts.netloc or parts.path):
        raise InvalidConfigError(
            f"model {model!r}; expected a URI, for example https://example.org/model/1.1"
        )


def read_band_names(attributes: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return the names of the components that a store holds; empty where it has none.

    Raises
    ------
    ValueError
        If it is no list of as many texts, or nulls, as vectors are long.
    """
    names = attributes.get(BAND_NAMES)
    if names is None:
        return ()
    return checked_names(names, attributes["geoemb:dimensions"])


def check_version(where: str, attributes: Mapping[str, Any]) -> None:
    """Refuse groups that are not geoembz stores, and stores of a version unknown here.

    Raises
    ------
    StoreError
        If the geoembz convention is not declared.
    StoreVersionError
        If the version is not one that this geoembz reads.
    """
    declared = attributes.get("zarr_conventions")
    entries = declared if isinstance(declared, list) else []
    uuids = [entry.get("uuid") for entry in entries if isinstance(entry, Mapping)]
    if GEOEMBZ_UUID not in uuids:
        raise StoreError(
            f"{where}: a Zarr group, but not a geoembz store (no convention {GEOEMBZ_UUID}); "
            "expected one written by `geoembz convert`"
        )
    version = attributes.get("geoembz:version")
    if version not in READ_VERSIONS:
        raise StoreVersionError(
            f"{where}: format version {version!r}; this geoembz reads "
            f"{' and '.join(map(repr, READ_VERSIONS))}; install a newer geoembz"
        )


def records_digests(version: str) -> bool:
    """Whether stores of a format version say which object belongs where (since 0.2)."""
    return version != FIRST_VERSION


def checked_wkt(value: object) -> str:
    """Return a CRS in WKT after checking that PROJ understands it."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        CRS.from_wkt(str(value))
    except CRSError as error:
        raise ValueError(f"proj:wkt2 is {value!r}; expected a CRS in WKT") from error
    return str(value)


def cf_grid_mapping(grid: Grid) -> dict[str, Any]:
    """Return the attributes of the CF grid mapping variable `spatial_ref`."""
    from pyproj import CRS

    a, b, c, d, e, f = grid.transform
    mapping: dict[str, Any] = CRS.from_wkt(grid.crs_wkt).to_cf()
    geotransform = f"{c} {a} {b} {f} {d} {e}"
    return {**mapping, "spatial_ref": mapping["crs_wkt"], "GeoTransform": geotransform}


def cf_axis(grid: Grid, axis: str) -> dict[str, Any]:
    """Return the CF attributes of the coordinate variable `axis`, ``x`` or ``y``."""
    from pyproj import CRS

    found = [
        entry
        for entry in CRS.from_wkt(grid.crs_wkt).cs_to_cf()
        if entry.get("axis") == axis.upper()
    ]
    return dict(found[0]) if found else {}
