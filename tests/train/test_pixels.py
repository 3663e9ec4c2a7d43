"""Labelled pixels and polygons of a store, for training."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

import geoembz
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.map.conftest import MakeStore, vectors
from tests.map.labelling import (
    KINDS,
    quantity,
    scattered,
    truth,
    write_points,
    write_polygons,
)
from tests.map.test_change import two_dates


@pytest.fixture
def points(store: StoreReader, tmp_path: Path) -> Path:
    """Write labels of 300 pixels."""
    return write_points(tmp_path / "l.csv", store, np.append(KINDS, "")[truth(store)])


def test_pixels_are_what_is_sampled(store: StoreReader, points: Path) -> None:
    """The vectors at points, with the numbers of their classes."""
    pixels = geoembz.pixels(store, points)
    sampled = geoembz.sample(store, points, crs="EPSG:32632")
    kinds = np.array(sampled.features.columns["kind"].to_pylist(), object)
    assert len(pixels) == sampled.found.sum()
    X, y = pixels[:]
    assert pixels.classes is not None
    expected = {
        (kind, vector.tobytes())
        for kind, vector in zip(kinds[sampled.found], sampled.vectors[sampled.found], strict=True)
    }
    assert {(pixels.classes[k], x.tobytes()) for x, k in zip(X, y, strict=True)} == expected
    vector, number = pixels[7]
    np.testing.assert_array_equal(vector, X[7])
    assert number == y[7]
    assert y.dtype == np.int64
    again = pickle.loads(pickle.dumps(pixels))  # noqa: S301 - our own
    np.testing.assert_array_equal(again[[3, 1]][0], X[[3, 1]])


def test_pixels_of_a_raster(store: StoreReader, make_raster: MakeRaster, tmp_path: Path) -> None:
    """In the order of the store; those without an embedding are counted out."""
    classes = truth(store)
    written = np.where(classes < 0, 9, classes).astype(np.uint8)
    path = make_raster(tmp_path / "l.tif", written[np.newaxis], nodata=0)
    pixels = geoembz.pixels(store, path, space="reduced", components=3)
    rows, cols = np.nonzero(classes > 0)
    expected = store.read(store.attributes.grid.window, "reduced", 3)[:, rows, cols].T
    np.testing.assert_allclose(pixels[:][0], expected, rtol=1e-6)
    assert pixels.rows.exclusions["labelled pixel without an embedding"] == (classes < 0).sum()
    codes = geoembz.pixels(store, path, space="codes")
    assert codes[:][0].dtype == np.int8
    assert codes.length == 8


def test_a_model_learns_batch_by_batch(store: StoreReader, points: Path) -> None:
    """As scikit-learn's `partial_fit` asks: it finds in held-out pixels what it learned."""
    train = geoembz.pixels(store, points, split="train")
    X, y = geoembz.pixels(store, points, split="test")[:]
    model = SGDClassifier(random_state=0)
    batches = train.batches(32)
    for _ in range(20):
        for batch in batches:
            model.partial_fit(*train[batch], classes=range(3))
    assert model.score(X, y) > 0.7


def test_parts_of_points_are_blocks(store: StoreReader, points: Path) -> None:
    """Which are said; every pixel is in one part, each with all classes."""
    every = geoembz.pixels(store, points)
    parts = {name: every.part(name) for name in ("train", "val", "test")}
    places = {
        name: set(zip(part.rows.x.tolist(), part.rows.y.tolist(), strict=True))
        for name, part in parts.items()
    }
    assert sum(map(len, places.values())) == len(every) == len(set().union(*places.values()))
    assert "3 of 5 folds" in parts["train"].messages[-1]
    assert "blocks of" in parts["train"].messages[-1]
    assert all(len(np.unique(part.rows.labels)) == 3 for part in parts.values())
    assert len(parts["train"]) > len(parts["val"]) + len(parts["test"])
    other = geoembz.pixels(store, points, split="test", seed=1)
    assert set(other.rows.x.tolist()) != set(parts["test"].rows.x.tolist())


def test_polygons_hold_their_pixels(store: StoreReader, tmp_path: Path) -> None:
    """All pixels whose centres lie in one, in the order of the file."""
    squares = scattered(store)
    path = write_polygons(tmp_path / "p.geojson", store, squares)
    polygons = geoembz.polygons(store, path, column="kind")
    values = vectors(store)
    assert len(polygons) == len(squares)
    assert polygons.classes is not None
    for (row, col, kind), (found, number) in zip(squares, polygons, strict=True):
        inside = values[:, row : row + 5, col : col + 5].reshape(len(values), -1).T
        expected = inside[np.isfinite(inside[:, 0])]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert polygons.classes[number] == kind
    several = polygons[[4, 2]]
    np.testing.assert_array_equal(several[0][0], polygons[4][0])
    assert len(polygons[:3]) == 3
    assert sorted(n for batch in polygons.batches(4) for n in batch) == list(range(len(polygons)))


@pytest.mark.parametrize("block_size", [None, 150.0])
def test_polygons_are_in_one_part(
    store: StoreReader, tmp_path: Path, block_size: float | None
) -> None:
    """Whole, by themselves or with those of a block; their pixels likewise."""
    path = write_polygons(tmp_path / "p.geojson", store, scattered(store))
    every = geoembz.polygons(store, path, column="kind", block_size=block_size)
    parts = [every.part(name) for name in ("train", "val", "test")]
    features = [set(part.rows.features.tolist()) for part in parts]
    assert sum(map(len, features)) == len(every) == sum(map(len, parts))
    assert len(set().union(*features)) == len(every)
    pixels = geoembz.pixels(store, path, column="kind")
    pieces = [set(pixels.part(name).rows.features.tolist()) for name in ("train", "val", "test")]
    assert sum(map(len, pieces)) == len(every)


def test_quantities_and_dates(
    make_store: MakeStore, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Numbers stay what they are; each date by its own vectors."""
    reader = two_dates(make_store, make_raster, pca=8)
    heights = quantity(reader).astype(np.float32)
    path = make_raster(tmp_path / "h.tif", heights[np.newaxis])
    first, second = (
        geoembz.pixels(reader.url, path, quantities=True, time=time) for time in ("2023", "2024")
    )
    assert first.classes is None
    assert first[:][1].dtype == np.float32
    assert np.isin(first[:][1], heights).all()
    assert not np.array_equal(first[:5][0], second[:5][0])
    with pytest.raises(InvalidConfigError, match="which date"):
        geoembz.pixels(reader.url, path, quantities=True)


def test_what_cannot_be_taken(store: StoreReader, points: Path, tmp_path: Path) -> None:
    """Is said: points are no polygons; labels where there is no data."""
    with pytest.raises(InvalidConfigError, match=r"expected polygons.*geoembz\.pixels"):
        geoembz.polygons(store, points)
    with pytest.raises(InvalidConfigError, match="split 'none'"):
        geoembz.pixels(store, points, split="none")
    with pytest.raises(InvalidConfigError, match="seed -2"):
        geoembz.pixels(store, points, seed=-2)
    empty = write_polygons(tmp_path / "p.geojson", store, [(1, 1, "none")])
    with pytest.raises(NoValidPixelsError, match="not one of 25 labelled pixels"):
        geoembz.polygons(store, empty, column="kind")


def test_what_they_say_of_themselves(store: StoreReader, points: Path) -> None:
    """As JSON and as a table."""
    pixels = geoembz.pixels(store, points, space="reduced")
    document = json.loads(json.dumps(pixels.to_json()))
    assert document["pixels"] == len(pixels)
    assert document["classes"] == KINDS.tolist()
    assert "3 classes" in repr(pixels)
