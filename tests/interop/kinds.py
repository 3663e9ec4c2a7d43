"""The kinds of store, each made small but of several shards and chunks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

import geoembz

SHAPE = (6, 70, 90)
CRS = "EPSG:32632"
TRANSFORM = (10.0, 0.0, 400_000.0, 0.0, -10.0, 5_300_000.0)
"""GDAL's and rasterio's order: pixel width, 0, left edge, 0, minus pixel height, upper edge."""


@dataclass(frozen=True)
class Kind:
    """A kind of store.

    Parameters
    ----------
    name
        As in the table.
    make
        Writes it below a folder, from a raster there.
    group
        Of the array that is read; "" for the root.
    dates
        Whether the array has a time axis.
    transform
        Affine transform of the array's pixels; None for tables, which have none.
    """

    name: str
    make: Callable[[Path, Path], None]
    group: str = ""
    dates: bool = False
    transform: tuple[float, ...] | None = TRANSFORM


def raster(path: Path, seed: int = 0, crs: str = CRS, shape: tuple[int, int, int] = SHAPE) -> Path:
    """Write a raster of smooth vectors, with a corner of nodata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    bands, height, width = shape
    rows, columns = np.mgrid[:height, :width] / 20
    values = np.stack([np.sin(rows + b) + np.cos(columns * b) for b in range(bands)])
    values = (values + 0.1 * rng.standard_normal(values.shape)).astype(np.float32)
    values[:, :3, :5] = np.nan
    profile = {"driver": "GTiff", "dtype": "float32", "nodata": np.nan, "crs": crs}
    place = rasterio.Affine(*TRANSFORM)
    with rasterio.open(
        path, "w", count=bands, height=height, width=width, transform=place, **profile
    ) as target:
        target.write(values)
    return path


def _convert(**options: Any) -> Callable[[Path, Path], None]:
    def make(source: Path, store: Path) -> None:
        settings: dict[str, Any] = {"chunk": 16, "shard": 32, **options}
        geoembz.convert(source, store, **settings)

    return make


def _dates(source: Path, store: Path) -> None:
    _convert(recipe="pca4-int8", time="2023")(source, store)
    geoembz.append(store, raster(source.parent / "later.tif", seed=1), time="2024")


def _zones(source: Path, store: Path) -> None:
    other = raster(source.parent / "other.tif", seed=2, crs="EPSG:32633")
    inputs = [str(source), str(other)]
    geoembz.convert(inputs, store, recipe="pca4-int8", chunk=16, shard=32)


def _overviews(source: Path, store: Path) -> None:
    _convert(recipe="pca4-int8")(source, store)
    geoembz.overviews(store, levels=1)


def _table(source: Path, store: Path) -> None:
    import geopandas
    from shapely import Point

    with rasterio.open(source) as opened:
        vectors = opened.read()[:, 10:, 10:].reshape(SHAPE[0], -1).T
    places = [Point(400_000 + 10 * i, 5_300_000) for i in range(len(vectors))]
    table = geopandas.GeoDataFrame({"vector": list(vectors)}, geometry=places, crs=CRS)
    table.to_parquet(source.parent / "table.parquet")
    geoembz.convert(source.parent / "table.parquet", store, recipe="pca4-int8", chunk=512)


HALF = (20.0, *TRANSFORM[1:4], -20.0, TRANSFORM[5])

KINDS = {
    kind.name: kind
    for kind in (
        Kind("int8", _convert(recipe="pca4-int8")),
        Kind("int8, prefix chunks", _convert(recipe="pca4-int8", prefix_chunks=2)),
        Kind("int8, no shards", _convert(recipe="pca4-int8", shard="none")),
        Kind("int8, archive", _convert(recipe="pca4-int8", archive=True)),
        Kind("int4", _convert(recipe="pca4-int4")),
        Kind("l2-int4", _convert(recipe="l2-pca4-int4")),
        Kind("int2", _convert(recipe="pca4-int2")),
        Kind("ternary", _convert(recipe="pca4-ternary")),
        Kind("binary", _convert(recipe="rot-binary")),
        Kind("power", _convert(recipe="pca4-power1x64")),
        Kind("pq", _convert(recipe="pq2x8")),
        Kind("rq", _convert(recipe="pca4-rq2x8")),
        Kind("float16", _convert(recipe="pca4-float16")),
        Kind("float32", _convert(recipe="float32")),
        Kind("time axis", _dates, dates=True),
        Kind("level of an overview", _overviews, "overviews/2", transform=HALF),
        Kind("grid of several zones", _zones, "utm32n"),
        Kind("table", _table, transform=None),
        Kind("codec layout", _convert(recipe="pca4-int8", layout="codec")),
    )
}


def paths(folder: Path) -> dict[str, Path]:
    """Return where the store of each kind lies below `folder`."""
    return {name: folder / f"store{number}.zarr" for number, name in enumerate(KINDS)}


def make_stores(folder: Path) -> dict[str, Path]:
    """Write a store of each kind below `folder`; return where each lies."""
    stores = paths(folder)
    for name, store in stores.items():
        KINDS[name].make(raster(folder / f"source-of-{store.stem}" / "scene.tif"), store)
    return stores
