"""Every point has a status, finds its grid by itself, and many cost each chunk one reading."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pyproj import Transformer
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz.store import StoreReader
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster
from tests.export.conftest import HEIGHT, WIDTH, centres, everything

OUTSIDE, NODATA, INSIDE = (0.0, 0.0), (500_005.0, 5_299_995.0), (500_205.0, 5_299_605.0)
EXPECTED = ["outside", "valid", "nodata", "outside"]


@pytest.fixture
def points() -> dict[str, Any]:
    """Return four points: outside, valid, without data, and without a place."""
    geometries = [
        *({"type": "Point", "coordinates": place} for place in (OUTSIDE, INSIDE, NODATA)),
        None,
    ]
    features = [
        {"type": "Feature", "geometry": geometry, "properties": {"id": number}}
        for number, geometry in enumerate(geometries)
    ]
    return {"type": "FeatureCollection", "features": features}


def test_every_point_has_a_status(store: StoreReader, points: dict[str, Any]) -> None:
    """In the result, its table of rows, and its counts."""
    sampled = geoembz.sample(store, points, crs="EPSG:32632")
    assert sampled.status.tolist() == EXPECTED
    assert sampled.to_arrow()["status"].to_pylist() == EXPECTED
    assert sampled.to_json()["status"] == {"valid": 1, "nodata": 1, "outside": 2}
    lines = [line.split() for line in sampled.to_table().splitlines()]
    assert ["without", "data", "there", "1"] in lines
    assert ["outside", "2"] in lines
    codes = geoembz.sample(store, points, crs="EPSG:32632", space="codes")
    assert codes.status.tolist() == EXPECTED


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".geojson"])
def test_written_files_say_the_status(
    store: StoreReader, points: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    """As a column, or a property; a feature keeps its row."""
    source, out = tmp_path / "in.geojson", tmp_path / f"out{suffix}"
    source.write_text(json.dumps(points), encoding="utf-8")
    words = ["sample", store.url, str(source), "--crs", "EPSG:32632", "--out", str(out)]
    printed = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert printed["status"] == {"valid": 1, "nodata": 1, "outside": 2}
    if suffix == ".parquet":
        found = pq.read_table(out)["status"].to_pylist()
    elif suffix == ".csv":
        found = [
            row["status"] for row in csv.DictReader(out.read_text(encoding="utf-8").splitlines())
        ]
    else:
        features = json.loads(out.read_text(encoding="utf-8"))["features"]
        found = [feature["properties"]["status"] for feature in features]
    assert found == EXPECTED


def test_geojson_holds_degrees_and_vectors(
    store: StoreReader, points: dict[str, Any], tmp_path: Path
) -> None:
    """As RFC 7946 has it; without a vector, and without a place, null."""
    sampled = geoembz.sample(store, points, crs="EPSG:32632", out=tmp_path / "out.geojson")
    assert sampled.out == str(tmp_path / "out.geojson")
    features = json.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["id"] for feature in features] == [0, 1, 2, 3]
    assert features[3]["geometry"] is None
    assert features[0]["properties"]["embedding"] is None
    to_lonlat = Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True)
    assert features[1]["geometry"]["coordinates"] == pytest.approx(to_lonlat.transform(*INSIDE))
    np.testing.assert_allclose(features[1]["properties"]["embedding"], sampled.vectors[1])
    again = geoembz.sample(store, tmp_path / "out.geojson")
    assert_same_vectors(again.vectors, sampled.vectors)


def test_an_empty_file_of_points_gives_an_empty_one(store: StoreReader, tmp_path: Path) -> None:
    """Of each kind; its header is there."""
    empty = np.empty((0, 2))
    for suffix in (".parquet", ".csv", ".geojson"):
        sampled = geoembz.sample(store, empty, crs="EPSG:32632", out=tmp_path / f"out{suffix}")
        assert len(sampled.status) == 0
    assert "embedding_11" in (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))["features"] == []


@pytest.fixture
def overlapping(tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator) -> Path:
    """Return a store of zones 32 and 33 that cover the same place around 12 degrees east.

    Zone 32 lacks the western third of its pixels.
    """
    x, y = Transformer.from_crs("OGC:CRS84", "EPSG:32632", always_xy=True).transform(12.0, 47.0)
    left, top = round(x, -1), round(y, -1)
    west = rng.normal(size=(6, 40, 60)).astype(np.float32)
    west[:, :, :20] = np.nan
    make_raster(
        tmp_path / "a.tif", west, crs="EPSG:32632", transform=(10, 0, left - 300, 0, -10, top + 200)
    )
    x, y = Transformer.from_crs("OGC:CRS84", "EPSG:32633", always_xy=True).transform(12.0, 47.0)
    east = rng.normal(size=(6, 120, 160)).astype(np.float32)
    corner = (10, 0, round(x, -1) - 800, 0, -10, round(y, -1) + 600)
    make_raster(tmp_path / "b.tif", east, crs="EPSG:32633", transform=corner)
    store = tmp_path / "zones.zarr"
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    geoembz.convert(files, store, quantizer="float32", chunk=16, shard=32)
    return store


def _pixels_of(store: Path, lonlat: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
    """Yield each grid's vectors at places, NaN where it has none, by looking single pixels up."""
    for name in ("utm32n", "utm33n"):
        reader = StoreReader.open(str(store / name))
        grid, values = reader.attributes.grid, everything(reader)
        to_grid = Transformer.from_crs("OGC:CRS84", grid.crs_wkt, always_xy=True)
        found = np.full((len(lonlat), 6), np.nan, np.float32)
        for number, (lon, lat) in enumerate(lonlat):
            x, y = to_grid.transform(lon, lat)
            row, col = (int(np.floor(v)) for v in grid.rows_cols(x, y))
            if 0 <= row < grid.shape[0] and 0 <= col < grid.shape[1]:
                found[number] = values[:, row, col]
        yield found


def test_each_point_goes_to_the_grid_that_has_an_embedding_there(
    overlapping: Path, rng: np.random.Generator
) -> None:
    """Where both have one, to the first in the store's list; where the first lacks it, the next."""
    lonlat = rng.uniform([11.988, 46.993], [12.012, 47.007], (400, 2))
    sampled = geoembz.sample(overlapping, lonlat)
    first, second = _pixels_of(overlapping, lonlat)
    assert_same_vectors(sampled.vectors, np.where(np.isnan(first), second, first))
    has_first, has_second = ~np.isnan(first[:, 0]), ~np.isnan(second[:, 0])
    assert (has_first & has_second).any()
    assert (~has_first & has_second).any()
    assert (~has_first & ~has_second).any()
    assert ((sampled.status == "valid") == (has_first | has_second)).all()


def test_many_points_read_each_chunk_once(
    store: StoreReader, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many and in whatever order they come; results stand in the order of the points."""
    windows: list[tuple[int, int]] = []
    plain = StoreReader.read_codes

    def counted(self: StoreReader, window: Any, *rest: Any) -> Any:
        windows.append((window.row // 16, window.col // 16))
        return plain(self, window, *rest)

    monkeypatch.setattr(StoreReader, "read_codes", counted)
    rows, cols = rng.integers(0, HEIGHT, 100_000), rng.integers(0, WIDTH, 100_000)
    sampled = geoembz.sample(store, centres(store, rows, cols), crs="EPSG:32632")
    chunks = -(-HEIGHT // 16) * -(-WIDTH // 16)
    assert len(windows) == len(set(windows)) == sampled.chunks_read == chunks
    monkeypatch.undo()
    assert_same_vectors(sampled.vectors, everything(store)[:, rows, cols].T)
