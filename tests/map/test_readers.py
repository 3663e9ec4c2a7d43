"""Maps of classes and clusters in programs that do not know geoembz: GDAL, rioxarray, xarray."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from rasterio.enums import ColorInterp

import geoembz
from geoembz.store import StoreReader
from tests.map.labelling import KINDS, truth, write_points


@pytest.fixture
def result(store: StoreReader, tmp_path: Path) -> geoembz.ModelMap:
    """Map three classes, with probabilities."""
    points = write_points(tmp_path / "l.csv", store, np.append(KINDS, "")[truth(store)])
    return geoembz.map_classify(
        store.url, tmp_path / "m.tif", labels=points, model="knn", probabilities=True
    )


def test_gdal_has_names_colours_and_figures(result: geoembz.ModelMap) -> None:
    """A palette, the category names that QGIS lists, and what a stretch needs."""
    with rasterio.open(result.map.out) as raster:
        assert raster.driver == "GTiff"
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.colorinterp == (ColorInterp.palette,)
        assert raster.nodata == 0
        colours = raster.colormap(1)
        assert [colours[each.value][:3] for each in result.map.bands.classes] == [
            each.colour for each in result.map.bands.classes
        ]
        tags = raster.tags(1)
        assert [tags[f"CLASS_{value}"] for value in (1, 2, 3)] == KINDS.tolist()
        values = raster.read(1)
        assert float(tags["STATISTICS_MEAN"]) == pytest.approx(values[values > 0].mean())
        assert raster.tags()["geoembz_learner"] == "knn"


def test_the_file_has_a_table_of_classes(result: geoembz.ModelMap, tmp_path: Path) -> None:
    """A raster attribute table (GDAL 3.12), inside: value, name, pixels and colour of each."""
    content = Path(result.map.out).read_bytes()
    text = content[content.index(b"<GDALMetadata>") :].split(b"\0")[0].decode()
    item = ET.fromstring(text).find("Item[@role='rat']/GDALRasterAttributeTable")  # noqa: S314 - our own
    assert item is not None
    assert [usage.get("usageAsString") for usage in item.iter("Usage")] == [
        "MinMax", "Name", "PixelCount", "Red", "Green", "Blue",
    ]  # fmt: skip
    found = [[field.text for field in row] for row in item.iter("Row")]
    classes = result.to_json()["classes"]
    assert found == [
        [str(each["value"]), each["name"], str(each["pixels"]), *map(str, known.colour)]
        for each, known in zip(classes, result.map.bands.classes, strict=True)
    ]
    assert not list(tmp_path.glob("*.xml"))


def test_rioxarray_masks_what_has_no_data(result: geoembz.ModelMap, store: StoreReader) -> None:
    """With the CRS and coordinates of the store."""
    classes: Any = rioxarray.open_rasterio(result.map.out, masked=True)
    assert classes.rio.crs.to_epsg() == 32632
    np.testing.assert_allclose(classes.x, store.attributes.grid.x)
    assert int(classes.notnull().sum()) == result.map.valid_pixels
    assert result.probabilities is not None
    shares: Any = rioxarray.open_rasterio(result.probabilities.out, masked=True)
    assert shares.attrs["long_name"] == tuple(KINDS.tolist())
    np.testing.assert_array_equal(shares.notnull()[0], classes.notnull()[0])
    np.testing.assert_allclose(shares.sum("band").where(classes.notnull()[0]).max(), 1, rtol=1e-6)


def test_xarray_has_flags(store: StoreReader, tmp_path: Path) -> None:
    """By the CF conventions, of a Zarr store; its place by those that geoembz writes."""
    result = geoembz.map_cluster(store.url, tmp_path / "k.zarr", k=3)
    opened = xr.open_zarr(tmp_path / "k.zarr", mask_and_scale=False)
    attributes = opened["map"].attrs
    assert attributes["flag_values"] == [1, 2, 3]
    assert attributes["flag_meanings"].split() == ["cluster_1", "cluster_2", "cluster_3"]
    assert opened.rio.crs.to_epsg() == 32632
    classes = opened.attrs["geoembz:map"]["classes"]
    assert [each["colour"] for each in classes] == [
        "#{:02x}{:02x}{:02x}".format(*colour) for colour in result.clusters.colours
    ]
    counts = np.bincount(opened["map"].values.ravel(), minlength=4)[1:]
    np.testing.assert_array_equal(counts, result.sizes)
