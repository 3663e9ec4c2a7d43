"""Beside a published store lie an item and a collection that say where, when and what it is."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from rasterio.errors import NotGeoreferencedWarning

import geoembz
from geoembz._convert.append import append
from geoembz._publish import api, thumbnail
from geoembz._publish.manifest import content_type
from geoembz._publish.stac import EMB_SCHEMA, PROJ_SCHEMA
from geoembz._publish.stac_about import ALTERNATE_SCHEMA
from geoembz._publish.stac_extent import checked_interval, footprint
from geoembz.errors import InvalidConfigError, MissingPackageError, StoreError
from geoembz.sources import aef
from tests.conftest import MakeRaster
from tests.publish.conftest import write_stac

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


def test_a_relative_path_is_described_by_links_that_lead_there(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder below this one as from anywhere else: the store is found beside the item."""
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).normal(size=(4, 20, 20)).astype(np.float32)
    geoembz.convert(make_raster(tmp_path / "a.tif", values), "a.zarr", pca=2)
    (tmp_path / "public").mkdir()
    report = geoembz.publish("a.zarr", "public/land.zarr")
    public = tmp_path / "public"
    assert report.url == f"file://{public}/land.zarr"
    assert report.stac_urls[0] == f"file://{public}/land.zarr.stac-item.json"
    found = pystac.Item.from_file(str(public / "land.zarr.stac-item.json"))
    assert found.assets["embeddings"].href == "./land.zarr"  # no folder of this machine
    assert geoembz.open(found.assets["embeddings"].get_absolute_href()).sizes["x"] == 20
    assert "//public" not in json.dumps(found.to_dict(transform_hrefs=False))


def check_schemas(item: dict[str, Any], collection: dict[str, Any]) -> None:
    """Validate both against the schemas of STAC that pystac holds; extensions' are on the web."""
    pytest.importorskip("jsonschema")
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    for document, kind in ((item, "ITEM"), (collection, "COLLECTION")):
        checked = JsonSchemaSTACValidator().validate_core(
            document, pystac.STACObjectType[kind], document["stac_version"]
        )
        assert checked is not None


def test_a_collection_says_what_catalogues_find_it_by(store: Path) -> None:
    """Title, keywords and summaries; a provider only where the data set tells who made it."""
    attributes = zarr.open_group(store).attrs
    attributes["geoembz:recipe"] = "pca16-int8"
    item, collection = map(read, write_stac(str(store), licence="CC-BY-4.0"))
    check_schemas(item, collection)
    assert collection["title"] == item["properties"]["title"] == "out.zarr"
    assert collection["keywords"] == ["Earth embeddings", "pixel embeddings", "Zarr", "pca16-int8"]
    assert collection["summaries"] == {"proj:code": ["EPSG:32633"], "gsd": [10]}
    assert PROJ_SCHEMA in collection["stac_extensions"]
    assert "providers" not in collection
    attributes["geoemb:model"] = aef.MODEL
    collection = read(write_stac(str(store))[1])
    check_schemas(item, collection)
    assert [(maker["name"], maker["roles"]) for maker in collection["providers"]] == [
        ("Google", ["producer"]), ("Google DeepMind", ["producer"])]  # fmt: skip


def test_files_of_this_machine_are_no_links(store: Path) -> None:
    """Their names are kept, and tell whether an item is of the same store, as links did."""
    sources = ["https://example.org/a.tif", "file:b.tif"]
    zarr.open_group(store).attrs["geoemb:source_data"] = sources
    urls = write_stac(str(store), interval=YEAR)
    item, collection = map(read, urls)
    check_schemas(item, collection)
    for document in (item, collection):
        links = [x["href"] for x in document["links"] if x["rel"] == "emb:source-data"]
        assert links == sources[:1]
    assert item["properties"]["geoembz:source_files"] == ["b.tif"]
    assert times(write_stac(str(store))[0]) == times(urls[0])
    del item["properties"]["geoembz:source_files"]  # as items were written before
    item["links"].append({"rel": "emb:source-data", "href": sources[1]})
    Path(urls[0].removeprefix("file://")).write_text(json.dumps(item), "utf-8")
    assert times(write_stac(str(store))[0]) == (
        None, "2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z")  # fmt: skip
    zarr.open_group(store).attrs["geoemb:source_data"] = [sources[0], "file:c.tif"]
    assert "publication" in read(write_stac(str(store))[0])["properties"]["description"]


@pytest.mark.parametrize(
    "address", ["https://s3.example.org/b/a.zarr", "http://127.0.0.1:9000/b", None]
)
def test_the_web_address_stands_beside(store: Path, address: str | None) -> None:
    """Where a server is known that all can ask by HTTPS, and only there."""
    item, collection = map(read, write_stac(str(store), address=address))
    check_schemas(item, collection)
    is_known = address is not None and address.startswith("https:")
    expected = {"https": {"href": address, "alternate:name": "HTTPS"}} if is_known else None
    assert item["assets"]["embeddings"].get("alternate") == expected
    assert (ALTERNATE_SCHEMA in item["stac_extensions"]) == is_known


@pytest.mark.parametrize("is_large", [False, True])
def test_an_item_has_a_picture_where_it_is_cheap(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    """Of the last date, beside the store; a large store has one by its overviews alone."""
    first, last = np.random.default_rng(0).normal(size=(2, 4, 40, 300)).astype(np.float32)
    store, public = tmp_path / "a.zarr", tmp_path / "public"
    last[:, :, :150] = np.nan
    geoembz.convert(make_raster(tmp_path / "a.tif", first), store, pca=3, time="2023")
    append(store, make_raster(tmp_path / "b.tif", last), time="2024")
    if is_large:
        monkeypatch.setattr(thumbnail, "_MOST_PIXELS", 40 * 300 - 1)
        item = read(geoembz.publish(store, public / "before.zarr").stac_urls[0])
        assert [*item["assets"]] == ["embeddings"]
        assert not (public / "before.zarr.thumbnail.png").exists()
        geoembz.overviews(store, levels=1)
    urls = geoembz.publish(store, public / "a.zarr").stac_urls
    item, collection = map(read, urls)
    check_schemas(item, collection)
    asset = item["assets"]["thumbnail"]
    assert (asset["type"], asset["roles"]) == ("image/png", ["thumbnail"])
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(public / asset["href"]) as picture,
    ):
        shown = picture.read(4) == 255
    assert shown.shape == (20, 150)
    assert shown[:, 75:].all()
    assert not shown[:, :75].any()
    assert content_type(asset["href"]) == "image/png"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("https://s3.example.org", "https://s3.example.org/bucket/p/a.zarr"), (None, None)],
)
def test_publish_tells_the_address_it_was_told(
    store: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, expected: str | None
) -> None:
    """Below an endpoint the address is known; without one the region would be a guess."""
    seen: list[Any] = []
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(api, "copy_store", lambda *_, describe, **__: seen.append(describe))
    geoembz.publish(store, "s3://bucket/p/a.zarr", endpoint_url=endpoint)
    assert [describe.keywords["address"] for describe in seen] == [expected]


def test_without_a_time_it_is_that_of_publication(store: Path) -> None:
    """STAC wants a time; the description says which it is."""
    properties = read(write_stac(str(store))[0])["properties"]
    assert datetime.fromisoformat(properties["datetime"]).tzinfo is not None
    assert "publication" in properties["description"]


def times(url: str) -> tuple[Any, Any, Any]:
    properties = read(url)["properties"]
    names = ("datetime", "start_datetime", "end_datetime")
    return tuple(properties.get(name) for name in names)


def test_publishing_again_keeps_time_and_licence(store: Path) -> None:
    """What was said once is not replaced by now, and not by "other"."""
    write_stac(str(store), interval=YEAR, licence="CC-BY-4.0")
    item, collection = write_stac(str(store))
    assert times(item) == (None, "2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z")
    assert read(collection)["license"] == "CC-BY-4.0"
    write_stac(str(store), licence="https://example.org/terms")
    document = read(write_stac(str(store))[1])
    assert document["license"] == "other"
    assert {"rel": "license", "href": "https://example.org/terms"} in [
        {name: link[name] for name in ("rel", "href")} for link in document["links"]
    ]


def test_the_first_publication_stays_the_time_of_publication(store: Path) -> None:
    """Without any time the first publication is kept, and still called that."""
    first = write_stac(str(store))[0]
    document = read(first)
    document["properties"]["datetime"] = "2020-05-05T05:05:05Z"
    Path(first.removeprefix("file://")).write_text(json.dumps(document), "utf-8")
    again = read(write_stac(str(store))[0])["properties"]
    assert again["datetime"] == "2020-05-05T05:05:05Z"
    assert "publication" in again["description"]


def test_an_item_of_another_store_says_nothing(store: Path) -> None:
    """Another store at the same address does not inherit its predecessor's time or licence."""
    write_stac(str(store), interval=YEAR, licence="CC0-1.0")
    zarr.open_group(store).attrs["geoemb:source_data"] = ["https://example.org/other.tif"]
    item, collection = write_stac(str(store))
    assert "publication" in read(item)["properties"]["description"]
    assert read(collection)["license"] == "other"


def test_the_stores_own_licence_and_dates_are_read(
    tmp_path: Path, make_raster: MakeRaster, rng: Any
) -> None:
    """A converted store says both; a date appended later extends what was published."""
    raster = make_raster(tmp_path / "a.tif", rng.normal(size=(4, 20, 20)).astype("float32"))
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, pca=2, time="2024", license="CC-BY-4.0")
    item, collection = write_stac(str(store))
    assert times(item) == (None, "2024-01-01T00:00:00Z", "2024-12-31T23:59:59Z")
    assert "description" not in read(item)["properties"]
    assert read(collection)["license"] == "CC-BY-4.0"
    append(store, raster, time="2025")
    item, collection = write_stac(str(store))
    assert times(item) == (None, "2024-01-01T00:00:00Z", "2025-12-31T23:59:59Z")
    assert read(collection)["extent"]["temporal"]["interval"] == [
        ["2024-01-01T00:00:00Z", "2025-12-31T23:59:59Z"]
    ]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2020-01-01"], ("2020-01-01T00:00:00Z", "2020-12-31T23:59:59Z")),
        (["2020-01-01", "2020-02-01"], ("2020-01-01T00:00:00Z", "2020-02-29T23:59:59Z")),
        (["2020-12-01"], ("2020-12-01T00:00:00Z", "2020-12-31T23:59:59Z")),
        (["2021-03-04", "2020-01-01"], ("2020-01-01T00:00:00Z", "2021-03-04T23:59:59Z")),
    ],
)
def test_the_time_axis_gives_periods(
    store: Path, dates: list[str], expected: tuple[str, str]
) -> None:
    """Dates are the first day of a year, a month or a day; the last lasts to its end."""
    zarr.open_group(store).attrs["geoembz:times"] = [{"time": date} for date in dates]
    assert times(write_stac(str(store))[0]) == (None, *expected)


def test_damaged_dates_are_named(store: Path) -> None:
    """A time axis that cannot be read is no time of publication."""
    zarr.open_group(store).attrs["geoembz:times"] = [{"time": 3}]
    with pytest.raises(StoreError, match="geoembz:times"):
        write_stac(str(store))


def test_ends_are_whole_days_and_years() -> None:
    """What is no moment lasts to its last second; what is one stays."""
    assert checked_interval("2024", "2024-02") == (
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
    )
    noon = datetime(2024, 2, 2, 12, tzinfo=UTC)
    assert checked_interval(noon, "2024-02-02T12:00:00") == (noon, noon)
    assert checked_interval("2024-02-02T12:00:00", "2024-02-02T13:00+01:00") == (noon, noon)
    for wrong in ("2024-13", "24", "2024-02-30", "soon"):
        with pytest.raises(InvalidConfigError, match=wrong):
            checked_interval(wrong, "2025")


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


def test_overviews_are_no_grids_of_their_own(make_raster: MakeRaster, tmp_path: Path) -> None:
    """An item says of a store with levels what it says without: CRS, shape and place."""
    values = np.random.default_rng(0).normal(size=(8, 41, 35)).astype(np.float32)
    store = tmp_path / "a.zarr"
    geoembz.convert(make_raster(tmp_path / "a.tif", values), store, pca=4, chunk=8, shard=16)
    before = read(write_stac(str(store), interval=YEAR)[0])
    geoembz.overviews(store, levels=3)
    assert read(write_stac(str(store), interval=YEAR)[0]) == before
    assert before["properties"]["proj:shape"] == [41, 35]


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


def test_longitudes_beyond_180() -> None:
    """A grid from 0 to 360 has its place within ±180, as GeoJSON wants it."""
    place = footprint([{"proj:code": "EPSG:4326", "spatial:bbox": [350, 49.8, 350.2, 50]}])
    assert place.geometry["type"] == "Polygon"
    assert place.bbox == pytest.approx((-10, 49.8, -9.8, 50))
    assert {lon for lon, _ in place.geometry["coordinates"][0]} == {-10, -9.8}


def test_zones_on_both_sides_are_one_geometry() -> None:
    """Overlapping grids are joined, and the box goes the short way round."""
    grids = [
        {"proj:code": "EPSG:32660", "spatial:bbox": [700000, 0, 900000, 100000]},
        {"proj:code": "EPSG:32601", "spatial:bbox": [100000, 0, 300000, 100000]},
    ]
    place = footprint(grids)
    assert place.geometry["type"] == "MultiPolygon"
    assert len(place.geometry["coordinates"]) == 2
    assert place.bbox[0] > 178
    assert place.bbox[2] < -178


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
        {"proj:wkt2": 'LOCAL_CS["site",UNIT["metre",1]]', "spatial:bbox": [0, 0, 1, 1]},
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
    with pytest.raises(MissingPackageError, match=r"geoembz\[stac\]"):
        write_stac(str(store))
