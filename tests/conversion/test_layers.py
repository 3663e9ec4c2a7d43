"""Layers through `convert` and `append`: named, carried over, or left out in words."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr

import geoembz
from geoembz._convert.inputs import open_inputs
from geoembz._geo.grid import Window
from geoembz.errors import GeoembzError, InvalidConfigError, SourceError
from geoembz.sources.layer_reading import read_layers
from geoembz.store import StoreReader
from tests.conftest import DEFAULT_TRANSFORM, MakeRaster
from tests.trees import objects

SHAPE = (24, 20)
A, _, C, _, E, F = DEFAULT_TRANSFORM
COUNTS = np.arange(480, dtype=np.uint16).reshape(SHAPE)

type Write = Callable[..., Path]


@pytest.fixture
def vectors(make_raster: MakeRaster, tmp_path: Path) -> Path:
    """Six components; the southern half holds nothing."""
    values = np.random.default_rng(1).normal(size=(6, *SHAPE)).astype(np.float32)
    values[:, 16:] = np.nan
    return make_raster(tmp_path / "in.tif", values, blocksize=16)


@pytest.fixture
def counts(make_raster: MakeRaster, tmp_path: Path) -> Write:
    """Write numbers of pixels, by default on the grid of the vectors."""

    def write(values: Any = COUNTS, name: str = "counts.tif", **options: Any) -> Path:
        array = np.asarray(values)
        return make_raster(tmp_path / name, array if array.ndim == 3 else array[None], **options)

    return write


def convert(source: Any, store: Path, **options: Any) -> Any:
    """Convert with small shards: the two southern ones hold no vector."""
    return geoembz.convert(source, store, **{"pca": 4, "chunk": 8, "shard": 16, **options})


def stored(store: Path, name: str = "counts", date: int = 0) -> Any:
    """Read a whole layer, and see that nothing is wrong with the store."""
    assert not geoembz.verify(store).problems
    reader = StoreReader.open(str(store))
    return reader.read_layer(name, reader.attributes.grid.window, date)


def test_a_band_of_a_file(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """With what the file says of it; also where no vector is."""
    path = counts(np.stack([COUNTS * 0, COUNTS]), nodata=7)
    with rasterio.open(path, "r+") as raster:
        raster.descriptions, raster.scales = ("other", "month count"), (1.0, 0.5)
        raster.units = ("", "1")
    convert(vectors, tmp_path / "a.zarr", layers={"counts": f"{path}:2", "zero": f"{path}:other"})
    np.testing.assert_array_equal(stored(tmp_path / "a.zarr"), COUNTS)
    (layer, other) = StoreReader.open(str(tmp_path / "a.zarr")).attributes.layers
    assert layer == geoembz.Layer("counts", "uint16", 7, "1", "month count", scale=0.5)
    assert (other.name, other.description, other.scale) == ("zero", "other", None)
    values = geoembz.open(tmp_path / "a.zarr")["counts"].values
    np.testing.assert_array_equal(values, np.where(COUNTS == 7, np.nan, COUNTS / 2))
    assert not (tmp_path / "a.zarr" / "embedding" / "c" / "0" / "1").exists()
    assert (tmp_path / "a.zarr" / "counts" / "c" / "1" / "1").exists()
    attributes = StoreReader.open(str(tmp_path / "a.zarr")).attributes
    assert attributes.source_data == ["file:in.tif"]
    assert attributes.sources[1]["uri"] == "file:counts.tif"
    assert attributes.sources[1]["layers"] == ["counts", "zero"]
    assert "bbox" not in attributes.sources[1]
    seams = geoembz.check_seams(tmp_path / "a.zarr")
    assert seams.notes[0] == "one tile: it has no border with another"


def test_texts_and_workers_give_the_same_bytes(
    vectors: Path, counts: Write, tmp_path: Path
) -> None:
    path = counts(blocksize=16)
    convert(vectors, tmp_path / "a.zarr", layers={"counts": path}, workers=1)
    convert(vectors, tmp_path / "b.zarr", layers=[f"counts={path}"], workers=3)
    assert objects(tmp_path / "a.zarr") == objects(tmp_path / "b.zarr")


def test_rasters_that_lie_otherwise(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """Rows that run northwards, a larger raster, and tiles side by side hold the same."""
    larger = np.pad(COUNTS, ((2, 3), (1, 4)))
    inputs = {
        "north": counts(COUNTS[::-1], "north.tif", transform=(A, 0, C, 0, -E, F + E * SHAPE[0])),
        "large": counts(larger, "large.tif", transform=(A, 0, C - A, 0, E, F - 2 * E)),
    }
    (tmp_path / "tiles").mkdir()
    counts(COUNTS[:, :12], "tiles/a.tif")
    counts(COUNTS[:, 12:], "tiles/b.tif", transform=(A, 0, C + 12 * A, 0, E, F))
    inputs["tiles"] = tmp_path / "tiles"
    convert(vectors, tmp_path / "a.zarr", layers=inputs)
    for name in inputs:
        np.testing.assert_array_equal(stored(tmp_path / "a.zarr", name), COUNTS)


@pytest.mark.parametrize(
    "form",
    [
        {"layout": "codec", "shard": "none"},
        {"archive": True, "overviews": True},
        {"recipe": "pq2x8"},
    ],
    ids=lambda form: next(iter(form)),
)
def test_stores_of_every_form(
    form: dict[str, Any], make_raster: MakeRaster, counts: Write, tmp_path: Path
) -> None:
    """Whatever the codes are, and however they are cut, layers are arrays like others."""
    values = np.random.default_rng(3).normal(size=(6, *SHAPE)).astype(np.float32)
    whole, layers = make_raster(tmp_path / "whole.tif", values), {"counts": counts()}
    geoembz.convert(whole, tmp_path / "a.zarr", **{"chunk": 8, "shard": 16, **form}, layers=layers)
    np.testing.assert_array_equal(stored(tmp_path / "a.zarr"), COUNTS)
    np.testing.assert_array_equal(geoembz.open(tmp_path / "a.zarr")["counts"], COUNTS)


def test_stores_of_two_grids(make_raster: MakeRaster, counts: Write, tmp_path: Path) -> None:
    """Each grid has the layers of its own source; named ones would be those of one grid."""
    values = np.random.default_rng(4).normal(size=(6, *SHAPE)).astype(np.float32)
    crss = {"utm32n": "EPSG:32632", "utm33n": "EPSG:32633"}
    for number, (name, crs) in enumerate(crss.items()):
        make_raster(tmp_path / f"{name}.tif", values, crs=crs)
        own = {"counts": counts(COUNTS + number, f"counts-{name}.tif", crs=crs)}
        convert(tmp_path / f"{name}.tif", tmp_path / f"{name}.zarr", layers=own)
    stores = [tmp_path / f"{name}.zarr" for name in crss]
    geoembz.convert(stores, tmp_path / "root.zarr", chunk=8, shard=16)
    assert not geoembz.verify(tmp_path / "root.zarr").problems
    for number, name in enumerate(crss):
        came = geoembz.open(tmp_path / "root.zarr", grid=name)["counts"]
        np.testing.assert_array_equal(came, COUNTS + number)
    layers = {"counts": tmp_path / "counts-utm32n.tif"}
    with pytest.raises(
        InvalidConfigError, match=r"layer counts: of which grid\? .* utm32n, utm33n"
    ):
        geoembz.convert(stores, tmp_path / "b.zarr", layers=layers)


def test_masks_and_floats(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """What a file calls none is none: nodata of integers, NaN of floats."""
    spread = COUNTS.astype(np.float32)
    spread[3, 4] = -9999
    inputs = {"spread": counts(spread, "spread.tif", nodata=-9999)}
    with rasterio.open(counts(nodata=1000), "r+") as raster:
        raster.write_mask(COUNTS != 5)
    inputs["counts"] = tmp_path / "counts.tif"
    convert(vectors, tmp_path / "a.zarr", layers=inputs)
    came = stored(tmp_path / "a.zarr")
    np.testing.assert_array_equal(came, np.where(COUNTS == 5, 1000, COUNTS))
    expected = np.where(spread == -9999, np.nan, spread)
    np.testing.assert_array_equal(stored(tmp_path / "a.zarr", "spread"), expected)


def test_what_is_no_layer_of_these_vectors(vectors: Path, counts: Write, tmp_path: Path) -> None:
    bands = counts(np.stack([COUNTS, COUNTS]), "bands.tif")
    with rasterio.open(counts(name="masked.tif"), "r+") as raster:
        raster.write_mask(COUNTS != 5)
    refused = [
        (counts(COUNTS[:, :12], "part.tif"), "expected layer counts on the same pixels"),
        (counts(transform=(A, 0, C + 3, 0, E, F)), "expected layer counts on the same pixels"),
        (counts(crs="EPSG:32633"), "expected layer counts on the same pixels"),
        (bands, "of which band\\? expected FILE:BAND with a number from 1 to 2"),
        (f"{bands}:3", "no band '3'"),
        (tmp_path / "absent.tif", "no such file"),
        (tmp_path / "masked.tif", "uint16 with a mask and without a nodata value"),
        (counts(COUNTS.astype(np.complex64), "complex.tif"), "complex"),
    ]
    for place, message in refused:
        with pytest.raises(SourceError, match=message):
            convert(vectors, tmp_path / "a.zarr", layers={"counts": place})
    for layers in (["counts"], ["counts="], {"valid": bands}, ["a=x.tif", "a=y.tif"]):
        with pytest.raises(InvalidConfigError, match=r"layers? "):
            convert(vectors, tmp_path / "a.zarr", layers=layers)
    assert not (tmp_path / "a.zarr").exists()


def dataset(vectors: Path) -> xr.Dataset:
    """Return the vectors with a variable of counts beside them, and others that are no layers."""
    convert(vectors, vectors.with_name("plain.zarr"))
    data = geoembz.open(vectors.with_name("plain.zarr")).compute().drop_attrs(deep=False)
    given = {"units": "1", "long_name": "month count", "flag_values": [0, 1]}
    return data.assign(
        counts=(("y", "x"), COUNTS, {**given, "flag_meanings": "none one", "_FillValue": 9}),
        when=(("y", "x"), COUNTS.astype("datetime64[D]")),
        spread=(("part", "y", "x"), np.zeros((2, *SHAPE), np.float32)),
    )


def test_variables_beside_vectors(vectors: Path, tmp_path: Path) -> None:
    """Of an object, a Zarr group and a netCDF file; what can be no layer is told."""
    data = dataset(vectors)
    layer = geoembz.Layer("counts", "uint16", 9, "1", "month count", flags={0: "none", 1: "one"})
    summary = convert(data, tmp_path / "a.zarr")
    assert [note.partition(":")[0] for note in summary.notes] == [
        "variable when is left out",
        "variable spread is left out",
    ]
    kept = data.drop_vars(["when", "spread"]).isel(y=slice(None, None, -1))
    kept.to_netcdf(tmp_path / "in.nc")
    kept.to_zarr(tmp_path / "in.zarr", consolidated=False)
    for name in ("in.nc", "in.zarr"):
        convert(tmp_path / name, tmp_path / f"{name}.zarr")
    for name in ("a.zarr", "in.nc.zarr", "in.zarr.zarr"):
        np.testing.assert_array_equal(stored(tmp_path / name), COUNTS)
        assert StoreReader.open(str(tmp_path / name)).attributes.layers == (layer,)
    convert(vectors, tmp_path / "b.zarr", layers={"counts": f"{tmp_path / 'in.nc'}:counts"})
    np.testing.assert_array_equal(stored(tmp_path / "b.zarr"), COUNTS)
    with pytest.raises(SourceError, match="no variable 'no'; expected one of"):
        convert(vectors, tmp_path / "c.zarr", layers={"counts": f"{tmp_path / 'in.nc'}:no"})


def test_a_store_as_source(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """Named layers take the place of its own; cells have none."""
    convert(vectors, tmp_path / "a.zarr", layers={"counts": counts(nodata=3)})
    convert(tmp_path / "a.zarr", tmp_path / "b.zarr")
    np.testing.assert_array_equal(stored(tmp_path / "b.zarr"), COUNTS)
    convert(geoembz.open(tmp_path / "a.zarr"), tmp_path / "opened.zarr")
    assert np.isnan(stored(tmp_path / "opened.zarr")[0, 3])
    ones = counts(COUNTS * 0 + 1, "ones.tif")
    convert(tmp_path / "a.zarr", tmp_path / "c.zarr", layers={"counts": ones})
    assert (stored(tmp_path / "c.zarr") == 1).all()
    summary = convert(tmp_path / "a.zarr", tmp_path / "d.zarr", aggregate=4)
    assert summary.notes[-1] == "layers counts are left out: pixels were pooled"
    assert not StoreReader.open(str(tmp_path / "d.zarr")).layers


def test_stores_side_by_side(make_raster: MakeRaster, counts: Write, tmp_path: Path) -> None:
    """Tiles that have a layer alike give it to the mosaic, and none where there is no tile."""
    values = np.random.default_rng(2).normal(size=(6, *SHAPE)).astype(np.float32)
    for number, start in enumerate((0, 2)):
        place = (A, 0, C + start * SHAPE[1] * A, 0, E, F)
        make_raster(tmp_path / f"in-{number}.tif", values, transform=place)
        layers = {"counts": counts(COUNTS + number, f"{number}.tif", transform=place, nodata=999)}
        convert(tmp_path / f"in-{number}.tif", tmp_path / f"{number}.zarr", layers=layers)
    tiles = [tmp_path / "0.zarr", tmp_path / "1.zarr"]
    convert(tiles, tmp_path / "whole.zarr")
    came = stored(tmp_path / "whole.zarr")
    np.testing.assert_array_equal(came, np.hstack([COUNTS, COUNTS * 0 + 999, COUNTS + 1]))


def test_a_larger_extent(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """None beyond the input, or left out in words where the layer has no value for that."""
    extent = (C - 3 * A, F + SHAPE[0] * E, C + SHAPE[1] * A, F)
    inputs = {"counts": counts(nodata=999), "plain": counts(COUNTS, "plain.tif")}
    convert(vectors, tmp_path / "a.zarr", layers={"counts": inputs["counts"]}, extent=extent)
    came = stored(tmp_path / "a.zarr")
    np.testing.assert_array_equal(came, np.pad(COUNTS, ((0, 0), (3, 0)), constant_values=999))
    summary = convert(vectors, tmp_path / "b.zarr", layers=inputs, extent=extent)
    assert any(note.startswith("layers plain are left out: some pixels") for note in summary.notes)
    assert list(StoreReader.open(str(tmp_path / "b.zarr")).layers) == ["counts"]


def test_an_interrupted_conversion_goes_on(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """Killed among the shards, the same command ends with the bytes of one that was not."""
    options: dict[str, Any] = {"layers": {"counts": counts()}, "workers": 1}
    convert(vectors, tmp_path / "whole.zarr", **options)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(vectors, tmp_path / "a.zarr", **options, progress=stop)
    with pytest.raises(GeoembzError):
        geoembz.open(tmp_path / "a.zarr")
    convert(vectors, tmp_path / "a.zarr", **options)
    assert objects(tmp_path / "a.zarr") == objects(tmp_path / "whole.zarr")


def test_dates(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """A date has the store's layers: its own numbers, or none where there is a value for none."""
    store = tmp_path / "a.zarr"
    convert(vectors, store, time="2020", layers={"counts": counts(nodata=999)})
    later = counts((COUNTS + 1).astype(np.int32), "later.tif", nodata=-1)
    geoembz.append(store, vectors, time="2021", layers={"counts": later})
    summary = geoembz.append(store, vectors, time="2022")
    assert "layer counts has no numbers at 2022-01-01" in summary.notes
    np.testing.assert_array_equal(stored(store, date=1), COUNTS + 1)
    assert (stored(store, date=2) == 999).all()
    assert not [path for path in (store / "counts" / "c" / "2").rglob("*") if path.is_file()]
    geoembz.append(store, vectors, time="2022", replace_date=True, layers={"counts": later})
    geoembz.append(store, vectors, time="2021", replace_date=True)
    np.testing.assert_array_equal(stored(store, date=2), COUNTS + 1)
    assert (stored(store, date=1) == 999).all()
    np.testing.assert_array_equal(geoembz.open(store)["counts"].sel(time="2020-01-01"), COUNTS)


def test_dates_that_do_not_fit(vectors: Path, counts: Write, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    convert(vectors, store, time="2020", layers={"counts": counts()})
    with pytest.raises(SourceError, match=r"no layer counts.*name a file with them \(layers=…\)"):
        geoembz.append(store, vectors, time="2021")
    with rasterio.open(counts(name="scaled.tif"), "r+") as raster:
        raster.scales = (0.5,)
    with pytest.raises(SourceError, match=r"layer counts with scale 0.5; but .*: None"):
        geoembz.append(store, vectors, time="2021", layers={"counts": tmp_path / "scaled.tif"})
    large = counts(COUNTS.astype(np.int32) * 1000, "large.tif")
    with pytest.raises(InvalidConfigError, match=r"numbers from .* expected whole numbers from 0"):
        geoembz.append(store, vectors, time="2021", layers={"counts": large})
    extra = {"counts": counts(), "other": counts(name="other.tif")}
    summary = geoembz.append(store, vectors, time="2021", layers=extra)
    assert "layer other of 2021-01-01 is left out: the store has none" in summary.notes
    assert not geoembz.verify(store).problems


def test_doors_without_layers(vectors: Path, counts: Write, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y,e0,e1\n1,2,3,4\n2,3,4,5\n")
    with pytest.raises(InvalidConfigError, match="layers: for rasters only"):
        geoembz.convert(table, tmp_path / "t.zarr", layers={"counts": counts()})
    with pytest.raises(InvalidConfigError, match="layer counts: seams are measured in vectors"):
        geoembz.check_seams(vectors, read=geoembz.ReadOptions(layers={"counts": counts()}))


def test_layers_travel_to_other_processes(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """What was opened is opened again there: files, tiles and variables."""
    (tmp_path / "tiles").mkdir()
    counts(COUNTS[:, :12], "tiles/a.tif")
    counts(COUNTS[:, 12:], "tiles/b.tif", transform=(A, 0, C + 12 * A, 0, E, F))
    layers = {"counts": counts(), "tiles": tmp_path / "tiles"}
    (source,) = open_inputs(vectors, geoembz.ReadOptions(layers=layers)).values()
    window = Window(3, 5, 8, 10)
    travelled = pickle.loads(pickle.dumps(source))  # noqa: S301 - made above
    for name, numbers in read_layers(travelled, window).items():
        np.testing.assert_array_equal(numbers, COUNTS[window.slices], err_msg=name)


@pytest.mark.slow
def test_workers_of_a_cluster_read_layers(vectors: Path, counts: Write, tmp_path: Path) -> None:
    """Processes open the files by themselves, and write the same store."""
    layers = {"counts": counts(nodata=7)}
    convert(vectors, tmp_path / "a.zarr", layers=layers)
    convert(vectors, tmp_path / "b.zarr", layers=layers, scheduler="local", workers=2)
    assert objects(tmp_path / "a.zarr") == objects(tmp_path / "b.zarr")
