"""The accessor does what the functions do, inside the dataset's extent."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from pyproj import Transformer

import geoembz
from geoembz._convert.append import append
from geoembz._export import sample
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests import tables
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster
from tests.export.conftest import centres, everything


def test_accessor_reads_in_the_datasets_space(store: StoreReader) -> None:
    """`space` and `components` are those that the dataset was opened with."""
    dataset = geoembz.open(store.url, space="reduced", components=3)
    places = centres(store, [20, 60], [10, 45])
    sampled = dataset.geoembz.sample(places, crs="EPSG:32632")
    expected = sample(store, places, crs="EPSG:32632", space="reduced", components=3)
    assert_same_vectors(sampled.vectors, expected.vectors)
    assert sampled.vectors.shape == (2, 3)


def test_accessor_keeps_to_a_selection(store: StoreReader, tmp_path: Path) -> None:
    """A slice of the dataset is a bounding box, for files and for points."""
    part = geoembz.open(store.url).isel(y=slice(20, 50), x=slice(5, 25))
    assert part.geoembz.export(tmp_path / "a.tif").shape == (30, 20)
    assert part.geoembz.preview(tmp_path / "a.png").shape == (30, 20)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert_same_vectors(raster.read(), everything(store)[:, 20:50, 5:25])
    sampled = part.geoembz.sample(centres(store, [20, 19], [5, 5]), crs="EPSG:32632")
    assert sampled.found.tolist() == [True, False]


def test_accessor_of_a_computed_dataset_is_refused(store: StoreReader) -> None:
    """What arithmetic made is not what the store holds."""
    with pytest.raises(InvalidConfigError, match="does not know its store"):
        (geoembz.open(store.url) * 2).geoembz.sample([[9.0, 47.8]])


def test_dates_and_grids_are_told_apart(
    tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator
) -> None:
    """One date of several is read, and a point is found in whichever grid holds it."""
    first, second = (rng.normal(size=(6, 20, 30)).astype("float32") for _ in range(2))
    west = make_raster(tmp_path / "west.tif", first)
    east = make_raster(tmp_path / "east.tif", second, crs="EPSG:32633")
    store = tmp_path / "years.zarr"
    geoembz.convert(west, store, recipe="float32", time="2023")
    append(store, make_raster(tmp_path / "later.tif", second), time="2024")
    x, y = 500_055.0, 5_299_955.0
    place = [[x, y]]
    for year, values in (("2023", first), ("2024", second)):
        sampled = sample(store, place, crs="EPSG:32632", time=year)
        assert_same_vectors(sampled.vectors[0], values[:, 4, 5])
        part = geoembz.open(store).sel(time=year)
        sampled = part.geoembz.sample(place, crs="EPSG:32632")
        assert_same_vectors(sampled.vectors[0], values[:, 4, 5])
        part.geoembz.export(tmp_path / "year.tif", overwrite=True)
        with rasterio.open(tmp_path / "year.tif") as raster:
            assert_same_vectors(raster.read(), values)
    with pytest.raises(InvalidConfigError, match="2023-01-01, 2024-01-01"):
        sample(store, place, crs="EPSG:32632")
    with pytest.raises(InvalidConfigError, match="choose one"):
        geoembz.open(store).geoembz.preview(tmp_path / "a.png")
    geoembz.convert([west, east], tmp_path / "zones.zarr", recipe="float32")
    to_lonlat = [
        Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
        for crs in ("EPSG:32632", "EPSG:32633")
    ]
    sampled = sample(tmp_path / "zones.zarr", to_lonlat)
    expected = [first[:, 4, 5], second[:, 4, 5]]
    assert_same_vectors(sampled.vectors, np.array(expected))


def test_accessor_searches_what_the_dataset_is(store: StoreReader) -> None:
    """A search of a selection is that of the store in its box, in any space."""
    whole = geoembz.open(store.url)
    part = geoembz.open(store.url, space="codes").isel(y=slice(20, 50), x=slice(5, 25))
    query = whole["embedding"].values[:, 30, 12]
    found = part.geoembz.search(query, k=600, metric="euclidean")
    expected = geoembz.search(store, query, k=3500, metric="euclidean")
    inside = (expected.rows >= 20) & (expected.rows < 50) & (expected.cols >= 5)
    inside &= expected.cols < 25
    assert found.pixels_searched == 600
    assert (int(found.rows[0, 0]), int(found.cols[0, 0])) == (30, 12)
    assert found.rows[0].tolist() == expected.rows[inside].tolist()
    assert found.scores[0].tolist() == expected.scores[inside].tolist()
    with pytest.raises(InvalidConfigError, match="does not know its store"):
        (whole * 2).geoembz.search(query)


def test_accessor_of_a_table_searches_and_exports(tmp_path: Path, rng: np.random.Generator) -> None:
    """All rows, in the dataset's space, lazy or loaded; parts and other numbers are refused."""
    source = tables.plain(tmp_path / "a.parquet", rng, rows=120).path
    geoembz.convert(source, tmp_path / "a.zarr", pca=4)
    url = str(tmp_path / "a.zarr")
    dataset = geoembz.open(url, space="reduced")
    query = geoembz.open(url)["embedding"].values[7]
    expected = geoembz.search(url, query, k=5).rows.tolist()
    for same in (dataset, dataset.load().transpose("component", "sample"), dataset.chunk(sample=9)):
        assert same.geoembz.search(query, k=5).rows.tolist() == expected
    assert expected[0][0] == 7
    summary = dataset.geoembz.export(tmp_path / "out.parquet")
    assert (summary.rows, summary.length, summary.space) == (120, 4, "reduced")
    written = np.array(pq.read_table(summary.out)["embedding"].to_pylist(), np.float32)
    np.testing.assert_allclose(written, dataset["embedding"].values, atol=1e-6)
    other = dataset.copy(data={**dataset.data_vars, "embedding": dataset["embedding"] * 2})
    for method, argument in {"search": query, "export": tmp_path / "part.parquet"}.items():
        with pytest.raises(InvalidConfigError, match=f"{method} takes the whole table"):
            getattr(dataset.isel(sample=slice(10)).geoembz, method)(argument)
        with pytest.raises(InvalidConfigError, match="holds other numbers than its store"):
            getattr(other.geoembz, method)(argument)
    with pytest.raises(geoembz.GeoembzError, match="table"):
        dataset.geoembz.sample([[9.0, 47.0]])
    with pytest.raises(geoembz.GeoembzError, match="table"):
        dataset.geoembz.preview(tmp_path / "a.png")
