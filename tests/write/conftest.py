"""The scene of the conversions, what `convert` makes of it, and a writer for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Encoding, Window, Writer
from tests.conversion.conftest import holes, raster, raster_with_holes, scene
from tests.trees import objects

__all__ = ["holes", "raster", "raster_with_holes", "scene"]

SIZES: dict[str, Any] = {"chunk": 8, "shard": 16}
"""Twelve shards of the scene; a cell is a chunk."""

type Begin = Callable[..., Writer]


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: no test fails its power."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="session")
def vectors(scene: NDArray[np.float32], holes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what `raster_with_holes` holds."""
    values = scene.copy()
    values[5, holes] = np.nan
    return values


@pytest.fixture(scope="session")
def encoding(raster_with_holes: Path) -> Encoding:
    """Five components of the scene, int8."""
    return geoembz.fit(raster_with_holes, "pca5-int8", seed=1)


@pytest.fixture(scope="session")
def converted(
    raster_with_holes: Path, encoding: Encoding, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Return the objects of the store that `convert` makes."""
    store = tmp_path_factory.mktemp("converted") / "out"
    geoembz.convert(raster_with_holes, store, basis=encoding, **SIZES)
    return objects(store)


@pytest.fixture
def begin(raster_with_holes: Path, encoding: Encoding, tmp_path: Path) -> Begin:
    """Return what begins the store of the scene, or goes on."""

    def create(store: Path | str = tmp_path / "out", **options: Any) -> Writer:
        given = {"like": raster_with_holes, "encoding": encoding, **SIZES, **options}
        return geoembz.create(store, **given)

    return create


def fill(
    writer: Writer, vectors: NDArray[np.float32], size: int, seed: int | None = None
) -> list[Window]:
    """Write all that is missing in squares of a size, in random order; return them."""
    windows = writer.missing(size)
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(windows))
        windows = [windows[number] for number in order]
    for window in windows:
        writer.write(window, vectors[:, *window.slices], axis=0)
    return windows


def shards_of(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Return all objects of a store but its root document, which says what it was made of."""
    return {key: content for key, content in contents.items() if key != "zarr.json"}
