"""`info --coverage`: what is written, what is empty, what is lost."""

import json
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz.errors import GeoembzError, StoreError
from geoembz.store.coverage_result import Status
from tests import products, tables


def write(folder: Path, **options: object) -> Path:
    """Convert 24 x 40 pixels, of which those right of column 20 and some others are nodata."""
    values = products.unit_vectors(24, 40, 6, seed=1)
    values[:, :, 20:] = np.nan
    values[:, :8, :4] = np.nan
    raster = products.write_raster(folder / "a.tif", values)
    out = folder / "out.zarr"
    geoembz.convert(raster, out, chunk=8, **{"recipe": "pca4-int4", "shard": 8, **options})  # type: ignore[arg-type]
    return out


def run(*words: object) -> int | str | None:
    """Run a command; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code


def statuses(found: geoembz.CoverageReport) -> list[list[Status]]:
    """Return the statuses of shards as they lie."""
    rows = 1 + max(shard.row for shard in found.shards)
    return [[shard.status for shard in found.shards if shard.row == row] for row in range(rows)]


@pytest.mark.parametrize(
    "options",
    [{}, {"recipe": "pca4-int8"}, {"recipe": "pca4-int8", "shard": "none", "prefix_chunks": 2}],
)
def test_statuses_and_shares(options: dict[str, object], tmp_path: Path) -> None:
    """Written, empty, missing; valid pixels by shard, where they are asked for or cheap to read."""
    out = write(tmp_path, **options)
    found = geoembz.shard_coverage(out, shares=True)
    row: list[Status] = ["written", "written", "written", "empty", "empty"]
    assert statuses(found) == [row] * 3
    valid = [[shard.valid_pixels for shard in found.shards if shard.row == at] for at in range(3)]
    assert valid == [[32, 64, 32, 0, 0], [64, 64, 32, 0, 0], [64, 64, 32, 0, 0]]
    has_mask = "int4" in str(options.get("recipe", "int4"))
    unasked = {shard.valid_pixels is None for shard in geoembz.shard_coverage(out).shards}
    assert unasked == ({False} if has_mask else {True, False})
    (out / "embedding/c/0/1/2").unlink()
    lost = geoembz.shard_coverage(out)
    assert statuses(lost)[1] == ["written", "written", "missing", "empty", "empty"]
    assert "missing: shard row 1, column 2" in lost.to_table()
    if has_mask:
        (out / "valid/c/0/0").unlink()
        assert statuses(geoembz.shard_coverage(out))[0][0] == "missing"


def test_by_date_and_grid(tmp_path: Path) -> None:
    """A line for each."""
    paths = [
        products.write_raster(tmp_path / f"{zone}.tif", products.unit_vectors(16, 16, 4), crs=zone)
        for zone in ("EPSG:32632", "EPSG:32633")
    ]
    geoembz.convert(paths, tmp_path / "out.zarr", time="2020", recipe="int8", chunk=8, shard=8)
    found = geoembz.shard_coverage(tmp_path / "out.zarr")
    assert {(shard.grid, shard.time) for shard in found.shards} == {
        ("utm32n", "2020-01-01"),
        ("utm33n", "2020-01-01"),
    }
    assert found.count("written") == 8
    assert "utm33n  2020-01-01  4       4        0      0        not read" in found.to_table()


def test_command_and_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON, a table, and outlines in longitude and latitude that cover the grid."""
    out = write(tmp_path)
    drawing = tmp_path / "c.geojson"
    assert run("info", out, "--coverage", "--json", "--geojson", drawing) == 0
    document = json.loads(capsys.readouterr().out)
    assert [document[name] for name in ("written", "empty", "missing")] == [9, 6, 0]
    assert document["shards"][0]["valid_pixels"] == 32
    drawn = json.loads(drawing.read_text("utf-8"))
    assert len(drawn["features"]) == 15
    lon, lat = np.array(drawn["features"][0]["geometry"]["coordinates"][0]).T
    assert np.all((lon > 9 - 1e-6) & (lon < 9.01))
    assert np.all((lat > 47.8) & (lat < 47.9))
    assert drawn["features"][3]["properties"]["status"] == "empty"
    assert run("info", out, "--coverage") == 0
    assert "15      9        6      0        46.7%" in capsys.readouterr().out
    assert run("info", out, "--geojson", drawing) == 2
    assert "--coverage" in capsys.readouterr().err


def test_across_the_antimeridian(tmp_path: Path) -> None:
    """A shard on both sides has a feature on each."""
    path = products.write_raster(
        tmp_path / "a.tif",
        products.unit_vectors(8, 8, 4),
        crs="EPSG:4326",
        transform=(1, 0, 176, 0, -1, 0),
    )
    geoembz.convert(path, tmp_path / "out.zarr", recipe="int8")
    features = geoembz.shard_coverage(tmp_path / "out.zarr").to_geojson()["features"]
    assert len(features) == 2


def test_what_has_no_coverage(tmp_path: Path) -> None:
    """A table, a place without a store."""
    rows = tables.plain(tmp_path / "rows.parquet", np.random.default_rng(0), rows=50).path
    geoembz.convert(rows, tmp_path / "rows.zarr", recipe="int8")
    with pytest.raises(StoreError, match="a store of a table"):
        geoembz.shard_coverage(tmp_path / "rows.zarr")
    with pytest.raises(GeoembzError, match="no Zarr store"):
        geoembz.shard_coverage(tmp_path / "nothing.zarr")
