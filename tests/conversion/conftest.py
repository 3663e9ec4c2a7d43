"""A small scene of embeddings, as an array and as a raster."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import MakeRaster

DIMENSION, HEIGHT, WIDTH = 12, 50, 45


@pytest.fixture(scope="session")
def scene() -> NDArray[np.float32]:
    """Embeddings ``(12, 50, 45)``: a decaying spectrum, and a mean that is not zero."""
    rng = np.random.default_rng(7)
    mixing = np.linalg.qr(rng.normal(size=(DIMENSION, DIMENSION)))[0] * 0.6 ** np.arange(DIMENSION)
    latent = rng.normal(size=(DIMENSION, HEIGHT * WIDTH))
    return (mixing @ latent + 0.5).astype(np.float32).reshape(DIMENSION, HEIGHT, WIDTH)


@pytest.fixture(scope="session")
def holes() -> NDArray[np.bool_]:
    """Where the scene with holes is invalid: a block of whole shards, and single pixels."""
    invalid = np.random.default_rng(8).random((HEIGHT, WIDTH)) < 0.05
    invalid[:16, 16:32] = True
    return invalid


@pytest.fixture(scope="session")
def raster(
    scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Write the scene as a tiled GeoTIFF, every pixel valid."""
    return make_raster(tmp_path_factory.mktemp("scene") / "scene.tif", scene, blocksize=16)


@pytest.fixture(scope="session")
def raster_with_holes(
    scene: NDArray[np.float32],
    holes: NDArray[np.bool_],
    make_raster: MakeRaster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Write the scene with NaN in its holes, in one component only."""
    values = scene.copy()
    values[5, holes] = np.nan
    return make_raster(tmp_path_factory.mktemp("scene") / "holes.tif", values, blocksize=16)
