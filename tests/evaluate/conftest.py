"""Small data for the tests of evaluations."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from geoembz import convert
from geoembz._demo import DemoFiles, write_demo
from geoembz._evaluate import Sample

settings.register_profile("evaluation", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("evaluation")


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    """Write a scene of 96 x 96 pixels, 16 numbers each."""
    return write_demo(tmp_path_factory.mktemp("scene"), size=96, dimension=16)


@pytest.fixture(scope="session")
def store(scene: DemoFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert the scene to a store, pca8-int8."""
    path = tmp_path_factory.mktemp("store") / "scene.zarr"
    convert(scene.embedding, path, pca=8, quantizer="int8")
    return path


@pytest.fixture
def blobs() -> Sample:
    """Three classes of 100 vectors that overlap a little."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["field", "forest", "water"], 100)
    centres = rng.normal(size=(3, 12)).astype(np.float32)
    codes = np.unique(labels, return_inverse=True)[1]
    vectors = centres[codes] + 0.8 * rng.normal(size=(300, 12)).astype(np.float32)
    return Sample(vectors.astype(np.float32), labels)
