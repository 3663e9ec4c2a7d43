"""Beside a published store lie an item and a collection that say where, when and what it is."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zarr

from geoembz.errors import MissingPackageError, StoreError
from geoembz.publish.footprint import footprint
from geoembz.publish.stac import EMB_SCHEMA, write_stac

pystac = pytest.importorskip("pystac")
YEAR = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC))


def read(url: str) -> dict[str, Any]:
    return dict(json.loads(Path(url.removeprefix("file://")).read_text()))


def test_item(store: Path) -> None:
    """The item has the emb, proj and raster fields, and the asset key `embeddings`."""
    item_url, _ = write_stac(str(store), interval=YEAR)
    item = read(item_url)
    assert Path(item_url.removeprefix("file://")) == store.with_name("out.zarr.stac-item.json")
    assert pystac.Item.from_dict(item).id == "out"
    properties, asset = item["properties"], item["assets"]["embeddings"]
    assert EMB_SCHEMA in item["stac_extensions"]
    assert properties["proj:code"] == "EPSG:32633"
    assert properties["proj:shape"] == [600, 300]
    assert properties["proj:transform"] == [10, 0, 500000, 0, -10, 5000000]
    assert properties["gsd"] == 10
    assert properties["start_datetime"] == "2024-01-01T00:00:00Z"
    assert properties["datetime"] is None
    assert properties["emb:quantization"] == {
        "method": "geoembz:pca16-int8",
        "original_dtype": "float32",
        "quantized_dtype": "int8",
        "link": {"rel": "about", "href": "https://example.org/spec"},
    }
    assert (asset["data_type"], asset["nodata"], asset["raster:spatial_resolution"]) == (
        "int8", -128, 10)  # fmt: skip
    # the emb extension allows no other emb: field on items
    assert [name for name in properties if name.startswith("emb:")] == ["emb:quantization"]


def test_place(store: Path) -> None:
    """The geometry encloses the grid: 500 km east is UTM 33's central meridian, 15 degrees."""
    item = read(write_stac(str(store))[0])
    west, south, east, north = item["bbox"]
    assert (west, north) == (pytest.approx(15, abs=1e-6), pytest.approx(45.153, abs=1e-3))
    assert (east - west) == pytest.approx(0.0382, abs=1e-3)
    assert (north - south) == pytest.approx(0.054, abs=1e-3)
    (ring,) = item["geometry"]["coordinates"]
    assert ring[0] == ring[-1]


def test_collection(store: Path) -> None:
    """The collection carries type, dimensions and data type, and links model and source."""
    collection = read(write_stac(str(store), interval=YEAR, licence="CC-BY-4.0")[1])
    assert (collection["emb:type"], collection["emb:dimensions"]) == ("pixel", 16)
    assert collection["data_type"] == "int8"
    assert collection["license"] == "CC-BY-4.0"
    links = {link["rel"]: link["href"] for link in collection["links"]}
    assert links["emb:model"] == "urn:geoembz:model:unknown"
    assert links["emb:source-data"] == "https://example.org/tile.tif"
    assert links["item"] == "./out.zarr.stac-item.json"
    assert collection["extent"]["temporal"]["interval"] == [
        ["2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z"]
    ]


def test_without_a_time_it_is_that_of_publication(store: Path) -> None:
    """STAC wants a time; the description says which it is."""
    properties = read(write_stac(str(store))[0])["properties"]
    assert datetime.fromisoformat(properties["datetime"]).tzinfo is not None
    assert "publication" in properties["description"]


def test_several_zones(store: Path) -> None:
    """Child groups with grids of their own become one MultiPolygon and no single CRS."""
    root = zarr.open_group(store)
    for code in (32632, 32633):
        attributes: dict[str, Any] = {
            "proj:code": f"EPSG:{code}",
            "spatial:bbox": [400000, 0, 500000, 100000],
        }
        root.create_group(str(code)).attrs.update(attributes)
    del root.attrs["spatial:bbox"]
    item = read(write_stac(str(store))[0])
    assert item["geometry"]["type"] == "MultiPolygon"
    assert len(item["geometry"]["coordinates"]) == 2
    assert item["properties"]["proj:code"] is None
    assert item["bbox"] == pytest.approx([8.1, 0, 15, 0.904], abs=0.01)


def test_antimeridian() -> None:
    """A grid across 180° is cut in two, and west is larger than east."""
    place = footprint([{"proj:code": "EPSG:32660", "spatial:bbox": [700000, 0, 900000, 100000]}])
    assert place.geometry["type"] == "MultiPolygon"
    west, _, east, _ = place.bbox
    assert west > 178
    assert east < -179
    for (ring,) in place.geometry["coordinates"]:
        longitudes = [lon for lon, _ in ring]
        assert max(longitudes) - min(longitudes) < 2


def test_whole_earth() -> None:
    """A global grid covers all longitudes."""
    place = footprint([{"proj:code": "EPSG:4326", "spatial:bbox": [-180, -90, 180, 90]}])
    assert place.bbox == pytest.approx((-180, -90, 180, 90))
    assert place.geometry["type"] == "Polygon"


@pytest.mark.parametrize(
    "grid",
    [
        {"proj:code": "EPSG:999999", "spatial:bbox": [0, 0, 1, 1]},
        {"proj:code": "EPSG:4326", "spatial:bbox": [0, 0]},
        {"proj:code": "EPSG:32633", "spatial:bbox": ["a", 0, 1, 1]},
    ],
)
def test_grids_without_a_place(grid: dict[str, Any]) -> None:
    """An unknown CRS or a box that is none is named."""
    with pytest.raises(StoreError, match="no place on Earth"):
        footprint([grid])


def test_stores_that_cannot_be_described(store: Path, tmp_path: Path) -> None:
    """No grid, no dimensions: the message says what was expected."""
    with pytest.raises(StoreError, match="expected proj: and spatial:"):
        write_stac(str(tmp_path / "nothing"))
    del zarr.open_group(store).attrs["geoemb:dimensions"]
    with pytest.raises(StoreError, match="geoemb:dimensions"):
        write_stac(str(store))


def test_missing_pystac_names_the_extra(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pystac the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "pystac", None)
    with pytest.raises(MissingPackageError, match=r"geoembz\[all\]"):
        write_stac(str(store))
