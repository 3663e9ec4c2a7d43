"""Small stores of several shards, and their vectors, for every test of maps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz.store import StoreReader
from tests.conftest import MakeRaster

DIMENSION, HEIGHT, WIDTH = 12, 70, 50

type MakeStore = Callable[..., StoreReader]


def scene(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return vectors ``(12, 70, 50)``, smooth and noisy; a corner and some pixels are missing."""
    axes = rng.normal(size=(DIMENSION, 5)) + 0.5
    rows, cols = np.mgrid[:HEIGHT, :WIDTH] / 12.0
    waves = [np.sin(rows), np.cos(cols), np.sin(rows + cols), np.cos(rows - cols), rows * 0 + 1]
    values = np.tensordot(axes, np.stack(waves), 1) + 0.3 * rng.normal(
        size=(DIMENSION, HEIGHT, WIDTH)
    )
    values[:, :9, :7] = np.nan
    values[:, 40, 10:14] = np.nan
    return values.astype(np.float32)


@pytest.fixture
def make_store(tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator) -> MakeStore:
    """Convert `scene`, in shards of 32 pixels; options go to `convert`."""

    def make(name: str = "store", values: Any = None, **options: Any) -> StoreReader:
        given = scene(rng) if values is None else values
        source = make_raster(tmp_path / f"{name}.tif", given)
        store = tmp_path / f"{name}.zarr"
        geoembz.convert(source, store, **{"chunk": 16, "shard": 32, **options})
        return StoreReader.open(str(store))

    return make


@pytest.fixture
def store(make_store: MakeStore) -> StoreReader:
    """Return a store of pca8-int8."""
    return make_store(pca=8)


def vectors(reader: StoreReader, date: int = 0) -> NDArray[np.float64]:
    """Return all decoded vectors of a store, shape ``(dimension, height, width)``."""
    window = reader.attributes.grid.window
    return reader.read(window, "original", date=date).astype(np.float64)


def place_of(reader: StoreReader, row: int, col: int) -> tuple[float, float]:
    """Return the centre of a pixel."""
    grid = reader.attributes.grid
    return float(grid.x[col]), float(grid.y[row])


def read_tiff(path: Path) -> NDArray[Any]:
    """Return all bands of a GeoTIFF."""
    import rasterio

    with rasterio.open(path) as raster:
        return np.asarray(raster.read())


def content_of(place: Path) -> dict[str, bytes]:
    """Return every file of a store, or the one file, by name."""
    if place.is_file():
        return {"": place.read_bytes()}
    files = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(files)}
