"""Small stores that every test of getting data out uses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz.sources.raster import RasterSource
from geoembz.store import StoreReader
from tests.conftest import DEFAULT_TRANSFORM, MakeRaster

DIMENSION, HEIGHT, WIDTH = 12, 70, 50
NORTHWARDS = (10.0, 0.0, 500_000.0, 0.0, 10.0, 5_299_300.0)
"""The same place as `DEFAULT_TRANSFORM` with rows that run north."""

type MakeStore = Callable[..., StoreReader]


def scene(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return vectors ``(12, 70, 50)``, a corner and a few pixels of which are missing."""
    axes = rng.normal(size=(DIMENSION, 4))
    scores = rng.normal(size=(4, HEIGHT * WIDTH))
    values = (axes @ scores + 0.01 * rng.normal(size=(DIMENSION, HEIGHT * WIDTH))).astype("float32")
    values = values.reshape(DIMENSION, HEIGHT, WIDTH)
    values[:, :9, :7] = np.nan
    values[:, 40, 10:14] = np.nan
    return values


@pytest.fixture
def make_store(tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator) -> MakeStore:
    """Convert `scene`; options go to `convert`, `northwards` turns the source round."""

    def make(*, northwards: bool = False, **options: Any) -> StoreReader:
        values = scene(rng)
        transform = NORTHWARDS if northwards else DEFAULT_TRANSFORM
        source = make_raster(
            tmp_path / "source.tif", values[:, ::-1] if northwards else values, transform=transform
        )
        store = tmp_path / "store.zarr"
        defaults = {"pca": 8, "chunk": 16, "shard": 32}
        raster = RasterSource(source)  # as it is: paths would be turned north up
        geoembz.convert(raster if northwards else source, store, **{**defaults, **options})
        return StoreReader.open(str(store))

    return make


@pytest.fixture
def store(make_store: MakeStore) -> StoreReader:
    """Return a store of pca8-int8."""
    return make_store()


def centres(reader: StoreReader, rows: Any, cols: Any) -> NDArray[np.float64]:
    """Return the centres of pixels, shape ``(n, 2)``."""
    grid = reader.attributes.grid
    return np.column_stack([grid.x[cols], grid.y[rows]])


def everything(reader: StoreReader, space: Any = "original") -> NDArray[Any]:
    """Return all vectors of a store."""
    window = reader.attributes.grid.window
    return reader.read_codes(window) if space == "codes" else reader.read(window, space)
