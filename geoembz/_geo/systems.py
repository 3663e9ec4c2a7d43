"""What a coordinate reference system is, whatever its text looks like.

Rasters keep x (east) before y (north) whatever order a CRS declares, so axis order tells nothing.
"""

import re
from functools import lru_cache
from typing import Any

from geoembz.errors import InvalidConfigError

_UTM_SCALE, _UTM_EASTING, _UTM_SOUTH = 0.9996, 500_000.0, 10_000_000.0
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")
_WGS_84 = "EPSG:4326"


@lru_cache(maxsize=256)
def parsed(crs: str) -> Any:
    """Return a `pyproj.CRS`.

    Raises
    ------
    InvalidConfigError
        If PROJ does not know it.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise InvalidConfigError(
            f"crs {crs!r}: {error}; expected a CRS such as EPSG:32633"
        ) from error


@lru_cache(maxsize=1024)
def same_crs(one: str, other: str) -> bool:
    """Whether the same x and y mean the same place in two systems.

    Names, codes, the dialect of the text, axis order, heights and a declared way to WGS 84 make no
    difference; datum, projection, parameters and units do.

    Parameters
    ----------
    one, other
        In any form that PROJ knows.

    Examples
    --------
    >>> same_crs("EPSG:4326", "OGC:CRS84"), same_crs("EPSG:32616", "EPSG:26716")
    (True, False)
    """
    if one == other:
        return True
    first, second = horizontal(one), horizontal(other)
    return bool(
        first.equals(second, ignore_axis_order=True)
        or _turned(first).equals(second, ignore_axis_order=True)
    )


def is_geographic(crs: str) -> bool:
    """Whether x and y are longitude and latitude."""
    return bool(horizontal(crs).is_geographic)


@lru_cache(maxsize=256)
def utm_zone(crs: str) -> str | None:
    """Return a UTM zone of any datum by its parameters, such as ``32n``; None for others.

    Examples
    --------
    >>> utm_zone("EPSG:32632"), utm_zone("EPSG:26716"), utm_zone("EPSG:3857")
    ('32n', '16n', None)
    """
    system = horizontal(crs)
    operation = system.coordinate_operation
    if not system.is_projected or operation.method_name != "Transverse Mercator":
        return None
    if {axis.unit_conversion_factor for axis in system.axis_info} != {1.0}:
        return None
    values = {parameter.name: parameter.value for parameter in operation.params}
    latitude, longitude = (values.get(f"{name} of natural origin") for name in _ORIGIN)
    scale = values.get("Scale factor at natural origin")
    easting, northing = values.get("False easting"), values.get("False northing")
    if (latitude, scale, easting) != (0.0, _UTM_SCALE, _UTM_EASTING) or longitude is None:
        return None
    zone = (longitude + 183) / 6
    if northing not in {0.0, _UTM_SOUTH} or zone != int(zone) or not 1 <= zone <= 60:
        return None
    return f"{int(zone):02d}{'s' if northing else 'n'}"


_ORIGIN = ("Latitude", "Longitude")


@lru_cache(maxsize=256)
def datum_label(crs: str) -> str | None:
    """Return a short name of what coordinates refer to, such as ``nad27``; None for WGS 84.

    Examples
    --------
    >>> datum_label("EPSG:26716"), datum_label("EPSG:32616")
    ('nad27', None)
    """
    geodetic = horizontal(crs).geodetic_crs
    if geodetic is None:
        return "local"
    if same_crs(geodetic.to_wkt(), _WGS_84):
        return None
    name = geodetic.name if geodetic.name != "unknown" else geodetic.datum.name
    return _NOT_A_NAME.sub("", str(name).lower()) or "datum"


@lru_cache(maxsize=256)
def horizontal(crs: str) -> Any:
    """Return a system without heights, and without a transformation to another that it carries."""
    system = parsed(crs)
    while system.is_bound or system.is_compound:
        system = system.source_crs if system.is_bound else system.sub_crs_list[0]
    return system.to_2d() if len(system.axis_info) == 3 else system


def _turned(system: Any) -> Any:
    """Return a projected system with its two axes exchanged; others as they are."""
    from pyproj import CRS

    if not system.is_projected:
        return system
    document = system.to_json_dict()
    document["coordinate_system"]["axis"].reverse()
    document.pop("id", None)
    return CRS.from_json_dict(document)
