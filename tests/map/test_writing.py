"""Maps of any kind: the same bytes whoever makes them, resumed after a kill, whole or not there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - the accessor `rio`
import xarray as xr
import zarr

import geoembz
from geoembz._map.run import choose_chunks
from geoembz._map.task import MapTask
from geoembz.errors import DestinationExistsError, InvalidConfigError, StoreError
from geoembz.store import StoreReader
from tests.map.conftest import MakeStore, content_of, place_of, read_tiff


def similar(reader: StoreReader, out: Path, **options: Any) -> geoembz.MapSummary:
    """Map what is like one pixel."""
    place = [place_of(reader, 20, 20)]
    return geoembz.map_similar(reader.url, out, **{"like": place, "crs": "EPSG:32632", **options})


@pytest.mark.parametrize("name", ["map.tif", "map.zarr"])
def test_bytes_do_not_depend_on_the_workers(name: str, store: StoreReader, tmp_path: Path) -> None:
    """One thread, several, or processes of a cluster."""
    for folder, options in {"one": {"workers": 1}, "four": {"workers": 4}}.items():
        (tmp_path / folder).mkdir()
        similar(store, tmp_path / folder / name, **options)
    assert content_of(tmp_path / "one" / name) == content_of(tmp_path / "four" / name)


@pytest.mark.slow
def test_a_cluster_makes_the_same_map(store: StoreReader, tmp_path: Path) -> None:
    """Tasks are pickled, and open their files by themselves."""
    similar(store, tmp_path / "threads.tif", workers=1)
    similar(store, tmp_path / "cluster.tif", workers=1, scheduler="local")
    assert content_of(tmp_path / "threads.tif") == content_of(tmp_path / "cluster.tif")


def test_a_store_opens_in_xarray(store: StoreReader, tmp_path: Path) -> None:
    """With its CRS, its coordinates and what it is; and holds what the GeoTIFF does."""
    similar(store, tmp_path / "map.zarr")
    similar(store, tmp_path / "map.tif")
    opened = xr.open_zarr(tmp_path / "map.zarr")
    np.testing.assert_array_equal(opened["map"].values, read_tiff(tmp_path / "map.tif"))
    assert opened["map"].dims == ("band", "y", "x")
    assert opened.rio.crs.to_epsg() == 32632
    np.testing.assert_array_equal(opened.x, store.attributes.grid.x)
    assert opened.attrs["geoembz:map"]["kind"] == "similarity"
    assert opened.attrs["geoembz:map"]["bands"] == ["cosine"]


def test_a_geotiff_says_what_it_is(store: StoreReader, tmp_path: Path) -> None:
    """CRS, nodata, names, figures and colours, for every program that shows it."""
    similar(store, tmp_path / "map.tif")
    similar(store, tmp_path / "cut.tif", threshold=0.5)
    with rasterio.open(tmp_path / "map.tif") as raster:
        assert raster.descriptions == ("cosine",)
        assert np.isnan(raster.nodata)
        assert raster.crs.to_epsg() == 32632
        assert raster.transform[:6] == store.attributes.grid.transform
        assert float(raster.tags(1)["STATISTICS_MAXIMUM"]) == pytest.approx(1, abs=1e-5)
        assert raster.tags()["geoembz_recipe"] == "pca8-int8"
    with rasterio.open(tmp_path / "cut.tif") as raster:
        assert raster.nodata == 255
        assert raster.colormap(1)[1] == (200, 30, 90, 255)
        assert raster.tags(1)["CLASS_1"] == "cosine at least 0.5"


def test_a_part_is_the_part_of_the_whole(store: StoreReader, tmp_path: Path) -> None:
    """A box that no shard is aligned with; the grid is that of its pixels."""
    similar(store, tmp_path / "whole.tif")
    left, top = 500_000.0, 5_300_000.0
    box = (left + 93, top - 551, left + 407, top - 137)
    similar(store, tmp_path / "part.tif", bbox=box)
    (part,), (whole,) = read_tiff(tmp_path / "part.tif"), read_tiff(tmp_path / "whole.tif")
    np.testing.assert_allclose(part, whole[13:56, 9:41], rtol=1e-6)
    with rasterio.open(tmp_path / "part.tif") as raster:
        assert raster.transform[:6] == (10.0, 0.0, left + 90, 0.0, -10.0, top - 130)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_picture_is_transparent_without_data(store: StoreReader, tmp_path: Path) -> None:
    """One pixel of it for one of the map, where that is small."""
    similar(store, tmp_path / "map.tif", png=tmp_path / "map.png")
    with rasterio.open(tmp_path / "map.png") as raster:
        picture = raster.read()
    (found,) = read_tiff(tmp_path / "map.tif")
    assert picture.shape == (4, *store.shape)
    np.testing.assert_array_equal(picture[3] == 255, np.isfinite(found))
    brightness = picture[:3].astype(int).sum(axis=0)
    assert brightness[np.unravel_index(np.nanargmax(found), found.shape)] == brightness.max()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_the_stretch_is_written_and_the_picture_keeps_to_it(
    store: StoreReader, tmp_path: Path, suffix: str
) -> None:
    """Two deviations about the mean, within the numbers; programs that show a map need no other."""
    similar(store, tmp_path / "map.tif")
    (found,) = read_tiff(tmp_path / "map.tif")
    similar(store, tmp_path / f"again.{suffix}", png=tmp_path / "map.png")
    if suffix == "tif":
        with rasterio.open(tmp_path / "again.tif") as raster:
            about = json.loads(raster.tags()["geoembz_map"])
    else:
        about = zarr.open_group(tmp_path / "again.zarr", mode="r").attrs["geoembz:map"]
    ((low, high),) = about["stretch"]
    known = found[np.isfinite(found)].astype(np.float64)
    assert low == pytest.approx(max(known.min(), known.mean() - 2 * known.std()))
    assert high == pytest.approx(min(known.max(), known.mean() + 2 * known.std()))
    assert about["shown"] == [1]
    with rasterio.open(tmp_path / "map.png") as raster:
        picture = np.moveaxis(raster.read()[:3], 0, -1)
    for ends, colour in ((found >= high, [253, 231, 37]), (found <= low, [68, 1, 84])):
        assert ends.any()
        assert (picture[ends] == colour).all()


class _KilledError(BaseException):
    """What no code expects."""


@pytest.mark.parametrize("name", ["map.tif", "map.zarr"])
def test_the_same_command_finishes_a_killed_one(
    name: str, store: StoreReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards that are there are not made again; before the end nothing is there to open."""
    similar(store, tmp_path / f"whole-{name}")
    made: list[Any] = []
    make = MapTask._make

    def killed(task: MapTask, shard: Any) -> Any:
        if len(made) == 3:
            raise _KilledError
        made.append(shard)
        return make(task, shard)

    out = tmp_path / name
    with monkeypatch.context() as patch:
        patch.setattr(MapTask, "_make", killed)
        with pytest.raises(_KilledError):
            similar(store, out, workers=1)
    assert not out.is_file()
    assert not (out / "zarr.json").exists()
    with pytest.raises(InvalidConfigError, match="unfinished"):
        similar(store, out, metric="dot")
    rest: list[Any] = []

    def counted(task: MapTask, shard: Any) -> Any:
        rest.append(shard)
        return make(task, shard)

    monkeypatch.setattr(MapTask, "_make", counted)
    similar(store, out)
    assert len(made) == 3
    assert len(rest) == 6 - 3
    assert content_of(out) == content_of(tmp_path / f"whole-{name}")
    assert not list(tmp_path.glob(f".{name}*"))


@pytest.mark.slow
def test_a_killed_process_is_finished(store: StoreReader, tmp_path: Path) -> None:
    """SIGKILL in the middle of a shard: the lock is of a dead process, the rest is made."""
    x, y = place_of(store, 20, 20)
    out = tmp_path / "map.tif"
    program = (
        "import os, signal, geoembz\n"
        "from geoembz._map.task import MapTask\n"
        "make, count = MapTask._make, []\n"
        "def kill(task, shard):\n"
        "    count.append(1)\n"
        "    if len(count) > 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return make(task, shard)\n"
        "MapTask._make = kill\n"
        f"geoembz.map_similar({store.url!r}, {str(out)!r}, like=[({x}, {y})], crs='EPSG:32632')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert run.returncode == -9, run.stderr.decode()
    assert not out.exists()
    similar(store, out)
    similar(store, tmp_path / "whole.tif")
    assert content_of(out) == content_of(tmp_path / "whole.tif")
    assert [path.name for path in tmp_path.glob(".map*")] == []


@pytest.mark.parametrize("name", ["map.tif", "map.zarr"])
def test_what_is_there_stays_until_the_new_is_whole(
    name: str, store: StoreReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused without `overwrite`; with it, replaced at the end only."""
    out = tmp_path / name
    similar(store, out)
    former = content_of(out)
    with pytest.raises(DestinationExistsError):
        similar(store, out, metric="dot")

    def fail(_task: MapTask, _shard: Any) -> Any:
        raise StoreError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(MapTask, "_make", fail)
        with pytest.raises(StoreError, match="no more"):
            similar(store, out, metric="dot", overwrite=True)
    assert content_of(out) == former
    similar(store, out, metric="dot", overwrite=True)
    assert content_of(out) != former


def test_a_place_without_data_makes_no_map(store: StoreReader, tmp_path: Path) -> None:
    """Nor leaves anything behind."""
    box = (500_000.0, 5_299_930.0, 500_050.0, 5_299_990.0)
    for name in ("map.tif", "map.zarr"):
        with pytest.raises(geoembz.GeoembzError, match="no pixel there holds an embedding"):
            similar(store, tmp_path / name, bbox=box)
    assert not [path for path in tmp_path.iterdir() if "map" in path.name]


def test_names_that_mean_nothing_are_refused(store: StoreReader, tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(InvalidConfigError, match=r"expected a name that ends in \.tif or \.zarr"):
        similar(store, tmp_path / "map.jpg")
    with pytest.raises(InvalidConfigError, match=r"ends in \.png"):
        similar(store, tmp_path / "map.tif", png=tmp_path / "map.jpg")


def test_shards_of_a_map_lie_on_those_of_the_store(make_store: MakeStore) -> None:
    """Stores without shards are mapped several chunks at a time."""
    from geoembz._export.region import open_region

    sharded = open_region(make_store(pca=8))
    assert choose_chunks(sharded, 4).shard == (32, 32)
    chunks = choose_chunks(open_region(make_store("b", pca=8, shard="none")), 4)
    assert (chunks.chunk, chunks.shard) == ((128, 128), (128, 128))
