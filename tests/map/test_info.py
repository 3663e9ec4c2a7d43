"""`geoembz info` of a map, and what the doors of stores say when they are given one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import geoembz
from geoembz._cli import main
from geoembz.errors import StoreError
from geoembz.store import MapInfo, StoreReader
from tests.conftest import MakeRaster
from tests.map.conftest import MakeStore, scene
from tests.map.labelling import KINDS, truth, write_points


@pytest.fixture
def years(
    make_store: MakeStore, make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> StoreReader:
    """Return a store of two dates, the vectors of the first at other places in the second."""
    values = scene(rng)
    store = make_store("years", values, pca=8, time="2023")
    later = make_raster(tmp_path / "turned.tif", values[:, ::-1])
    geoembz.append(store.url, later, time="2024")
    return StoreReader.open(store.url)


@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_info_describes_a_map_of_classes(store: StoreReader, tmp_path: Path, suffix: str) -> None:
    """Kind, place, encoding, and each class with its colour and pixels, whatever holds them."""
    points = write_points(tmp_path / "l.csv", store, np.append(KINDS, "")[truth(store)])
    out = tmp_path / f"m.{suffix}"
    made = geoembz.map_classify(store.url, out, labels=points, model="knn").map
    found = geoembz.info(out)
    assert isinstance(found, MapInfo)
    assert (found.kind, found.dtype, found.nodata) == ("classes", "uint8", 0)
    assert (found.shape, found.crs) == (store.shape, "EPSG:32632")
    assert found.transform == store.attributes.grid.transform
    assert (found.recipe, found.encoding_hash) == ("pca8-int8", store.encoding.hash)
    assert found.valid_pixels == made.valid_pixels
    assert found.bytes_stored == made.bytes_written
    assert found.details == {"learner": "knn"}
    expected = made.to_json()["classes"]
    assert [each.__dict__ for each in found.classes] == expected
    assert f"class 1       {KINDS[0]}" in found.to_table()
    assert json.loads(json.dumps(found.to_json()))["classes"] == expected


@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_info_tells_values_not_stored_numbers(
    years: StoreReader, tmp_path: Path, suffix: str
) -> None:
    """A difference is stored in bytes; its figures are those of the bytes times the scale."""
    out = tmp_path / f"d.{suffix}"
    made = geoembz.map_change(years.url, out, start="2023", end="2024", difference=3)
    found = geoembz.info(out)
    assert isinstance(found, MapInfo)
    assert found.dates == ("2023-01-01", "2024-01-01")
    for band, sums in zip(found.bands, made.figures.bands, strict=True):
        assert band.max == pytest.approx(sums.most * found.scale)
        assert band.std == pytest.approx(sums.std * found.scale)
    assert "difference, 3 x int8, times" in found.to_table()


def test_the_command_describes_maps(
    store: StoreReader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words and as JSON."""
    geoembz.map_cluster(store.url, tmp_path / "k.zarr", k=3)
    for flags in ([], ["--json"]):
        with pytest.raises(SystemExit):
            main(["info", str(tmp_path / "k.zarr"), *flags])
    printed = capsys.readouterr().out
    assert "clusters, 1 x uint8" in printed
    assert json.loads(printed[printed.index("{") :])["kind"] == "clusters"


DOORS: dict[str, Callable[[Path, Path], Any]] = {
    "open": lambda at, _: geoembz.open(at),
    "reader": lambda at, _: StoreReader.open(str(at)),
    "preview": lambda at, out: geoembz.preview(at, out / "p.png"),
    "export": lambda at, out: geoembz.export(at, out / "e.tif"),
    "search": lambda at, _: geoembz.search(at, np.ones(12, np.float32)),
    "sample": lambda at, _: geoembz.sample(at, [(0.0, 0.0)]),
    "overviews": lambda at, _: geoembz.overviews(at),
    "repack": lambda at, out: geoembz.repack(at, out / "r.zarr"),
    "map": lambda at, out: geoembz.map_cluster(at, out / "m.tif", k=2),
}


@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_doors_of_stores_name_a_map(store: StoreReader, tmp_path: Path, suffix: str) -> None:
    """None takes it for a damaged store, or for none at all."""
    out = tmp_path / f"s.{suffix}"
    geoembz.map_similar(store.url, out, vector=np.ones(12, np.float32))
    for name, ask in DOORS.items():
        with pytest.raises(StoreError, match=r"a map \(similarity\) made by `geoembz map`"):
            pytest.fail(f"{name} took it: {ask(out, tmp_path)}")


def test_other_rasters_and_damaged_maps_are_no_maps(store: StoreReader, tmp_path: Path) -> None:
    """A GeoTIFF without the tag, one with another's, and a file that is not there."""
    raster = Path(store.url).with_suffix(".tif")
    with pytest.raises(StoreError, match="a GeoTIFF, but no map that `geoembz map` made"):
        geoembz.info(raster)
    with rasterio.open(raster, "r+") as file:
        file.update_tags(geoembz_map='{"kind": "classes"}')
    with pytest.raises(StoreError, match=r"missing or malformed.*make it again"):
        geoembz.info(raster)
    with rasterio.open(raster, "r+") as file:
        file.update_tags(geoembz_map="[1]")
    with pytest.raises(StoreError, match="geoembz_map is list"):
        geoembz.info(raster)
    with pytest.raises(StoreError, match="not a readable GeoTIFF"):
        geoembz.info(tmp_path / "nothing.tif")
    with pytest.raises(StoreError, match="no Zarr store"):
        geoembz.open(tmp_path / "nothing.tif")


def test_info_says_when_a_store_is_an_archive(make_store: MakeStore, tmp_path: Path) -> None:
    """In its format, in words and in JSON: packed to be small, it is slower to read."""
    store = make_store(pca=8)
    found = geoembz.info(store.url)
    assert not found.to_json()["archive"]
    assert "archive" not in found.to_table()
    geoembz.repack(store.url, tmp_path / "a.zarr")
    packed = geoembz.info(tmp_path / "a.zarr")
    assert packed.to_json()["archive"]
    assert "layout plain, an archive" in packed.to_table()
