"""The accessor answers for what the dataset is, or refuses: never for another store's vectors."""

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr

import geoembz
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.closeness import assert_same_vectors
from tests.export.conftest import everything

type Change = Callable[[xr.Dataset], xr.Dataset]
EMBEDDING = "embedding"


def _edited(dataset: xr.Dataset) -> xr.Dataset:
    dataset = dataset.copy(deep=True)
    dataset[EMBEDDING][0, 33, 34] += 1  # loads it
    assert not np.isnan(dataset[EMBEDDING].values[0, 33, 34])
    return dataset


KEPT: dict[str, Change] = {
    "as opened": lambda d: d,
    "a slice": lambda d: d.isel(y=slice(20, 50), x=slice(5, 25)),
    "sel": lambda d: d.sel(x=slice(float(d.x[7]), float(d.x[30]))),
    "loaded": lambda d: d.isel(x=slice(3, 40)).load(),
    "computed chunks": lambda d: d.chunk(x=16).isel(x=slice(3, 40)).compute(),
    "chunks": lambda d: d.chunk({"y": 17}).isel(x=slice(3, 40), y=slice(2, 60)),
    "persisted": lambda d: d.chunk(x=16).persist(),
    "rechunked": lambda d: d.chunk(x=16).chunk(x=20),
    "copied": lambda d: d.copy(deep=True),
    "sorted": lambda d: d.sortby("y").sortby("x"),
    "turned": lambda d: d.isel(y=slice(None, None, -1), x=slice(4, 30)),
    "transposed": lambda d: d.transpose("y", "x", ...),
    "assigned beside": lambda d: d.assign(other=d.x * 2),
    "reindexed to itself": lambda d: d.reindex(x=d.x[5:20]),
    "put together again": lambda d: xr.concat(
        [d.isel(x=slice(0, 20)), d.isel(x=slice(20, None))], "x"
    ),
}

REFUSED: dict[str, Change] = {
    "rolled": lambda d: d.roll(x=10),
    "rolled with its coordinates": lambda d: d.roll(x=10, roll_coords=True),
    "rolled chunks": lambda d: d.chunk(x=16).roll(x=10),
    "shifted": lambda d: d.shift(x=1),
    "other data": lambda d: d.copy(data={EMBEDDING: np.zeros(d[EMBEDDING].shape, "f4")}),
    "other chunks": lambda d: d.copy(
        data={EMBEDDING: da.zeros(d[EMBEDDING].shape, dtype="f4", chunks=16)}
    ),
    "two along a new axis": lambda d: xr.concat([d, d], "t"),
    "one along a new axis": lambda d: d.expand_dims("t"),
    "repeated": lambda d: xr.concat([d, d], "x"),
    "edited in place": _edited,
    "every second pixel": lambda d: d.isel(x=slice(None, None, 2)),
    "some pixels": lambda d: d.isel(x=[1, 3, 4]),
    "coarse": lambda d: d.coarsen(x=2, y=2).mean(),
    "padded": lambda d: d.pad(x=1),
    "interpolated": lambda d: d.interp(x=d.x[:4] + 3),
    "where": lambda d: d.where(d.x > float(d.x[3])),
    "turned coordinates": lambda d: d.assign_coords(x=d.x.to_numpy()[::-1]),
    "turned coordinates of chunks": lambda d: d.chunk(x=16).assign_coords(x=d.x.to_numpy()[::-1]),
    "moved coordinates": lambda d: d.isel(x=slice(0, 20)).assign_coords(
        x=d.x.to_numpy()[5:25]
    ),
    "coordinates elsewhere": lambda d: d.assign_coords(x=d.x + 10_000),
    "coordinates between": lambda d: d.assign_coords(x=d.x + 2.5),
    "without coordinates": lambda d: d.drop_vars("x"),
    "renamed": lambda d: d.rename(x="lon"),
    "one column": lambda d: d.isel(x=3),
    "no pixel": lambda d: d.isel(x=slice(0)),
    "some components": lambda d: d.isel(dimension=slice(0, 3)),
    "another CRS": lambda d: d.rio.write_crs("EPSG:32633"),
    "without its vectors": lambda d: d.drop_vars(EMBEDDING),
    "larger": lambda d: d.reindex(x=np.append(d.x, d.x[-1] + 10)),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_answers_for_what_the_dataset_is(store: StoreReader, tmp_path: Path, name: str) -> None:
    """The file holds what the dataset holds, pixel by pixel, wherever that is."""
    dataset = KEPT[name](geoembz.open(store.url))
    dataset.geoembz.export(tmp_path / "a.tif")
    north_up = dataset.sortby("x").sortby("y", ascending=False)
    expected = north_up[EMBEDDING].transpose(..., "y", "x").to_numpy()
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert_same_vectors(raster.read(), expected)
        assert raster.bounds.left == pytest.approx(float(north_up.x[0]) - 5)
        assert raster.bounds.top == pytest.approx(float(north_up.y[0]) + 5)


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_is_another_dataset_by_now(
    store: StoreReader, tmp_path: Path, name: str
) -> None:
    """Operations that keep the store's name, but not its pixels, are told apart."""
    dataset = REFUSED[name](geoembz.open(store.url))
    for call, target in (("export", tmp_path / "a.tif"), ("preview", tmp_path / "a.png")):
        with pytest.raises(InvalidConfigError, match=r"^geoembz: "):
            getattr(dataset.geoembz, call)(target)
    with pytest.raises(InvalidConfigError, match=r"^geoembz: "):
        dataset.geoembz.sample([[9.0, 47.8]])
    assert not list(tmp_path.glob("a.*"))


def test_another_store_of_the_same_grid_is_refused(store: StoreReader, tmp_path: Path) -> None:
    """Half of one store beside half of another has all coordinates and half of the vectors."""
    geoembz.convert(store.url, tmp_path / "other.zarr", recipe="pca3-int8")
    ours, theirs = geoembz.open(store.url), geoembz.open(tmp_path / "other.zarr")
    halves = [ours.isel(x=slice(0, 30)), theirs.isel(x=slice(30, None))]
    mixed = xr.concat(halves, "x", combine_attrs="override")
    with pytest.raises(InvalidConfigError, match="other numbers than its store"):
        mixed.geoembz.export(tmp_path / "a.tif")


def test_codes_and_missing_pixels_compare_exactly(store: StoreReader, tmp_path: Path) -> None:
    """Loaded codes are what the store holds; one other code is another dataset."""
    loaded = geoembz.open(store.url, space="codes").load()
    loaded.geoembz.export(tmp_path / "codes.tif")
    loaded[EMBEDDING][0, 0, 0] += 1
    with pytest.raises(InvalidConfigError, match="other numbers"):
        loaded.geoembz.export(tmp_path / "other.tif")
    assert everything(store).shape[1:] == loaded[EMBEDDING].shape[1:]
