"""The accessor does what the functions do, inside the dataset's extent."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

import geoembz
from geoembz.errors import InvalidConfigError
from geoembz.export import sample
from geoembz.store import StoreReader
from tests.export.conftest import centres, everything


def test_accessor_reads_in_the_datasets_space(store: StoreReader) -> None:
    """`space` and `components` are those that the dataset was opened with."""
    dataset = geoembz.open(store.url, space="reduced", components=3)
    places = centres(store, [20, 60], [10, 45])
    sampled = dataset.geoembz.sample(places, crs="EPSG:32632")
    expected = sample(store, places, crs="EPSG:32632", space="reduced", components=3)
    np.testing.assert_array_equal(sampled.vectors, expected.vectors)
    assert sampled.vectors.shape == (2, 3)


def test_accessor_keeps_to_a_selection(store: StoreReader, tmp_path: Path) -> None:
    """A slice of the dataset is a bounding box, for files and for points."""
    part = geoembz.open(store.url).isel(y=slice(20, 50), x=slice(5, 25))
    assert part.geoembz.export(tmp_path / "a.tif").shape == (30, 20)
    assert part.geoembz.preview(tmp_path / "a.png").shape == (30, 20)
    with rasterio.open(tmp_path / "a.tif") as raster:
        np.testing.assert_array_equal(raster.read(), everything(store)[:, 20:50, 5:25])
    sampled = part.geoembz.sample(centres(store, [20, 19], [5, 5]), crs="EPSG:32632")
    assert sampled.found.tolist() == [True, False]


def test_accessor_of_a_computed_dataset_is_refused(store: StoreReader) -> None:
    """What arithmetic made is not what the store holds."""
    with pytest.raises(InvalidConfigError, match="does not know its store"):
        (geoembz.open(store.url) * 2).geoembz.sample([[9.0, 47.8]])
