"""Seven kinds of store, each with a twin of the same shape and other content."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import geoembz
from geoembz._convert.append import append
from tests import products, tables
from tests.conversion.test_grids import write_zones


def _raster(folder: Path, seed: int, *, holes: bool = True) -> Path:
    values = products.unit_vectors(40, 48, 8, seed=seed)
    if holes:
        values[:, 4:9, 5:20] = np.nan
        values[:, 16:32, 32:] = np.nan
    return products.write_raster(folder / f"r{seed}.tif", values)


def _int8(folder: Path, seed: int) -> None:
    path = _raster(folder, seed)
    geoembz.convert(path, folder / "store.zarr", recipe="pca6-int8", chunk=8, shard=16)


def _int4(folder: Path, seed: int) -> None:
    path = _raster(folder, seed)
    geoembz.convert(path, folder / "store.zarr", recipe="pca6-int4", chunk=8, shard=16)


def _dated(folder: Path, seed: int) -> None:
    first, second = _raster(folder, seed), _raster(folder, seed + 10)
    store = folder / "store.zarr"
    geoembz.convert(first, store, recipe="pca6-int4", chunk=8, shard=16, time="2023")
    append(store, second, time="2024")


def _grids(folder: Path, seed: int) -> None:
    paths = write_zones(folder)
    order = paths if seed % 2 else [paths[1], paths[0], paths[3], paths[2]]
    recipe = "pca6-int8" if seed % 2 else "pca6-int8-quantile"
    geoembz.convert(order, folder / "store.zarr", recipe=recipe, chunk=8, shard=16)


def _unsharded(folder: Path, seed: int) -> None:
    path = _raster(folder, seed)
    geoembz.convert(path, folder / "store.zarr", recipe="pca6-int8", chunk=8, shard="none")


def _table(folder: Path, seed: int) -> None:
    path = tables.plain(folder / "a.parquet", np.random.default_rng(seed)).path
    geoembz.convert(path, folder / "store.zarr", recipe="pca8-int4", chunk=32, shard=64)


def _codec(folder: Path, seed: int) -> None:
    path = _raster(folder, seed)
    options = {"recipe": "pca6-int8", "layout": "codec", "chunk": 8, "shard": 16}
    geoembz.convert(path, folder / "store.zarr", **options)  # type: ignore[arg-type]


KINDS: dict[str, Callable[[Path, int], None]] = {
    "int8": _int8,
    "int4": _int4,
    "dated": _dated,
    "grids": _grids,
    "unsharded": _unsharded,
    "table": _table,
    "codec": _codec,
}


def write_pair(kind: str, folder: Path) -> tuple[Path, Path]:
    """Write a store and its twin."""
    stores = []
    for name, seed in (("one", 1), ("two", 2)):
        (folder / name).mkdir()
        KINDS[kind](folder / name, seed)
        stores.append(folder / name / "store.zarr")
    return stores[0], stores[1]
