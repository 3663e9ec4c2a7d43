"""Points and polygons mean the same in every file that holds them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geoembz._geo.geoparquet import write_geo
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features import Features, read_features
from tests.tables import points_wkb

PLACES = np.array([[10.0, 50.0], [10.5, 50.25], [-3.0, 0.5]])


def point(x: float, y: float) -> dict[str, Any]:
    """Return a GeoJSON point."""
    return {"type": "Point", "coordinates": [x, y, 12.0]}


def geojson(path: Path) -> None:
    """Write the places as GeoJSON with heights."""
    features = [{"type": "Feature", "geometry": point(x, y), "properties": {}} for x, y in PLACES]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")


def geoparquet(path: Path) -> None:
    """Write the places as WKB."""
    table = pa.table({"geometry": points_wkb(PLACES)})
    geo = write_geo("geometry", "OGC:CRS84", ["Point"], None)
    pq.write_table(table.replace_schema_metadata({b"geo": geo}), path)


def native(path: Path) -> None:
    """Write the places as GeoParquet 1.1's struct of x and y."""
    axes = pa.StructArray.from_arrays([pa.array(PLACES[:, 0]), pa.array(PLACES[:, 1])], ["x", "y"])
    geo = json.loads(write_geo("place", "OGC:CRS84", ["Point"], None))
    geo["columns"]["place"]["encoding"] = "point"
    table = pa.table({"place": axes}).replace_schema_metadata({b"geo": json.dumps(geo)})
    pq.write_table(table, path)


def columns(path: Path) -> None:
    """Write the places as two columns, latitude first."""
    pq.write_table(pa.table({"Latitude": PLACES[:, 1], "Longitude": PLACES[:, 0]}), path)


def csv(path: Path) -> None:
    """Write the places as CSV."""
    lines = [f"{y},{x}" for x, y in PLACES.tolist()]
    path.write_text("\n".join(["lat,lon", *lines]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (geojson, "a.geojson"),
        (geoparquet, "a.parquet"),
        (native, "a.parquet"),
        (columns, "a.parquet"),
        (csv, "a.csv"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_files_hold_the_same_points(write: Any, name: str, tmp_path: Path) -> None:
    """X is longitude, whatever the order of columns and the number of coordinates."""
    write(tmp_path / name)
    features = read_features(tmp_path / name)
    assert features.kind == "points"
    assert features.points is not None
    np.testing.assert_array_equal(features.points, PLACES)
    there = features.to_crs("EPSG:3857").to_crs("OGC:CRS84")
    assert there.points is not None
    np.testing.assert_allclose(there.points, PLACES, atol=1e-9)


def test_wkb_of_features_is_read_again() -> None:
    """A missing point is null, and only that one."""
    points = np.vstack([PLACES, [np.nan, np.nan]])
    features = Features("points", "OGC:CRS84", points, None, pa.table({"n": range(4)}))
    assert [value is None for value in features.wkb().to_pylist()] == [False] * 3 + [True]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "Topology"}, "expected a FeatureCollection"),
        (
            {
                "type": "FeatureCollection",
                "features": [
                    {"geometry": point(0, 0)},
                    {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 1]]]}},
                ],
            },
            "points only or polygons only",
        ),
        (
            {
                "type": "Feature",
                "geometry": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
            },
            "LineString",
        ),
    ],
)
def test_other_geometries_are_refused(document: dict[str, Any], message: str) -> None:
    """Lines and mixtures have no vector; the message says what came."""
    with pytest.raises(SourceError, match=message):
        read_features(document)


def test_mistakes_in_columns_are_named(tmp_path: Path) -> None:
    """X and y without a CRS, latitudes of 120 degrees, no place at all, no file."""
    (tmp_path / "xy.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    with pytest.raises(InvalidConfigError, match="crs="):
        read_features(tmp_path / "xy.csv")
    (tmp_path / "swapped.csv").write_text("lon,lat\n50,120\n", encoding="utf-8")
    with pytest.raises(SourceError, match="swapped"):
        read_features(tmp_path / "swapped.csv")
    (tmp_path / "none.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(SourceError, match="longitude and latitude"):
        read_features(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="no such file"):
        read_features(tmp_path / "absent.csv")
    with pytest.raises(InvalidConfigError, match="EPSG:32633"):
        read_features(PLACES, crs="nonsense")
