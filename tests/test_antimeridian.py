"""Rows of tables on both sides of the antimeridian, whatever holds their places."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from pyarrow import parquet

import geoembz
from geoembz._export.table import export_table
from geoembz._geo.geoparquet import write_geo
from geoembz._search.parts import open_parts
from geoembz.store import TableReader

HALF = 0.0125
LATITUDES = np.linspace(-18, -16, 20)
N_CHIPS = 23


def box(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def cut_chip(latitude: float) -> dict[str, Any]:
    """Return a chip around 180° as RFC 7946 wants it: one part on each side."""
    south, north = latitude - HALF, latitude + HALF
    parts = [box(180 - HALF, south, 180, north), box(-180, south, -180 + HALF, north)]
    return {"type": "MultiPolygon", "coordinates": parts}


def raw_chip(latitude: float) -> dict[str, Any]:
    """Return the same as many write it: one ring whose longitudes jump."""
    coordinates = box(180 - HALF, latitude - HALF, -180 + HALF, latitude + HALF)
    return {"type": "Polygon", "coordinates": coordinates}


def others() -> list[dict[str, Any]]:
    """Chips east and west of it, and far away."""
    return [
        {"type": "Polygon", "coordinates": box(x - HALF, -17 - HALF, x + HALF, -17 + HALF)}
        for x in (179.9, -179.9, 10.0)
    ]


def vectors(n: int) -> pa.Array:
    values = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 8)


def geometries(path: Path, shapes: list[dict[str, Any]]) -> Path:
    table = pa.table(
        {
            "embedding": vectors(len(shapes)),
            "geometry": shapely.to_wkb([shapely.geometry.shape(s) for s in shapes]),
        }
    )
    geo = write_geo("geometry", "OGC:CRS84", [], None)
    parquet.write_table(table.replace_schema_metadata({b"geo": geo}), path)
    return path


@pytest.fixture(params=["cut", "raw", "geojson", "bbox"])
def chips(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Twenty chips across 180° and three elsewhere, by WKB, GeoJSON text or boxes."""
    path = tmp_path / "chips.parquet"
    shapes = [*map(raw_chip if request.param == "raw" else cut_chip, LATITUDES), *others()]
    if request.param in {"cut", "raw"}:
        return geometries(path, shapes)
    columns: dict[str, Any] = {"embedding": vectors(len(shapes))}
    if request.param == "geojson":
        columns[".geo"] = [json.dumps(shape) for shape in shapes]
    else:
        names = ("xmin", "ymin", "xmax", "ymax")
        crossing = [(180 - HALF, b - HALF, -180 + HALF, b + HALF) for b in LATITUDES]
        plain = [(x - HALF, -17 - HALF, x + HALF, -17 + HALF) for x in (179.9, -179.9, 10.0)]
        columns["bbox"] = [dict(zip(names, b, strict=True)) for b in [*crossing, *plain]]
    parquet.write_table(pa.table(columns), path)
    return path


def test_chips_lie_where_they_are(chips: Path, tmp_path: Path) -> None:
    """Centres are ±180, not 0; rows are selected from both sides, with the box that STAC has."""
    store = tmp_path / "out.zarr"
    geoembz.convert(chips, store, recipe="float32")
    reader = TableReader.open(str(store))
    assert reader.attributes.bbox is not None
    west, _, east, _ = reader.attributes.bbox
    assert (west, east) == pytest.approx((10.0, -179.9))  # the shortest way round
    x = np.sort(np.abs(np.asarray(reader.column("x")[:])))
    np.testing.assert_allclose(x, [10.0, 179.9, 179.9, *[180.0] * 20], atol=1e-9)
    assert len(reader.select((179.5, -20, -179.5, -10))) == N_CHIPS - 1
    assert len(reader.select((179.5, -20, 180.5, -10))) == N_CHIPS - 1
    assert len(reader.select((-180.05, -20, -179.95, -10))) == N_CHIPS - 3
    assert len(reader.select((-180, -90, 180, 90))) == N_CHIPS
    assert len(reader.select((0, -90, 360, 90))) == N_CHIPS
    assert len(reader.select((-1, -90, 1, 90))) == 0
    (part,) = open_parts(str(store), (179.5, -20, -179.5, -10), None, None)
    assert part.count == N_CHIPS - 1
    (part,) = open_parts(str(store), (179.5, -20, -179.5, -10), "EPSG:4326", None)
    assert part.count == N_CHIPS - 1
    out = tmp_path / "out.parquet"
    summary = export_table(store, out, bbox=(179.95, -20, -179.95, -10))
    assert summary.rows == N_CHIPS - 3
    shapes = shapely.from_wkb(parquet.read_table(out)["geometry"].to_pylist())
    assert np.abs(shapely.get_coordinates(shapes)[:, 0]).min() >= 180 - HALF


def test_wide_areas_stay_wide(tmp_path: Path) -> None:
    """The whole world is not the antimeridian, and half of it lies where it is."""
    world = {"type": "Polygon", "coordinates": box(-180, -90, 180, 90)}
    half = {"type": "Polygon", "coordinates": box(-100, -40, 100, 40)}
    path = geometries(tmp_path / "wide.parquet", [world, half])
    geoembz.convert(path, tmp_path / "out.zarr", recipe="float32")
    x = TableReader.open(str(tmp_path / "out.zarr")).column("x")[:]
    np.testing.assert_array_equal(np.asarray(x), [0.0, 0.0])


def test_a_grid_of_chips_crosses_it(tmp_path: Path) -> None:
    """Chips every 0.025° from 179.9 over 180 to −179.9 are one row of pixels, not 14,400."""
    centres = 180 + 2 * HALF * np.arange(-4, 5)
    shapes = [
        {"type": "Polygon", "coordinates": box(x - HALF, y - HALF, x + HALF, y + HALF)}
        for y in (-17.0, -17.0 + 2 * HALF)
        for x in np.where(centres > 180, centres - 360, centres).tolist()
    ]
    path = geometries(tmp_path / "chips.parquet", shapes)
    geoembz.convert(path, tmp_path / "out.zarr", recipe="float32", grid=True, grid_crs="EPSG:4326")
    opened = geoembz.open(tmp_path / "out.zarr")
    assert dict(opened.sizes) == {"dimension": 8, "y": 2, "x": 9}
    np.testing.assert_allclose(opened.x, centres, atol=1e-6)
