"""Pooled vectors are those of plain NumPy on decoded arrays."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.features import geometry_mask
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz.errors import InvalidConfigError
from geoembz.sources.pooling import POOLS
from tests.export.conftest import MakeStore, everything
from tests.export.test_sample import collection, square

RECIPES: list[dict[str, Any]] = [
    {},
    {"quantizer": "int4"},
    {"quantizer": "binary"},
    {"quantizer": "float32", "pca": None},
    {"recipe": "l2-pca8-int8", "pca": None},
]
SHAPES = [
    square(500_100, 5_299_500, 160),
    square(500_000, 5_299_900, 100),  # its north-west is without data
    square(500_333, 5_299_333, 12),
    square(400_000, 5_299_333, 50),
]


def pooled(pixels: NDArray[np.float32], pool: str) -> NDArray[np.float64]:
    """Return the pooled vector of pixels ``(length, n)`` by the formula of each kind."""
    values = pixels.astype(np.float64)
    if pool == "mean+std":
        return np.concatenate([values.mean(axis=1), values.std(axis=1)])
    if pool == "gem":
        means = (np.sign(values) * np.abs(values) ** 3).mean(axis=1)
        return np.asarray(np.sign(means) * np.abs(means) ** (1 / 3))
    return np.asarray(getattr(values, pool)(axis=1))


@pytest.mark.parametrize("options", RECIPES, ids=str)
def test_polygons_are_pooled_as_numpy_pools_decoded_pixels(
    make_store: MakeStore, options: dict[str, Any]
) -> None:
    """Every kind, all at once, over borders of chunks; NaN outside."""
    store, shapes = make_store(**options), collection(*SHAPES)
    grid, spaces = store.attributes.grid, ("original", "reduced")
    space: Any
    for space in spaces:
        vectors = everything(store, space)
        sampled = geoembz.sample(store, shapes, crs="EPSG:32632", space=space, pool=POOLS)
        assert list(sampled.pooled) == list(POOLS)
        for number, shape in enumerate(SHAPES[:3]):
            inside = geometry_mask([shape], grid.shape, Affine(*grid.transform), invert=True)
            inside &= ~np.isnan(vectors[0])
            assert sampled.pixels[number] == inside.sum() > 0
            for pool in POOLS:
                found = sampled.pooled[pool][number]
                np.testing.assert_allclose(found, pooled(vectors[:, inside], pool), atol=1e-4)
        assert sampled.status.tolist() == ["valid", "valid", "valid", "outside"]
        assert all(np.isnan(vectors[3]).all() for vectors in sampled.pooled.values())


def test_several_kinds_are_columns(make_store: MakeStore, tmp_path: Path) -> None:
    """The first is `embedding`; `mean+std` is twice as long; CSV counts each kind's components."""
    store, polygons = make_store(), tmp_path / "in.geojson"
    polygons.write_text(str(collection(*SHAPES)).replace("'", '"'), encoding="utf-8")
    for suffix in (".parquet", ".csv"):
        words = ["sample", store.url, str(polygons), "--crs", "EPSG:32632", "--pool", "gem"]
        words += ["--pool", "mean+std", "--out", str(tmp_path / f"out{suffix}")]
        assert CliRunner().invoke(app, words).exit_code == 0
    expected = geoembz.sample(store, polygons, crs="EPSG:32632", pool=["gem", "mean+std"])
    table = pq.read_table(tmp_path / "out.parquet")
    gem, both = table["embedding"].to_pylist(), table["embedding_mean+std"].to_pylist()
    np.testing.assert_array_equal(gem[0], expected.pooled["gem"][0])
    np.testing.assert_array_equal(both[0], expected.pooled["mean+std"][0])
    assert gem[3] is both[3] is None
    assert len(both[0]) == 24
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    (row, *_) = csv.DictReader(lines)
    assert float(row["embedding_11"]) == pytest.approx(gem[0][11], rel=1e-6)
    assert float(row["embedding_mean+std_23"]) == pytest.approx(both[0][23], rel=1e-6)
    assert b"gem of pixels" in pq.read_schema(tmp_path / "out.parquet").metadata[b"emb"]


def test_what_cannot_be_pooled_is_refused(make_store: MakeStore) -> None:
    """Points, codes, and kinds that there are not."""
    store, shapes = make_store(), collection(*SHAPES)
    with pytest.raises(InvalidConfigError, match=r"pool 'std': .* holds points, of one pixel each"):
        geoembz.sample(store, [[500_205.0, 5_299_605.0]], crs="EPSG:32632", pool="std")
    with pytest.raises(InvalidConfigError, match=r"pool 'median'; expected .* mean, std, min"):
        geoembz.sample(store, shapes, crs="EPSG:32632", pool="median")  # type: ignore[arg-type]
    with pytest.raises(InvalidConfigError, match="mean of codes"):
        geoembz.sample(store, shapes, crs="EPSG:32632", pool="max", space="codes")
