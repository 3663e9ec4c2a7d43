"""Every recipe's codes say which vectors are missing: to `verify`, exports, samples, searches."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from numpy.typing import NDArray

import geoembz
from geoembz._export import export_cog, sample
from geoembz._export.table import export_table
from tests.conftest import MakeRaster

RECIPES = (
    "int8",
    "int4",
    "int2",
    "ternary",
    "binary",
    "pq4x8",
    "float16",
    "float32",
    "aef",
    "pca5-ternary",
    "pca3-rot-int8",
    "l2-pca6-int8",
)


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    """Return vectors ``(8, 40, 30)``, a quarter of which and single ones are missing."""
    rng = np.random.default_rng(5)
    values = (rng.normal(size=(8, 40, 30)) / 5).astype(np.float32)
    values[:, :10], values[:, 20, 7] = np.nan, np.nan
    return values


@pytest.mark.parametrize("recipe", RECIPES)
def test_rasters_of_every_recipe(
    recipe: str, vectors: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path
) -> None:
    """A fresh store verifies; its codes as a GeoTIFF have the same invalid pixels."""
    missing = np.isnan(vectors).all(axis=0)
    path = make_raster(tmp_path / "in.tif", vectors)
    geoembz.convert(path, tmp_path / "s", recipe=recipe, chunk=8, shard=16)
    assert not geoembz.verify(str(tmp_path / "s")).problems
    summary = export_cog(tmp_path / "s", tmp_path / "codes.tif", space="codes")
    with rasterio.open(tmp_path / "codes.tif") as dataset:
        known = (dataset.read_masks() != 0).all(axis=0)
        np.testing.assert_array_equal(known, ~missing)
        if summary.nodata is not None:
            assert (
                np.isnan(dataset.read()[:, missing])
                | (dataset.read()[:, missing] == summary.nodata)
            ).all()
        inside = [dataset.xy(row, col) for row, col in ((20, 7), (20, 8), (3, 3))]
    outside = (inside[0][0] + 1e5, inside[0][1])
    for space in ("codes", "original"):
        sampled = sample(tmp_path / "s", [*inside, outside], crs="EPSG:32632", space=space)
        np.testing.assert_array_equal(sampled.pixels, [0, 1, 0, 0])
        if space == "codes" and summary.nodata is not None:
            np.testing.assert_array_equal(sampled.vectors[3], sampled.vectors[0])


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != "aef"])
def test_tables_of_every_recipe(recipe: str, tmp_path: Path) -> None:
    """A fresh table verifies; missing vectors come out as nulls, as codes and as numbers."""
    rng = np.random.default_rng(0)
    rows = [None if i % 10 == 3 else v for i, v in enumerate(rng.normal(size=(500, 8)) / 5)]
    columns = {
        "embedding": pa.array(rows, pa.list_(pa.float32())),
        "lon": rng.uniform(8, 9, 500),
        "lat": rng.uniform(46, 47, 500),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    geoembz.convert(tmp_path / "t.parquet", tmp_path / "s", recipe=recipe)
    assert not geoembz.verify(str(tmp_path / "s")).problems
    for space in ("original", "codes"):
        export_table(tmp_path / "s", tmp_path / f"{space}.parquet", space=space)
        written = pq.read_table(tmp_path / f"{space}.parquet")["embedding"]
        assert written.null_count == 50
