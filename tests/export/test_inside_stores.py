"""Nothing is written inside a store: it would be taken for a part of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz.errors import InvalidConfigError
from tests.conftest import MakeRaster
from tests.trees import objects

type Write = Callable[[str, Path], Any]

DOORS: dict[str, tuple[str, Write]] = {
    "export": ("a.tif", geoembz.export),
    "preview": ("a.png", geoembz.preview),
    "map": ("a.tif", lambda store, out: geoembz.map_cluster(store, out, k=2)),
    "map store": ("a.zarr", lambda store, out: geoembz.map_cluster(store, out, k=2)),
    "convert": ("a.zarr", geoembz.convert),
    "aggregate": ("a.parquet", lambda store, out: geoembz.export(store, out, aggregate=4)),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_place_inside_a_store_is_refused(
    door: str, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """In words, and the store stays as it was."""
    store = tmp_path / "s.zarr"
    values = np.random.default_rng(0).normal(size=(8, 20, 20)).astype(np.float32)
    geoembz.convert(make_raster(tmp_path / "s.tif", values), store, pca=4)
    name, write = DOORS[door]
    before = objects(store)
    with pytest.raises(InvalidConfigError, match=r"lies inside .*s\.zarr, a store of geoembz"):
        write(str(store), store / "embedding" / name)
    assert objects(store) == before
