"""Damaged, hostile, newer and foreign stores: one of our errors, never wrong numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import geoembz
from geoembz._geo.grid import Grid
from geoembz.errors import GeoembzError, InvalidConfigError, StoreError, StoreVersionError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster


@pytest.fixture(scope="module")
def original(make_raster: MakeRaster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert a small raster once."""
    folder = tmp_path_factory.mktemp("store")
    values = np.random.default_rng(1).normal(size=(6, 24, 20)).astype(np.float32)
    make_raster(folder / "in.tif", values, blocksize=16)
    geoembz.convert(folder / "in.tif", folder / "store", pca=4, chunk=8, shard=16)
    return folder / "store"


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """Copy the store, to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "store"))


def change(store: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the root's metadata."""
    path = store / "zarr.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def setting(attributes: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """Return the edit that sets group attributes."""
    return lambda document: document["attributes"].update(attributes)


def attribute_names(store: Path) -> list[str]:
    names = json.loads((store / "zarr.json").read_text())["attributes"]
    return [name for name in names if not name.startswith("spatial:bbox")]


HOSTILE: tuple[Any, ...] = (None, "x", -1, [[1]], {"kind": [1]})


@pytest.mark.filterwarnings("ignore:Array .*chunk grid")
def test_chunks_of_several_sizes_are_refused(store: Path) -> None:
    """Zarr reads a list in a chunk's shape as sizes that differ."""

    def several(document: dict[str, Any]) -> None:
        node = document["consolidated_metadata"]["metadata"]["embedding"]
        node["chunk_grid"]["configuration"]["chunk_shape"][-1] = [16, 16]

    change(store, several)
    with pytest.raises(StoreError, match="chunks of several sizes; expected a regular grid"):
        geoembz.open(store)


def test_hostile_attributes_are_refused_or_harmless(original: Path, store: Path) -> None:
    """Any attribute of any type: one of our errors, or the numbers are what they were."""
    expected = geoembz.open(original)["embedding"].values
    content = (original / "zarr.json").read_text()
    for name in attribute_names(original):
        if name == "proj:wkt2":  # its own test below
            continue
        for value in HOSTILE:
            (store / "zarr.json").write_text(content)
            change(store, setting({name: value}))
            try:
                values = geoembz.open(store)["embedding"].values
            except GeoembzError:
                continue
            np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("value", [None, "x", {}])
def test_a_crs_that_is_none_is_refused(store: Path, value: object) -> None:
    change(store, lambda document: document["attributes"].update({"proj:wkt2": value}))
    with pytest.raises(StoreError):
        geoembz.open(store)


@pytest.mark.parametrize("part", ["dimension", "projection", "quantizer"])
def test_hostile_encodings_are_refused(original: Path, store: Path, part: str) -> None:
    """Nothing of the encoding's JSON can change without the hash telling."""
    content = (original / "zarr.json").read_text()
    for value in HOSTILE:
        (store / "zarr.json").write_text(content)
        encoding = json.loads(content)["attributes"]["geoembz:encoding"]
        change(store, setting({"geoembz:encoding": {**encoding, part: value}}))
        with pytest.raises(StoreError):
            geoembz.open(store)


def test_a_convention_that_is_malformed_is_not_ours(store: Path) -> None:
    """Conventions are matched by uuid; entries of any form are passed over."""
    change(store, lambda d: d["attributes"]["zarr_conventions"].insert(0, "x"))
    assert geoembz.open(store).sizes["y"] == 24
    change(store, lambda d: d["attributes"].update(zarr_conventions=[]))
    with pytest.raises(StoreError, match="not a geoembz store"):
        geoembz.open(store)


def test_a_uuid_that_is_no_text_is_passed_over(store: Path) -> None:
    change(store, lambda d: d["attributes"]["zarr_conventions"].append({"uuid": [1]}))
    assert geoembz.open(store).sizes["y"] == 24


@pytest.mark.parametrize("version", ["0.3", "1.0", 0.1, None])
def test_another_format_version_is_refused(store: Path, version: object) -> None:
    """A newer store says which version it is, which one is known, and what to do."""
    change(store, lambda document: document["attributes"].update({"geoembz:version": version}))
    with pytest.raises(StoreVersionError, match=r"reads '0\.1' and '0\.2'.*newer geoembz"):
        geoembz.open(store)


@pytest.mark.parametrize("name", ["projection", "mean", "variance", "scale", "offset"])
def test_an_encoding_that_was_changed_is_refused(store: Path, name: str) -> None:
    """One changed number in any array of the encoding is found by the hash."""
    array = zarr.open_array(store / "encoding" / name, mode="r+")
    values = np.asarray(array[...])
    values.reshape(-1)[0] = np.nextafter(values.reshape(-1)[0], np.float32(np.inf))
    array[...] = values
    with pytest.raises(StoreError, match="hash"):
        geoembz.open(store)


def test_a_missing_member_is_refused(store: Path) -> None:
    shutil.rmtree(store / "encoding" / "scale")
    change(store, lambda document: document.pop("consolidated_metadata"))
    with pytest.raises(StoreError, match="scale"):
        geoembz.open(store)
    shutil.rmtree(store / "encoding")
    with pytest.raises(StoreError, match="encoding"):
        geoembz.open(store)


def shard_of(store: Path) -> Path:
    return min(path for path in (store / "embedding" / "c").rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [0, 40, -20])
def test_a_cut_shard_is_an_error(store: Path, size: int) -> None:
    """A shard that was cut is never read as nodata."""
    path = shard_of(store)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(Exception, match=r"(?i)short|truncated|corrupt|checksum|damaged|range"):
        np.asarray(geoembz.open(store)["embedding"].values)


def test_a_flipped_byte_in_a_shard_is_an_error(store: Path) -> None:
    """Zstd's checksum finds one changed byte among the codes."""
    path = shard_of(store)
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(Exception, match=r"(?i)checksum|corrupt|damaged"):
        np.asarray(geoembz.open(store)["embedding"].values)


def test_damage_is_reported_as_ours(store: Path) -> None:
    path = shard_of(store)
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=str(store)):
        np.asarray(geoembz.open(store)["embedding"].values)


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "{}", '{"zarr_format": 3}'])
def test_other_root_metadata_is_refused(store: Path, content: str) -> None:
    (store / "zarr.json").write_text(content)
    with pytest.raises(StoreError):
        StoreReader.open(str(store))


def test_places_without_a_store_are_refused(store: Path, tmp_path: Path) -> None:
    """Nothing, a file, an array, another group and a v2 group are told from a store."""
    (tmp_path / "file").write_text("x")
    zarr.create_group(tmp_path / "group")
    zarr.create_group(tmp_path / "v2", zarr_format=2)
    (tmp_path / "empty").mkdir()
    for place in ("nothing", "file", "group", "v2", "empty", "store/embedding", "store/encoding"):
        with pytest.raises(StoreError, match=place):
            geoembz.open(tmp_path / place)


@pytest.mark.parametrize("place", [0, 3])
def test_a_grid_whose_corners_no_number_holds_is_refused(place: int) -> None:
    """Coefficients that are finite can give an infinite box, which no JSON can say."""
    transform = [10.0, 0.0, 0.0, 0.0, -10.0, 0.0]
    transform[place] = 1e308
    with pytest.raises(InvalidConfigError, match="beyond all numbers"):
        Grid("", None, tuple(transform), (64, 64))  # type: ignore[arg-type]
