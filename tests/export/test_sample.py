"""Sampling returns what the store holds at a place, and reads no more than it must."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyproj import Transformer
from rasterio import Affine
from rasterio.features import geometry_mask
from zarr.storage import WrapperStore

from geoembz._export import sample
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features import read_features
from geoembz.store import StoreReader
from geoembz.store.writer import open_zarr_store
from tests.closeness import assert_same_vectors
from tests.export.conftest import HEIGHT, WIDTH, MakeStore, centres, everything

RECIPES: list[dict[str, Any]] = [
    {},
    {"quantizer": "int4"},
    {"quantizer": "binary"},
    {"quantizer": "float32"},
    {"layout": "codec"},
    {"pca": None},
    {"shard": "none"},
]


def square(x: float, y: float, side: float) -> dict[str, Any]:
    """Return a square polygon with its lower left corner at (x, y)."""
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def collection(*geometries: Any, **members: Any) -> dict[str, Any]:
    """Return GeoJSON with an `id` per feature."""
    features = [
        {"type": "Feature", "geometry": geometry, "properties": {"id": number}}
        for number, geometry in enumerate(geometries)
    ]
    return {"type": "FeatureCollection", "features": features, **members}


@pytest.mark.parametrize("options", RECIPES, ids=str)
@pytest.mark.parametrize("space", ["original", "reduced", "codes"])
def test_points_get_the_vector_of_their_pixel(
    make_store: MakeStore, rng: np.random.Generator, options: dict[str, Any], space: Any
) -> None:
    """In every space and recipe, in the order of the points, missing where the store has none."""
    store = make_store(**options)
    rows, cols = rng.integers(0, HEIGHT, 200), rng.integers(0, WIDTH, 200)
    sampled = sample(store, centres(store, rows, cols), crs="EPSG:32632", space=space)
    assert_same_vectors(sampled.vectors, everything(store, space)[:, rows, cols].T)
    missing = np.isnan(everything(store)[0, rows, cols])
    assert missing.any()
    np.testing.assert_array_equal(sampled.found, ~missing)


def test_the_crs_of_points_does_not_matter(store: StoreReader, rng: np.random.Generator) -> None:
    """The same places as longitude and latitude give the same vectors."""
    places = centres(store, rng.integers(0, HEIGHT, 50), rng.integers(0, WIDTH, 50))
    lonlat = np.column_stack(
        Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True).transform(*places.T)
    )
    here, there = sample(store, places, crs="EPSG:32632"), sample(store, lonlat)
    assert_same_vectors(here.vectors, there.vectors)


def test_rows_that_run_north_change_nothing(make_store: MakeStore) -> None:
    """A bottom-up store has the same vectors at the same places."""
    store = make_store(northwards=True, quantizer="float32", pca=None)
    grid = store.attributes.grid
    sampled = sample(store, [[grid.x[20], grid.y[5]]], crs="EPSG:32632")
    assert_same_vectors(sampled.vectors[0], everything(store)[:, 5, 20])


def test_only_chunks_under_points_are_read(
    store: StoreReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many points in two chunks of one shard cost two chunks and two readings of the index."""
    requests: list[str] = []

    class Counted(WrapperStore[Any]):
        @property
        def _supports_sync_io(self) -> bool:
            return False  # one way of reading is enough to count

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            requests.append(key)
            return await self._store.get(key, prototype, byte_range)

        async def get_ranges(self, key: str, byte_ranges: Any, **options: Any) -> Any:
            requests.extend([key] * len(byte_ranges))
            async for found in self._store.get_ranges(key, byte_ranges, **options):
                yield found

    monkeypatch.setattr(
        "geoembz.store.open.open_zarr_store",
        lambda url, **options: Counted(open_zarr_store(url, **options)),
    )
    counted = StoreReader.open(store.url)
    counted.codes  # noqa: B018 - its metadata are no part of the count
    requests.clear()
    rows, cols = np.repeat([33, 40, 47], 12), np.tile(np.arange(2, 26, 2), 3)
    sampled = sample(counted, centres(counted, rows, cols), crs="EPSG:32632")
    assert sampled.chunks_read == 2
    assert requests == ["embedding/c/0/1/0"] * len(requests)
    assert len(requests) == 4


@pytest.mark.parametrize("northwards", [False, True])
@pytest.mark.parametrize("space", ["original", "reduced"])
def test_polygons_get_the_mean_of_their_pixels(
    make_store: MakeStore, rng: np.random.Generator, space: Any, northwards: bool
) -> None:
    """Pixels whose centres are inside and that hold data, over chunk borders and overlaps."""
    store = make_store(northwards=northwards)
    grid, vectors = store.attributes.grid, everything(store, space)
    corners = rng.uniform([500_000, 5_299_300], [500_400, 5_299_900], (8, 2))
    shapes = [
        square(x, y, side) for (x, y), side in zip(corners, rng.uniform(25, 400, 8), strict=True)
    ]
    hole = [[c + 40 for c in v] for v in square(500_100, 5_299_500, 50)["coordinates"][0]]
    shapes.append(square(500_100, 5_299_500, 160))
    shapes[-1]["coordinates"].append(hole)
    sampled = sample(store, collection(*shapes), crs="EPSG:32632", space=space)
    for number, shape in enumerate(shapes):
        inside = geometry_mask([shape], grid.shape, Affine(*grid.transform), invert=True)
        inside &= ~np.isnan(vectors[0])
        assert sampled.pixels[number] == inside.sum() > 0
        expected = vectors[:, inside].mean(axis=1, dtype=np.float64)
        np.testing.assert_allclose(sampled.vectors[number], expected, rtol=1e-5, atol=1e-6)


def test_polygon_between_centres_takes_what_it_touches(store: StoreReader) -> None:
    """A polygon smaller than a pixel is not lost."""
    grid = store.attributes.grid
    tiny = square(grid.x[30] + 1.5, grid.y[30] + 1.5, 1.0)
    sampled = sample(store, collection(tiny), crs="EPSG:32632")
    assert sampled.pixels.tolist() == [1]
    assert_same_vectors(sampled.vectors[0], everything(store)[:, 30, 30])


def test_features_without_data_keep_their_row(store: StoreReader, tmp_path: Path) -> None:
    """Outside, on missing pixels, and without a geometry: null, and no other row moves."""
    inside = {"type": "Point", "coordinates": [500_205.0, 5_299_605.0]}
    outside = {"type": "Point", "coordinates": [0.0, 0.0]}
    nodata = {"type": "Point", "coordinates": [500_005.0, 5_299_995.0]}
    features = collection(outside, inside, None, nodata)
    out = tmp_path / "points.parquet"
    sampled = sample(store, features, crs="EPSG:32632", out=out)
    assert sampled.found.tolist() == [False, True, False, False]
    table = pq.read_table(out)
    assert [row is not None for row in table["embedding"].to_pylist()] == sampled.found.tolist()
    assert table["id"].to_pylist() == [0, 1, 2, 3]
    assert table["geometry"].null_count == 1


def test_written_geoparquet_says_what_and_where(store: StoreReader, tmp_path: Path) -> None:
    """`geo` and `emb` stand in the footer; the file is features again, and geopandas reads it."""
    geopandas = pytest.importorskip("geopandas")
    polygons = collection(square(500_100, 5_299_500, 100), square(500_300, 5_299_500, 100))
    sampled = sample(store, polygons, crs="EPSG:32632", out=tmp_path / "out.parquet")
    footer = pq.read_schema(tmp_path / "out.parquet").metadata
    assert json.loads(footer[b"emb"])["embedding_dim"] == 12
    frame = geopandas.read_parquet(tmp_path / "out.parquet")
    assert frame.crs.to_epsg() == 32632
    np.testing.assert_array_equal(np.stack(frame["embedding"]), sampled.vectors)
    again = sample(store, tmp_path / "out.parquet")
    assert_same_vectors(again.vectors, sampled.vectors)
    assert_same_vectors(sample(store, frame).vectors, sampled.vectors)
    assert read_features(tmp_path / "out.parquet").columns["id"].to_pylist() == [0, 1]


def test_csv_in_csv_out(store: StoreReader, tmp_path: Path) -> None:
    """Columns lon and lat are found; every component becomes a column, empty where missing."""
    to_lonlat = Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True)
    lon, lat = to_lonlat.transform(500_205.0, 5_299_605.0)
    (tmp_path / "in.csv").write_text(f"name,lat,lon\na,{lat},{lon}\nb,0,0\n", encoding="utf-8")
    sampled = sample(store, tmp_path / "in.csv", out=tmp_path / "out.csv", space="reduced")
    header, first, second = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert header.count("embedding_") == 8
    assert first.startswith('"a"')
    assert second.endswith("," * 8)
    assert float(first.rsplit(",", 1)[1]) == pytest.approx(sampled.vectors[0, -1], rel=1e-6)


def test_swapped_axes_are_named(store: StoreReader) -> None:
    """Latitude first is the commonest mistake: the error says so instead of returning nothing."""
    lonlat = Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True)
    lon, lat = lonlat.transform(500_205.0, 5_299_605.0)
    with pytest.raises(SourceError, match="x and y swapped"):
        sample(store, [[lat, lon]])
    with pytest.raises(SourceError, match="check the CRS"):
        sample(store, [[0.0, 0.0]])


def test_means_of_codes_are_refused(store: StoreReader) -> None:
    """Averaging codes gives numbers that decode to nothing."""
    with pytest.raises(InvalidConfigError, match="mean of codes"):
        sample(store, collection(square(500_100, 5_299_500, 100)), space="codes")


def test_existing_files_are_kept(store: StoreReader, tmp_path: Path) -> None:
    """Nothing is overwritten unless asked, and a bad name is refused before reading."""
    (tmp_path / "out.csv").touch()
    with pytest.raises(InvalidConfigError, match="overwrite=True"):
        sample(store, [[9.0, 47.8]], out=tmp_path / "out.csv")
    with pytest.raises(InvalidConfigError, match=r"ends in \.parquet"):
        sample(store, [[9.0, 47.8]], out=tmp_path / "out.xlsx")


@pytest.mark.realdata
def test_training_polygons_of_the_galileo_scene(shared_data: Path, tmp_path: Path) -> None:
    """The means of a real scene's polygons are those of the raster, within the loss."""
    import geoembz

    source = shared_data / "galileo_s2" / "galileo_nano_s2_patch1_128d_float32.tif"
    polygons = shared_data / "galileo_s2" / "training_polygons.geojson"
    exact, small = tmp_path / "exact.zarr", tmp_path / "small.zarr"
    geoembz.convert(source, exact, quantizer="float32")
    geoembz.convert(source, small, pca=64)
    expected, found = sample(exact, polygons), sample(small, polygons)
    assert found.found.all()
    np.testing.assert_array_equal(expected.pixels, found.pixels)
    norms = np.linalg.norm(found.vectors, axis=1) * np.linalg.norm(expected.vectors, axis=1)
    assert ((found.vectors * expected.vectors).sum(axis=1) / norms).min() > 0.99
