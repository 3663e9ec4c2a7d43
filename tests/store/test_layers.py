"""Layers: numbers of pixels beside the vectors, written, read, checked and carried along."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

import geoembz
from geoembz import Layer
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.store import StoreReader
from geoembz.store.documents import StorePlan
from geoembz.store.layout import ChunkLayout
from geoembz.store.writer import StoreWriter
from tests.spec import make_vectors, vector_kinds
from tests.spec.test_vectors import SPEC
from tests.trees import objects

if TYPE_CHECKING:
    from geoembz.store.digests import StoredObject

GOLDEN = SPEC / "vectors" / "0.2" / "layers" / "two-dates.zarr"
SHAPE = vector_kinds.SHAPE


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Copy the golden store, to be damaged."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "two-dates.zarr"))


def change_root(store: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = store / "zarr.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def entry(number: int, **members: Any) -> Callable[[dict[str, Any]], object]:
    """Return the edit of one entry of the root's list."""
    return lambda document: document["attributes"]["geoembz:layers"][number].update(members)


def test_variables_of_a_dataset() -> None:
    """In order of time, by CF: none is NaN, scales are applied, integers without nodata stay."""
    dataset = geoembz.open(GOLDEN)
    numbers = [vector_kinds.layer_numbers(position) for position in (1, 0)]
    assert dataset["observations"].dtype == np.uint16
    assert dataset["observations"].dims == ("time", "y", "x")
    assert dataset["observations"].attrs["units"] == "1"
    assert dataset["Quality"].attrs["flag_meanings"] == "good thin_cirrus"
    for date, stored in enumerate(numbers):
        for layer in vector_kinds.LAYERS:
            came = dataset[layer.name].isel(time=date).values
            np.testing.assert_array_equal(came, layer.decode(stored[layer.name]))
    assert np.isnan(dataset["cloud_share"].values[:, :4]).all()
    np.testing.assert_array_equal(dataset["cloud_share"].values[0, 4], np.arange(6) / 4 - 0.5)
    lazy = geoembz.open(GOLDEN, chunks={}, space="codes")
    assert lazy["spread"].chunks == ((1, 1), (4, 1), (4, 2))
    part = lazy["observations"].sel(time="2024-01-01").isel(y=slice(3, 5), x=[0, 5])
    np.testing.assert_array_equal(part, numbers[1]["observations"][3:, [0, 5]])
    assert not lazy.drop_vars(["embedding"])["observations"].isel(x=slice(0, 0)).values.size


def test_plain_xarray_reads_the_same() -> None:
    """What the array says by itself is what geoembz says of it."""
    plain = xr.open_zarr(GOLDEN, consolidated=True).sortby("time")
    xr.testing.assert_equal(
        plain[["observations", "cloud_share", "Quality", "spread"]]
        .compute()
        .drop_vars("spatial_ref"),
        geoembz.open(GOLDEN)[["observations", "cloud_share", "Quality", "spread"]]
        .compute()
        .drop_vars("spatial_ref"),
    )


def test_info_lists_them() -> None:
    info: Any = geoembz.info(GOLDEN)
    assert info.layers == vector_kinds.LAYERS
    assert json.loads(json.dumps(info.to_json()))["layers"][0]["units"] == "1"
    lines = info.to_table().splitlines()
    assert "layer observations  uint16, in 1, cloud-free observations" in lines
    assert "layer cloud_share   uint8, nodata 255, times 0.25, plus -0.5" in lines
    assert "layer Quality       int8, nodata -1, 0 good, 1 thin_cirrus" in lines


def test_levels_have_none(store: Path) -> None:
    geoembz.overviews(store, levels=1, workers=1)
    assert "observations" in geoembz.open(store)
    level = geoembz.open(store, level=1)
    assert set(level.data_vars) == {"embedding"}
    assert "geoembz:layers" not in level.attrs
    reader = StoreReader.open(str(store), level=1)
    with pytest.raises(InvalidConfigError, match=r"layer 'observations'.*level 1, has none"):
        reader.read_layer("observations", reader.attributes.grid.window)
    assert not geoembz.verify(store).problems


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (entry(0, data_type="int32"), "observations is uint16 .*the metadata say int32"),
        (entry(0, missing_value=7), "with the fill value 0; the metadata say uint16 .* with 7"),
        (entry(0, name="other"), "array 'other' is missing"),
        (entry(0, name="quality"), "expected names that differ in more than capitals"),
        (entry(0, name="Embedding"), "layer 'Embedding'; expected a letter"),
        (entry(0, name="../x"), r"geoembz:layers\[0\].name is '../x'"),
        (entry(0, name="digests"), "no name that a store has"),
        (entry(0, missing_value=70_000), "nodata 70000 of uint16; expected a whole number"),
        (entry(3, missing_value=7), "nodata 7 of float32; expected none"),
        (entry(1, scale_factor=0), "cloud_share: scale 0; expected a finite number"),
        (entry(2, flag_values=[0]), "Quality: 1 flags and 2 meanings"),
        (entry(2, flag_values=[0, 300]), "flag 300 of int8"),
        (entry(0, long_name=["x"]), r"geoembz:layers\[0\].long_name is \['x'\]"),
    ],
)
def test_a_root_that_lies_is_refused(
    store: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    change_root(store, edit)
    with pytest.raises(StoreError, match=message):
        StoreReader.open(str(store))


def test_an_array_of_another_shape_is_refused(store: Path) -> None:
    def cut(document: dict[str, Any]) -> None:
        document["consolidated_metadata"]["metadata"]["spread"]["shape"] = [2, 5, 7]

    change_root(store, cut)
    with pytest.raises(StoreError, match=r"spread is float32 \(2, 5, 7\)"):
        geoembz.open(store)


def test_lost_and_exchanged_objects_are_found(store: Path) -> None:
    """A lost object is not taken for none; `verify` names it, and those in each other's place."""
    first, last = (store / "observations" / "c" / "0" / at for at in ("0/0", "1/1"))
    content = first.read_bytes()
    first.unlink()
    window = StoreReader.open(str(store)).attributes.grid.window
    with pytest.raises(StoreError, match="missing shard observations/c/0/0/0"):
        StoreReader.open(str(store)).read_layer("observations", window)
    with pytest.raises(StoreError, match="missing shard observations/c/0/0/0"):
        geoembz.open(store)["observations"].isel(time=1).load()
    assert {problem.key for problem in geoembz.verify(store).problems} == {"observations/c/0/0/0"}
    first.write_bytes(last.read_bytes())
    last.write_bytes(content)
    assert {problem.key for problem in geoembz.verify(store).problems} == {
        "observations/c/0/0/0",
        "observations/c/0/1/1",
    }


def test_a_copy_and_an_archive_have_them(store: Path, tmp_path: Path) -> None:
    geoembz.publish(store, tmp_path / "copy.zarr")
    assert objects(tmp_path / "copy.zarr").items() >= objects(store).items()
    geoembz.repack(store, tmp_path / "archive.zarr")
    xr.testing.assert_identical(
        geoembz.open(tmp_path / "archive.zarr")[["Quality", "spread"]].drop_attrs(),
        geoembz.open(store)[["Quality", "spread"]].drop_attrs(),
    )
    document = json.loads((tmp_path / "archive.zarr" / "spread" / "zarr.json").read_text())
    inner = document["codecs"][0]["configuration"]["codecs"]
    assert [codec["name"] for codec in inner] == ["bytes", "zstd"]
    assert inner[-1]["configuration"]["level"] == 19
    geoembz.repack(tmp_path / "archive.zarr", tmp_path / "back.zarr", archive=False)
    assert objects(tmp_path / "back.zarr") == objects(store)


def write(url: Path, layers: tuple[Layer, ...], *, shards: bool = True) -> StoreWriter:
    """Return the writer of a store with some layers."""
    chunks = ChunkLayout(SHAPE, (2, 2), (4, 4), is_sharded=shards)
    plan = StorePlan(make_vectors.encoding("pca5-int8"), chunks, layers=layers)
    return StoreWriter(str(url), plan)


def finish(writer: StoreWriter, numbers: dict[str, Any]) -> StoreReader:
    """Write a store without a vector, with numbers of some layers."""
    plan = writer.plan
    stored: dict[str, StoredObject] = {}
    for window in plan.chunks.shards():
        codes = np.full((plan.encoding.code_length, *window.shape), -128, np.int8)
        own = {name: values[window.slices] for name, values in numbers.items()}
        stored |= writer.write_shard(window, codes, np.zeros(window.shape, np.bool_), own)
    attributes = make_vectors._attributes(plan.encoding, "EPSG:32633", "plain", 0)
    writer.finish(replace(attributes, layers=plan.layers), stored)
    return StoreReader.open(writer.url)


@pytest.mark.parametrize("shards", [True, False])
def test_numbers_without_vectors_are_kept(tmp_path: Path, *, shards: bool) -> None:
    """Also where no vector is stored at all; a layer that nobody wrote holds its fill value."""
    layers = (Layer("count", "int64"), Layer("share", "float64"), Layer("none", "uint8", nodata=9))
    numbers = np.arange(30).reshape(SHAPE) - 4
    reader = finish(write(tmp_path / "a.zarr", layers, shards=shards), {"count": numbers})
    window = reader.attributes.grid.window
    np.testing.assert_array_equal(reader.read_layer("count", window), numbers)
    assert np.isnan(reader.read_layer("share", window)).all()
    assert (reader.read_layer("none", window) == 9).all()
    assert not (tmp_path / "a.zarr" / "none" / "c").exists()
    assert reader.attributes.layers == layers
    assert not geoembz.verify(reader.url).problems


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.zarr", (Layer("count", "uint8"),))
    with pytest.raises(
        InvalidConfigError, match=r"layer quality: not one of the store's \(count\)"
    ):
        finish(writer, {"quality": np.zeros(SHAPE)})
    with pytest.raises(InvalidConfigError, match=r"numbers from 248\.0 to 279\.0; expected"):
        finish(writer, {"count": np.linspace(0, 300, 30).round().reshape(SHAPE)})
    window = next(iter(writer.plan.chunks.shards()))
    codes = np.zeros((5, *window.shape), np.int8)
    with pytest.raises(InvalidConfigError, match=r"layer count: shape \(4,\); expected \(4, 4\)"):
        writer.write_shard(window, codes, np.ones(window.shape, np.bool_), {"count": [1, 2, 3, 4]})
    with pytest.raises(InvalidConfigError, match="layers count and Count"):
        write(tmp_path / "b.zarr", (Layer("count", "uint8"), Layer("Count", "uint8")))
