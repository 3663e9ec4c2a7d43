"""CRSs are compared by what they mean, not by how they are written."""

import pytest
from pyproj import CRS

from geoembz._geo import datum_label, same_crs, utm_zone

DIALECTS = ("WKT1_GDAL", "WKT1_ESRI", "WKT2_2015", "WKT2_2019")
SYSTEMS = (32616, 32733, 26716, 25832, 4326, 4269, 3857, 3035, 3031, 2180, 5070, 2154, 6933)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("code", SYSTEMS)
def test_a_dialect_changes_nothing(code: int, dialect: str) -> None:
    """The same CRS in WKT 1, WKT 2 and Esri's own is one CRS, whatever its axis order."""
    assert same_crs(f"EPSG:{code}", CRS.from_epsg(code).to_wkt(dialect))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("EPSG:4326", "OGC:CRS84"),
        ("EPSG:32633", "EPSG:32633+5773"),
        ("EPSG:4326", "EPSG:4979"),
        ("EPSG:25833", "EPSG:3045"),  # northing first
        ("EPSG:32616", "+proj=utm +zone=16 +datum=WGS84 +type=crs"),
        ("EPSG:26716", "+proj=utm +zone=16 +datum=NAD27 +type=crs"),
    ],
)
def test_names_heights_and_axes_do_not_matter(one: str, other: str) -> None:
    assert same_crs(one, other)
    assert same_crs(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("EPSG:32616", "EPSG:26716"),  # 214 m apart
        ("EPSG:32616", "EPSG:32617"),
        ("EPSG:32616", "EPSG:32716"),
        ("EPSG:4326", "EPSG:4267"),
        ("EPSG:2263", "EPSG:32118"),  # feet and metres
        ("EPSG:3857", "EPSG:3395"),  # sphere and ellipsoid
        ("EPSG:4326", "EPSG:3857"),
    ],
)
def test_what_moves_a_place_matters(one: str, other: str) -> None:
    assert not same_crs(one, other)
    assert not same_crs(other, one)


def test_zones_are_found_by_their_parameters() -> None:
    """Any datum and dialect; a transverse Mercator that is no UTM zone is none."""
    assert utm_zone(CRS.from_epsg(26716).to_wkt("WKT1_ESRI")) == "16n"
    assert utm_zone("EPSG:32733") == "33s"
    assert utm_zone("EPSG:31467") is None
    assert utm_zone("EPSG:4326") is None


def test_datums_have_short_names() -> None:
    assert datum_label("EPSG:32616") is None
    assert datum_label("OGC:CRS84") is None
    assert datum_label("EPSG:26716") == "nad27"
    assert datum_label("EPSG:25832") == "etrs89"
