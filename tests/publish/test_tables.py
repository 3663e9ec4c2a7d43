"""Stores of tables are published and described like others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

import geoembz
from geoembz.errors import StoreError
from tests.publish.test_cli import run

pystac = pytest.importorskip("pystac")


def table_store(folder: Path, x: Any, y: Any, **options: Any) -> Path:
    """Return a store of points."""
    vectors = np.random.default_rng(0).normal(size=(len(x), 8)).astype(np.float32)
    pq.write_table(pa.table({"embedding": list(vectors), "x": x, "y": y}), folder / "t.parquet")
    geoembz.convert(folder / "t.parquet", folder / "t.zarr", quantizer="float32", **options)
    return folder / "t.zarr"


def published(store: Path) -> Any:
    """Publish a store; return its item."""
    target = store.parent / "there" / "copy.zarr"
    assert "wrote" in run(str(store), str(target))
    collection = json.loads(target.with_name("copy.zarr.stac-collection.json").read_text())
    assert collection["emb:type"] == "chip"
    return pystac.Item.from_dict(
        json.loads(target.with_name("copy.zarr.stac-item.json").read_text())
    )


@pytest.mark.parametrize(
    ("crs", "x", "y"),
    [("EPSG:4326", [8.25, 9.5], [46.0, 47.0]), ("EPSG:32632", [5e5, 5.5e5], [5e6, 5.1e6])],
)
def test_a_table_is_described_by_the_box_of_its_places(
    crs: str, x: list[float], y: list[float], tmp_path: Path
) -> None:
    """The item's geometry holds every place; of rasters' fields it has none."""
    from pyproj import Transformer

    places = np.linspace(x[0], x[1], 20), np.linspace(y[0], y[1], 20)
    item = published(table_store(tmp_path, *places, crs=crs))
    lon, lat = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(*places)
    outline = shapely.buffer(shapely.geometry.shape(item.geometry), 1e-6)
    assert shapely.contains_xy(outline, lon, lat).all()
    np.testing.assert_allclose(item.bbox[:2], [lon.min(), lat.min()], atol=0.05)
    assert item.properties["proj:code"] == crs
    assert item.properties["proj:bbox"] == [x[0], y[0], x[1], y[1]]
    assert "raster:sampling" not in item.assets["embeddings"].extra_fields


@pytest.mark.parametrize(
    ("x", "y", "kind"), [([8.0] * 20, [46.0] * 20, "Point"), ([8.0] * 20, None, "LineString")]
)
def test_a_table_of_one_place_has_no_area(
    x: list[float], y: list[float] | None, kind: str, tmp_path: Path
) -> None:
    """A point or a line, since a polygon without area is none."""
    latitudes = y or np.linspace(46, 47, 20).tolist()
    item = published(table_store(tmp_path, x, latitudes, crs="EPSG:4326"))
    geometry = shapely.geometry.shape(item.geometry)
    assert (geometry.geom_type, geometry.is_valid) == (kind, True)
    assert geometry.bounds == tuple(item.bbox) == (8.0, min(latitudes), 8.0, max(latitudes))


def test_a_table_without_places_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    """Nothing is sent; without a description it can be published."""
    store = table_store(tmp_path, [np.nan] * 20, [np.nan] * 20, crs="EPSG:4326")
    with pytest.raises(StoreError, match=r"no CRS and bounding box.*--no-stac"):
        run(str(store), str(tmp_path / "copy.zarr"))
    assert not (tmp_path / "copy.zarr").exists()
    assert "sent" in run(str(store), str(tmp_path / "copy.zarr"), "--no-stac")
