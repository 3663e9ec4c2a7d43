"""Stores of tables, of several grids and of one are measured: every byte and every object."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import geoembz
from geoembz._cost.measured import measure_store
from geoembz.errors import InvalidConfigError, StoreError
from tests import tables
from tests.conversion.test_grids import write_zones
from tests.cost.test_cli import make_store, run, run_json

CHUNK, SHARD = 16, 32


def files(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file()]


def shards(store: Path, *names: str) -> int:
    """Count the shards of the arrays of some names, in all grids."""
    return sum(
        1
        for path in files(store)
        if (found := re.search(r"(\w+)/(\w+)/c/|$", path.relative_to(store.parent).as_posix()))
        and found[2] in names
        and found[1] != "digests"
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Convert a table; return the store and its number of rows."""
    folder = tmp_path_factory.mktemp("table")
    written = tables.plain(folder / "a.parquet", np.random.default_rng(0))
    geoembz.convert(written.path, folder / "t.zarr", chunk=CHUNK, shard=SHARD)
    return folder / "t.zarr", len(written.vectors)


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert rasters of two UTM zones into one store of two grids."""
    folder = tmp_path_factory.mktemp("zones")
    geoembz.convert(write_zones(folder), folder / "z.zarr", recipe="int4", chunk=8, shard=16)
    return folder / "z.zarr"


def test_a_table_weighs_what_lies_on_disk(table: tuple[Path, int]) -> None:
    """Rows count instead of pixels, all bytes and all objects are in it, and it says so."""
    store, n_rows = table
    document = run_json(str(store), "--read-window", "4")
    assert document["unit"] == "rows"
    assert document["measured"] is True
    assert (document["pixels"], document["years"]) == (n_rows, 1)
    assert document["total_bytes"] == sum(path.stat().st_size for path in files(store))
    assert document["bytes_per_embedding"] == pytest.approx(document["total_bytes"] / n_rows)
    assert document["n_objects"] == len(files(store))
    assert document["read_window"] == [4, 1]
    text = run(str(store))
    assert re.search(rf"rows +{n_rows:,} x", text)
    assert "measured" in text
    assert "1-row read" in text
    assert not re.search(r"^pixels", text, re.MULTILINE)


def test_a_table_scales_by_rows(table: tuple[Path, int]) -> None:
    """`--pixels` gives rows; bytes scale with them, objects with full shards and the rest stays."""
    store, n_rows = table
    size = measure_store(str(store))
    assert size.layout.shard == (SHARD, 1)
    document = run_json(str(store), "--pixels", str(1000 * n_rows))
    assert document["total_bytes"] == 1000 * size.stored_bytes
    per_shard = size.objects.scaling // size.objects.shards
    assert size.objects.scaling == per_shard * size.objects.shards
    assert document["n_objects"] == (
        -(-1000 * n_rows // SHARD) * per_shard + size.objects.constant
    )  # fmt: skip


@pytest.mark.parametrize("flags", [("--area-km2", "100"), ("--region", "land")])
def test_rows_have_no_area(table: tuple[Path, int], flags: tuple[str, ...]) -> None:
    """A region of a table is refused, and the error names the flag that works."""
    with pytest.raises(InvalidConfigError, match=r"rows have no area.*pixels=N"):
        run(str(table[0]), *flags)


def test_overviews_weigh_and_are_no_further_pixels(zones: Path, tmp_path: Path) -> None:
    """Bytes and objects are those of all levels, pixels and layout those of full resolution."""
    store = Path(shutil.copytree(zones, tmp_path / "z.zarr"))
    before = measure_store(str(store))
    geoembz.overviews(store, levels=2)
    size = measure_store(str(store))
    assert (size.pixels, size.layout) == (before.pixels, before.layout)
    assert size.objects.shards == before.objects.shards
    assert size.stored_bytes == sum(path.stat().st_size for path in files(store))
    assert size.objects.scaling + size.objects.constant == len(files(store))
    assert size.objects.scaling > before.objects.scaling


def test_several_grids_are_added_up(zones: Path) -> None:
    """Pixels, bytes and objects are those of all grids; `valid` scales with the codes."""
    size = measure_store(str(zones))
    assert size.unit == "pixels"
    assert size.pixels == 4 * 24 * 24
    assert size.stored_bytes == sum(path.stat().st_size for path in files(zones))
    assert size.objects.scaling + size.objects.constant == len(files(zones))
    assert size.objects.scaling == shards(zones, "embedding", "valid")
    assert size.objects.shards == shards(zones, "embedding")
    assert shards(zones, "valid") > 0
    assert run_json(str(zones))["n_objects"] == len(files(zones))


@pytest.mark.parametrize("times", [0, 3])
def test_every_object_is_one_request(times: int, tmp_path: Path) -> None:
    """Writing a store costs as many PUTs as it has objects; beyond, shards scale by the pixels."""
    pixels = make_store(tmp_path / "out.zarr", times=times)
    n_files = len(files(tmp_path / "out.zarr"))
    document = run_json(str(tmp_path / "out.zarr"))
    assert document["n_objects"] == n_files
    assert document["tiered"]["puts_usd_once"] == pytest.approx(n_files / 1000 * 0.005)
    layers = max(1, times)
    larger = run_json(str(tmp_path / "out.zarr"), "--pixels", str(1000 * pixels))
    assert larger["n_objects"] == -(-1000 * pixels // 48**2) * layers + n_files - 5 * layers


def test_rasters_and_tables_do_not_mix(tmp_path: Path) -> None:
    """Rows and pixels are not added up."""
    for name, shape in (("a", (2, 4, 4)), ("b", (4, 2))):
        group = zarr.open_group(tmp_path / "m.zarr" / name, mode="w")
        array = group.create_array("embedding", shape=shape, dtype="int8", chunks=shape)
        array[...] = 1
    with pytest.raises(StoreError, match="both rasters and tables"):
        measure_store(str(tmp_path / "m.zarr"))


CODEC_OF_NO_NAME = """{"shape": [4, 2], "codecs": [{"name": 1}],
    "chunk_grid": {"configuration": {"chunk_shape": [2, 2]}}}"""


@pytest.mark.parametrize(
    "metadata", ["null", "[]", "{}", '{"shape": [4]}', '{"shape": "x"}', CODEC_OF_NO_NAME]
)
def test_metadata_that_is_none(metadata: str, tmp_path: Path) -> None:
    """A store whose array metadata is something else is refused by name."""
    folder = tmp_path / "bad.zarr" / "embedding"
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(metadata)
    with pytest.raises(StoreError, match=r"embedding/zarr\.json is not Zarr v3 array metadata"):
        measure_store(str(tmp_path / "bad.zarr"))


@pytest.mark.parametrize(("provider", "name"), [("azure", "standard"), ("aws", "glacier-ir")])
def test_uncertain_prices_say_why(provider: str, name: str) -> None:
    """Text, table and JSON show the note of a price list that could not be confirmed."""
    flags = ("--provider", provider, "--class", name)
    document: dict[str, Any] = run_json("--model", "aef", *flags)
    assert document["prices_uncertain"] is True
    assert "heck before you sign" in document["prices_note"]
    for text in (run("--model", "aef", *flags), run(*flags)):
        assert document["prices_note"] in text
    assert "beware" not in run("--model", "aef")
    json.dumps(document)
