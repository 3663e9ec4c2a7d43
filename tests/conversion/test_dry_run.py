"""A dry run says what a command would do, as the command finds out itself, and does nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

import geoembz
from geoembz._cli import main
from geoembz._util.dry_run import DryRun, dry_run, is_dry
from geoembz.errors import DestinationExistsError, InvalidConfigError, SourceError
from tests.conftest import MakeRaster
from tests.conversion.test_grids import write_zones
from tests.conversion.test_interruption import interrupt

SIDES: dict[str, Any] = {"chunk": 8, "shard": 16}


@pytest.fixture
def source(tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator) -> Path:
    """Return a raster of 9 shards, all valid."""
    return make_raster(tmp_path / "a.tif", rng.normal(size=(6, 40, 48)).astype("float32"))


def state_of(folder: Path) -> dict[str, int]:
    """Return what is there, and when it was changed."""
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def foreseen(folder: Path, function: Any, *arguments: Any, **options: Any) -> DryRun:
    """Return what a call would do; nothing in a folder changes."""
    before = state_of(folder)
    found = dry_run(function, *arguments, **options)
    assert state_of(folder) == before
    assert not is_dry()
    json.dumps(found.to_json(), allow_nan=False)
    assert "nothing was written" in found.to_table()
    return found


def data_objects(store: Path) -> list[Path]:
    """Return the stored objects of codes, masks and layers, of all levels and dates."""
    return [path for path in store.rglob("c/**/*") if path.is_file() and "digests" not in str(path)]


@pytest.mark.parametrize(
    "options",
    [
        {"pca": 4},
        {"quantizer": "binary", "time": "2024"},
        {"recipe": "pca4-rot-int4", "overviews": True},
        {"recipe": "pq2x8", "shard": "none"},
        {"pca": 4, "shard": "none", "prefix_chunks": 2},
        {"layout": "codec"},
    ],
    ids=str,
)
def test_what_is_foreseen_of_a_conversion_happens(
    options: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    """Where all pixels are valid, every object is written; encoding and counts are the same."""
    options = SIDES | options
    found = foreseen(tmp_path, geoembz.convert, source, tmp_path / "a.zarr", **options)
    summary = geoembz.convert(source, tmp_path / "a.zarr", **options)
    assert found.state == "nothing is there"
    assert (found.recipe, found.bytes_per_embedding) == (
        summary.recipe,
        summary.bytes_per_embedding,
    )
    assert (found.count, found.bytes_read) == (summary.pixels, summary.bytes_in)
    assert found.input_bytes == source.stat().st_size
    written = data_objects(tmp_path / "a.zarr")
    small = {"x", "y", "time", "encoding", "spatial_ref"}
    written = [path for path in written if not small & set(path.parts)]
    assert found.objects == len(written)
    report = geoembz.shard_coverage(tmp_path / "a.zarr")
    n_chunks = 9 if options["shard"] != "none" else 30
    assert (found.shards, len(report.shards)) == (9 if n_chunks == 9 else 1, n_chunks)
    assert found.memory_bytes is not None
    assert found.memory_bytes > found.bytes_written / found.shards


def test_bytes_are_those_before_compression(source: Path, tmp_path: Path) -> None:
    """Of codes, masks and levels."""
    plain = foreseen(tmp_path, geoembz.convert, source, tmp_path / "a.zarr", pca=4, **SIDES)
    assert plain.bytes_written == 40 * 48 * 4
    masked = foreseen(tmp_path, geoembz.convert, source, tmp_path / "a.zarr", recipe="binary")
    assert masked.bytes_written == 40 * 48 * (1 + 1)


def test_a_table(tmp_path: Path, rng: np.random.Generator) -> None:
    """Rows, the codes of each, and its other columns."""
    frame = pd.DataFrame({"x": np.arange(50.0), "y": np.arange(50.0)})
    frame["embedding"] = list(rng.normal(size=(50, 6)).astype("float32"))
    frame.to_parquet(tmp_path / "a.parquet")
    options: dict[str, Any] = {"pca": 4, "crs": "EPSG:32632", "chunk": 8, "shard": 16}
    found = foreseen(
        tmp_path, geoembz.convert, tmp_path / "a.parquet", tmp_path / "a.zarr", **options
    )
    summary = geoembz.convert(tmp_path / "a.parquet", tmp_path / "a.zarr", **options)
    assert (found.unit, found.count, found.shards) == ("row", summary.pixels, 4)
    assert found.bytes_per_embedding == summary.bytes_per_embedding
    assert "50 rows" in found.to_table()


def test_several_grids(tmp_path: Path) -> None:
    """Their sums; one encoding."""
    sources = write_zones(tmp_path / "in")
    found = foreseen(tmp_path, geoembz.convert, sources, tmp_path / "a.zarr", **SIDES)
    geoembz.convert(sources, tmp_path / "a.zarr", **SIDES)
    assert (found.grids, found.count) == (2, 2 * 24 * 48)
    assert found.shards == 2 * 6
    assert "in 2 grids" in found.to_table()


@pytest.mark.parametrize("several", [False, True])
def test_an_interrupted_conversion_goes_on(several: bool, source: Path, tmp_path: Path) -> None:
    """What is done is said, and stays."""
    inputs = write_zones(tmp_path / "in") if several else source
    interrupt(inputs, tmp_path / "a.zarr", 2, pca=2, **SIDES)
    found = foreseen(tmp_path, geoembz.convert, inputs, tmp_path / "a.zarr", pca=2, **SIDES)
    assert found.state == "an interrupted run of this command"
    assert found.shards_done == 2
    assert f"{found.shards - 2} of {found.shards} shards" in found.to_table()
    with pytest.raises(InvalidConfigError, match="holds an unfinished conversion with"):
        foreseen(tmp_path, geoembz.convert, inputs, tmp_path / "a.zarr", pca=3, **SIDES)
    geoembz.convert(inputs, tmp_path / "a.zarr", pca=2, **SIDES)


def test_errors_are_those_of_the_command(source: Path, tmp_path: Path) -> None:
    """What the command would refuse before it writes is refused alike."""
    store = tmp_path / "a.zarr"
    geoembz.convert(source, store, pca=2)
    with pytest.raises(DestinationExistsError, match="holds a store already"):
        foreseen(tmp_path, geoembz.convert, source, store, pca=2)
    with pytest.raises(SourceError):
        foreseen(tmp_path, geoembz.convert, tmp_path / "none.tif", tmp_path / "b.zarr")
    with pytest.raises(InvalidConfigError, match="shard"):
        foreseen(tmp_path, geoembz.convert, source, tmp_path / "b.zarr", shard=7, chunk=8)
    found = foreseen(tmp_path, geoembz.convert, source, store, pca=2, overwrite=True)
    assert found.state == "a store, which is replaced once the new one is complete"


@pytest.mark.parametrize("several", [False, True])
def test_append(several: bool, source: Path, tmp_path: Path) -> None:
    """A date that is added, one that is replaced, and one that may not be."""
    inputs, store = write_zones(tmp_path / "in") if several else source, tmp_path / "a.zarr"
    geoembz.convert(inputs, store, pca=2, time="2024", **SIDES)
    before = len(data_objects(store))
    found = foreseen(tmp_path, geoembz.append, store, inputs, time="2025")
    assert found.state == "a store of 2024-01-01; 2025-01-01 is added"
    assert found.grids == 1 + several
    geoembz.append(store, inputs, time="2025")
    assert len(data_objects(store)) - before == found.objects
    found = foreseen(tmp_path, geoembz.append, store, inputs, time="2025", replace_date=True)
    assert found.state.endswith("2025-01-01 is replaced")
    with pytest.raises(InvalidConfigError, match="holds 2025-01-01 already"):
        foreseen(tmp_path, geoembz.append, store, inputs, time="2025")


@pytest.mark.filterwarnings("ignore::geoembz.BasisWarning")
def test_update(source: Path, tmp_path: Path, make_raster: MakeRaster) -> None:
    """The shards that the input reaches, of all that there are."""
    store = tmp_path / "a.zarr"
    geoembz.convert(source, store, pca=2, **SIDES)
    with rasterio.open(source) as raster:
        part = make_raster(tmp_path / "p.tif", raster.read()[:, :16, :20])
    found = foreseen(tmp_path, geoembz.update, store, part, replace=True)
    assert found.state == "a store of 9 shards and 1,920 valid pixels"
    assert (found.count, found.shards) == (16 * 20, 2)
    assert geoembz.update(store, part, replace=True).shards == found.shards


def test_publish(source: Path, tmp_path: Path) -> None:
    """All of it, then what is not there yet, then another store in its place."""
    store, target = tmp_path / "a.zarr", tmp_path / "there" / "a.zarr"
    geoembz.convert(source, store, pca=2, **SIDES)
    found = foreseen(tmp_path, geoembz.publish, store, target, stac=False)
    report = geoembz.publish(store, target, stac=False)
    assert (found.count, found.objects) == (report.n_objects, report.n_uploaded)
    assert found.bytes_written == report.bytes_uploaded
    again = foreseen(tmp_path, geoembz.publish, store, target, stac=False)
    assert (again.objects, again.state) == (
        0,
        f"{report.n_objects} objects are there with the same size",
    )
    geoembz.convert(source, store, pca=3, overwrite=True)
    with pytest.raises(DestinationExistsError, match="overwrite=True"):
        foreseen(tmp_path, geoembz.publish, store, target, stac=False)
    other = foreseen(tmp_path, geoembz.publish, store, target, stac=False, overwrite=True)
    assert "another store, of which" in other.state
    with pytest.raises(InvalidConfigError, match="no dry run"):
        dry_run(geoembz.publish, store, f"icechunk+file://{tmp_path}/r@main")


def test_no_cluster_is_started(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `scheduler` says."""
    monkeypatch.setattr("geoembz._work.cluster.open_cluster", None)
    found = foreseen(
        tmp_path, geoembz.convert, source, tmp_path / "a.zarr", scheduler="tcp://10.0.0.9:8786"
    )
    assert found.shards == 1


def test_others_are_refused_not_run(source: Path, tmp_path: Path) -> None:
    """Only what can be foreseen is called."""
    with pytest.raises(InvalidConfigError, match="dry_run of export; expected one of convert"):
        dry_run(geoembz.export, source, tmp_path / "a.tif")

    def convert() -> None:
        (tmp_path / "made").touch()

    with pytest.raises(InvalidConfigError, match="dry_run of convert"):
        dry_run(convert)
    assert not (tmp_path / "made").exists()


def test_on_the_command_line(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As table, and as JSON by the names of the fields."""
    words = ["convert", str(source), str(tmp_path / "a.zarr"), "--pca", "2", "--dry-run"]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code in {0, None}
    table = capsys.readouterr().out
    assert "dry run      convert: nothing was written" in table
    assert "pca2-int8  (2 bytes per embedding)" in table
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["command"], document["shards"]) == ("convert", 1)
    assert not (tmp_path / "a.zarr").exists()
