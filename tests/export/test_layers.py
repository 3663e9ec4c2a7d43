"""Layers at points, and as GeoTIFF."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

import geoembz
from geoembz.errors import InvalidConfigError
from tests.spec import vector_kinds
from tests.spec.test_vectors import SPEC

GOLDEN = SPEC / "vectors" / "0.2" / "layers" / "two-dates.zarr"
CRS = "EPSG:32633"
ROWS, COLS = np.array([0, 4, 2, 1]), np.array([0, 5, 3, 2])
PLACES = np.column_stack([500_005.0 + 10 * COLS, 5_299_995.0 - 10 * ROWS])


def sample(**options: Any) -> Any:
    """Sample the store of the first date at four pixels, and once outside."""
    points = np.vstack([PLACES, [[400_000.0, 5_299_995.0]]])
    return geoembz.sample(GOLDEN, points, crs=CRS, time="2024", **options)


def test_points_get_the_numbers_of_their_pixel(tmp_path: Path) -> None:
    """As values, scaled; none outside, nor where the layer has none; also where no vector is."""
    written = vector_kinds.layer_numbers(0)
    sampled = sample(layers=True, out=tmp_path / "points.parquet")
    assert list(sampled.layers) == [layer.name for layer in vector_kinds.LAYERS]
    for layer in vector_kinds.LAYERS:
        came = sampled.layers[layer.name]
        expected = layer.decode(written[layer.name])[ROWS, COLS]
        np.testing.assert_array_equal(came[:4].astype(float).filled(np.nan), expected)
        assert came.mask[4]
    table = pq.read_table(tmp_path / "points.parquet")
    assert table["observations"].to_pylist() == [0, 29, 15, 8, None]
    assert table["cloud_share"].to_pylist() == [None, 0.75, None, None, None]
    lines = [line.split(maxsplit=1) for line in sampled.to_table().splitlines()]
    assert ["layers", "observations, cloud_share, Quality, spread"] in lines
    assert not sample().layers
    later = geoembz.sample(GOLDEN, PLACES, crs=CRS, time="2023", layers=True)
    assert later.status[1] == "nodata"
    assert later.layers["observations"].tolist() == [1, 30, 16, 9]


def test_where_there_are_no_layers() -> None:
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    polygons = {"type": "Feature", "geometry": geometry, "properties": {}}
    with pytest.raises(InvalidConfigError, match="no rule says how layers are pooled"):
        geoembz.sample(GOLDEN, polygons, time="2024", layers=True)
    without = GOLDEN.parents[1] / "times" / "two-dates.zarr"
    with pytest.raises(InvalidConfigError, match="has none; leave it out"):
        geoembz.sample(without, PLACES, crs=CRS, time="2024", layers=True)


@pytest.mark.parametrize("name", [layer.name for layer in vector_kinds.LAYERS])
def test_a_layer_as_a_geotiff(name: str, tmp_path: Path) -> None:
    """Stored numbers, and what is said of them; a conversion takes it back."""
    layer = next(one for one in vector_kinds.LAYERS if one.name == name)
    summary: Any = geoembz.export(GOLDEN, tmp_path / "a.tif", layer=name, time="2024")
    assert (summary.space, summary.bands, summary.dtype) == (f"layer {name}", 1, layer.dtype)
    with rasterio.open(tmp_path / "a.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), vector_kinds.layer_numbers(0)[name])
        assert raster.scales == (layer.scale or 1.0,)
        assert raster.offsets == (layer.offset or 0.0,)
        assert raster.descriptions == (layer.description or name,)
        assert raster.units[0] == layer.units or not layer.units
        assert np.isnan(raster.nodata) if layer.is_float else raster.nodata == layer.nodata
        assert raster.tags()["date"] == "2024-01-01"
    part: Any = geoembz.export(
        GOLDEN, tmp_path / "b.tif", layer=name, time="2024", bbox=(5e5, 5_299_980, 500_030, 53e5)
    )
    assert part.shape == (2, 3)


def test_what_is_no_layer_to_export(tmp_path: Path) -> None:
    out = tmp_path / "a.tif"
    with pytest.raises(InvalidConfigError, match=r"layer 'no': .* has observations, cloud_share"):
        geoembz.export(GOLDEN, out, layer="no", time="2024")
    options: Any
    for options in ({"space": "codes"}, {"components": 2}, {"aggregate": 2}, {"crs": CRS}):
        with pytest.raises(InvalidConfigError, match="of a layer, which is no vector"):
            geoembz.export(GOLDEN, out, layer="spread", time="2024", **options)
    assert not out.exists()
