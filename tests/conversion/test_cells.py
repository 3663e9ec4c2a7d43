"""A conversion of cells: every pixel of the store is a pooled square of the source's pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz.errors import InvalidConfigError
from geoembz.sources import cells as module
from geoembz.sources.pooling import POOLS
from geoembz.store import StoreReader
from tests import products
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster
from tests.conversion.test_overviews import Killed
from tests.conversion.test_unfinished import die
from tests.export.conftest import everything, scene
from tests.export.test_aggregate import cells
from tests.trees import objects


@pytest.fixture
def source(make_raster: MakeRaster, tmp_path: Path, rng: np.random.Generator) -> Path:
    """Return a raster of 12 bands, 70 x 50 pixels, with nodata."""
    return make_raster(tmp_path / "source.tif", scene(rng))


def test_a_store_of_cells_is_the_exported_raster_of_cells(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a store and of the file that it was made of, at the edges and round nodata, by blocks."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    plain = tmp_path / "plain.zarr"
    geoembz.convert(source, plain, quantizer="float32", chunk=16)
    vectors = everything(StoreReader.open(str(plain)))
    expected = np.concatenate([cells(vectors, 7, pool)[:-1] for pool in POOLS])
    for number, origin in enumerate((plain, source)):
        store = tmp_path / f"{number}.zarr"
        words = f"convert {origin} {store} --float32 --aggregate 7 --chunk 4".split()
        words += [word for pool in POOLS for word in ("--pool", pool)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        reader = StoreReader.open(str(store))
        grid = reader.attributes.grid
        assert grid.transform == (70.0, 0.0, 500_000.0, 0.0, -70.0, 5_300_000.0)
        np.testing.assert_allclose(everything(reader), expected, atol=1e-4)
        assert any("cell of 7 x 7 pixels" in note for note in reader.attributes.notes)


def test_names_of_bands_say_how_they_were_pooled(
    make_raster: MakeRaster, tmp_path: Path, rng: np.random.Generator
) -> None:
    values = rng.normal(size=(2, 40, 40)).astype(np.float32)
    source = make_raster(tmp_path / "a.tif", values)
    with rasterio.open(source, "r+") as raster:
        raster.descriptions = ("A00", "A01")
    geoembz.convert(source, tmp_path / "a.zarr", aggregate=4, pool="mean+std", quantizer="float32")
    names = StoreReader.open(str(tmp_path / "a.zarr")).attributes.band_names
    assert names == ("mean of A00", "mean of A01", "std of A00", "std of A01")


def test_an_interrupted_conversion_of_cells_is_finished_by_the_same_command_only(
    source: Path, tmp_path: Path
) -> None:
    """Cells are part of what the bytes depend on."""
    options: dict[str, Any] = {"aggregate": 4, "pca": 4, "chunk": 4, "shard": 4, "workers": 1}
    with pytest.raises(Killed):
        geoembz.convert(source, tmp_path / "a.zarr", progress=die, **options)
    for other in ({"aggregate": 5}, {"pool": "max"}):
        with pytest.raises(InvalidConfigError, match="holds an unfinished conversion"):
            geoembz.convert(source, tmp_path / "a.zarr", **{**options, **other})
    geoembz.convert(source, tmp_path / "a.zarr", **options)
    geoembz.convert(source, tmp_path / "b.zarr", **options)
    assert objects(tmp_path / "a.zarr") == objects(tmp_path / "b.zarr")


def test_a_date_of_cells_is_appended_to_a_store_of_cells(source: Path, tmp_path: Path) -> None:
    """With the same options; without them the grid is another one."""
    store = tmp_path / "a.zarr"
    geoembz.convert(source, store, time="2024", pca=4, aggregate=4)
    with pytest.raises(InvalidConfigError, match="grid"):
        geoembz.append(store, source, time="2025")
    geoembz.append(store, source, time="2025", aggregate=4)
    both = geoembz.open(store)["embedding"]
    assert both.shape[0] == 2
    assert_same_vectors(both[0].to_numpy(), both[1].to_numpy())


def test_a_product_of_unit_vectors_is_none_in_cells(tmp_path: Path) -> None:
    """Its own codes would not fit means: the default recipe is int8, not `aef`."""
    source = products.write_aef(tmp_path / "aef.tif", products.aef_codes(40, 36))
    summary = geoembz.convert(source, tmp_path / "a.zarr", aggregate=4)
    assert summary.recipe == "int8"
    assert not StoreReader.open(summary.store).attributes.unit_length


def test_what_cannot_be_pooled_is_refused(source: Path, tmp_path: Path) -> None:
    """Before anything is written."""
    table = tmp_path / "a.csv"
    table.write_text("lon,lat,e0,e1\n" + "1,2,3,4\n" * 30)
    for origin, options, message in (
        (source, {"aggregate": 1}, "aggregate 1; expected 2 pixels each way"),
        (source, {"aggregate": 2.5}, r"aggregate 2\.5; expected a whole number"),
        (source, {"pool": "std"}, r"of which cells\?"),
        (source, {"aggregate": 4, "pool": "median"}, r"pool 'median'; expected one or more of"),
        (source, {"aggregate": 4, "check": True}, "check: with aggregate 4 pixels hold other"),
        (table, {"aggregate": 4}, "aggregate"),
    ):
        keywords: dict[str, Any] = options
        with pytest.raises(InvalidConfigError, match=message):
            geoembz.convert(origin, tmp_path / "a.zarr", **keywords)
    assert not (tmp_path / "a.zarr").exists()
