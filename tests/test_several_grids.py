"""A store of several grids is used like any other: described, opened, shown and written out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._export import export_cog, preview
from geoembz.errors import InvalidConfigError
from geoembz.store import RootInfo
from geoembz.store.summary import describe
from tests.conversion.test_grids import write_zones


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """Return a store of two UTM zones, 24 x 48 pixels of 10 m each."""
    store = tmp_path / "zones.zarr"
    geoembz.convert(write_zones(tmp_path / "in"), store, quantizer="float32")
    return store


def test_info_describes_every_grid(zones: Path) -> None:
    info = describe(str(zones))
    assert isinstance(info, RootInfo)
    assert [grid.crs for grid in info.grids] == ["EPSG:32632", "EPSG:32633"]
    assert info.pixels == 2 * 24 * 48
    assert info.bytes_stored == sum(grid.bytes_stored for grid in info.grids)
    printed = CliRunner().invoke(app, ["info", str(zones)]).output
    assert "utm32n" in printed
    assert "48 x 24" in printed
    document = json.loads(CliRunner().invoke(app, ["info", str(zones), "--json"]).output)
    assert [grid["crs"] for grid in document["grids"]] == ["EPSG:32632", "EPSG:32633"]


@pytest.mark.parametrize("overviews", [False, True])
def test_progress_counts_all_grids(tmp_path: Path, overviews: bool) -> None:
    """From 1 to the number of all shards, which is known from the start but for levels."""
    told: list[tuple[int, int]] = []
    options: dict[str, Any] = {"quantizer": "float32", "chunk": 8, "shard": 8, "workers": 1}
    geoembz.convert(
        write_zones(tmp_path / "in"),
        tmp_path / "zones.zarr",
        progress=lambda *counts: told.append(counts),
        overviews=overviews,
        **options,
    )
    done, totals = zip(*told, strict=True)
    assert list(done) == list(range(1, totals[-1] + 1))
    n_shards = 2 * (24 // 8) * (48 // 8)
    assert totals[0] == n_shards
    assert (totals[-1] > n_shards) == overviews
    told.clear()
    if overviews:
        geoembz.overviews(
            tmp_path / "zones.zarr",
            overwrite=True,
            workers=1,
            progress=lambda *counts: told.append(counts),
        )
        n_level = totals[-1] - n_shards
        assert told == [(number, n_level) for number in range(1, n_level + 1)]


def test_progress_of_a_finished_grid_is_left_out(tmp_path: Path) -> None:
    """Converting goes on after an interruption: what is left is counted, and no more."""
    told: list[tuple[int, int]] = []
    options: dict[str, Any] = {"quantizer": "float32", "chunk": 8, "shard": 8, "workers": 1}
    source, store = write_zones(tmp_path / "in"), tmp_path / "zones.zarr"
    n_zone = (24 // 8) * (48 // 8)

    def stop(done: int, _total: int) -> None:
        if done == n_zone + 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        geoembz.convert(source, store, progress=stop, **options)
    geoembz.convert(source, store, progress=lambda *counts: told.append(counts), **options)
    assert [total for _, total in told] == [n_zone - 4] * (n_zone - 4)


def test_open_takes_the_name_of_a_grid(zones: Path) -> None:
    opened = geoembz.open(zones, grid="utm33n")
    np.testing.assert_array_equal(opened.embedding, geoembz.open(zones / "utm33n").embedding)
    assert opened.attrs["proj:code"] == "EPSG:32633"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            None,
            r"holds 2 grids; name one of them, such as grid 'utm32n' \(there are utm32n, utm33n",
        ),
        ("utm31n", r"grid 'utm31n': .*zones\.zarr has grids utm32n, utm33n"),
    ],
)
def test_open_says_which_grids_there_are(zones: Path, grid: str | None, message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        geoembz.open(zones, grid=grid)


def test_a_store_of_one_grid_has_no_names(zones: Path) -> None:
    with pytest.raises(InvalidConfigError, match="one grid, which has no name"):
        geoembz.open(zones / "utm32n", grid="utm32n")


def test_export_writes_the_grid_that_is_named(zones: Path, tmp_path: Path) -> None:
    export_cog(zones, tmp_path / "a.tif", grid="utm33n")
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.crs.to_epsg() == 32633
        np.testing.assert_array_equal(raster.read(), geoembz.open(zones, grid="utm33n").embedding)


def test_export_finds_the_grid_of_a_box(zones: Path, tmp_path: Path) -> None:
    box = (15.0, 47.0, 15.5, 49.0)  # around the central meridian of zone 33
    export_cog(zones, tmp_path / "a.tif", bbox=box, bbox_crs="EPSG:4326")
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.crs.to_epsg() == 32633
        assert raster.count == 8


def test_export_of_all_grids_asks_for_one(zones: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"2 grids; name one of them"):
        export_cog(zones, tmp_path / "a.tif")
    result = CliRunner().invoke(
        app, ["export", str(zones), str(tmp_path / "b.tif"), "--grid", "utm32n"]
    )
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("*.tif")) == ["b.tif"]


def test_a_box_without_a_crs_could_mean_several_places(zones: Path, tmp_path: Path) -> None:
    box = (500_000.0, 5_190_000.0, 700_000.0, 5_300_000.0)
    with pytest.raises(InvalidConfigError, match=r"2 grids, each in its own CRS; name the CRS"):
        preview(zones, tmp_path / "a.png", bbox=box)
    query = np.ones(8, dtype=np.float32)
    with pytest.raises(InvalidConfigError, match=r"2 grids, each in its own CRS; name the CRS"):
        geoembz.search(zones, query, bbox=box)


def test_preview_shows_all_grids_on_one_map(zones: Path, tmp_path: Path) -> None:
    """Each zone appears where it lies: 6 degrees apart, so at the left and at the right edge."""
    shown = preview(zones, tmp_path / "a.tif", size=2000)
    assert max(shown.shape) == 2000
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.crs.to_epsg() == 3857
        columns = np.flatnonzero(raster.read(4).any(axis=0))
        width = raster.width
    assert columns.min() == 0
    assert columns.max() == width - 1
    assert np.diff(columns).max() > 0.9 * width


def test_preview_of_a_named_grid_keeps_its_crs(zones: Path, tmp_path: Path) -> None:
    preview(zones, tmp_path / "a.tif", grid="utm32n")
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.crs.to_epsg() == 32632
        assert raster.shape == (24, 48)
