"""The xarray engine: lazy, indexed as NumPy indexes, georeferenced for every reader."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rasterio.crs import CRS

import geoembz
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.conftest import DEFAULT_TRANSFORM, MakeRaster

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = (10, 40, 50)
KINDS = ("int8", "int4")


@pytest.fixture(scope="module")
def stores(make_raster: MakeRaster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Convert one raster with holes with each quantizer, in shards of 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("stores")
    values = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32) + 1
    values[:, 3:9, 5:20] = np.nan
    make_raster(folder / "in.tif", values)
    for kind in KINDS:
        options: dict[str, Any] = {"pca": 6, "quantizer": kind, "chunk": 8, "shard": 16}
        geoembz.convert(folder / "in.tif", folder / kind, **options)
    return {kind: folder / kind for kind in KINDS}


def decoded(store: Path, space: Any) -> NDArray[np.float32]:
    """Decode a whole store by its Encoding, without the engine."""
    reader = StoreReader.open(str(store))
    group = zarr.open_group(store, mode="r")
    codes = np.moveaxis(np.asarray(group["embedding"][...]), 0, -1)  # type: ignore[index]
    valid = np.asarray(group["valid"][...]) if "valid" in group else None  # type: ignore[index]
    return np.moveaxis(reader.encoding.decode(codes, space, valid=valid), -1, 0)


@pytest.mark.parametrize("chunks", [None, {}, "auto", {"y": 16, "x": 50}])
@pytest.mark.parametrize("space", ["original", "reduced"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_the_encoding_s(
    kind: str, space: Any, chunks: Any, stores: dict[str, Path]
) -> None:
    """With dask and without, in every space, the same numbers as decoding by hand."""
    dataset = geoembz.open(stores[kind], space=space, chunks=chunks)
    assert (dataset["embedding"].chunks is None) == (chunks is None)
    np.testing.assert_array_equal(dataset["embedding"].values, decoded(stores[kind], space))
    assert dataset["embedding"].dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_the_stored_integers(kind: str, stores: dict[str, Path]) -> None:
    dataset = geoembz.open(stores[kind], space="codes")
    group = zarr.open_group(stores[kind], mode="r")
    stored = np.asarray(group["embedding"][...])  # type: ignore[index]
    np.testing.assert_array_equal(dataset["embedding"].values, stored)
    assert dataset["embedding"].dims[0] == ("component" if kind == "int8" else "component_byte")
    assert ("valid" in dataset) == (kind == "int4")
    if kind == "int4":
        mask = np.asarray(group["valid"][...])  # type: ignore[index]
        np.testing.assert_array_equal(dataset["valid"].values, mask)
        np.testing.assert_array_equal(dataset["valid"][::-3, 5:1:-1].values, mask[::-3, 5:1:-1])


@pytest.mark.parametrize("components", [1, 4, 6])
def test_components_are_the_first_ones(components: int, stores: dict[str, Path]) -> None:
    """`components=` cuts reduced space, and rebuilds the original from fewer."""
    reduced = geoembz.open(stores["int8"], space="reduced", components=components)
    assert reduced.sizes["component"] == components
    full = decoded(stores["int8"], "reduced")
    np.testing.assert_array_equal(reduced["embedding"].values, full[:components])
    rebuilt = geoembz.open(stores["int8"], components=components)["embedding"].values
    encoding = StoreReader.open(str(stores["int8"])).encoding
    codes = geoembz.open(stores["int8"], space="codes")["embedding"].values
    by_hand = encoding.decode(np.moveaxis(codes, 0, -1), components=components)
    np.testing.assert_array_equal(rebuilt, np.moveaxis(by_hand, -1, 0))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_slices_index_as_numpy_does(data: st.DataObject, stores: dict[str, Path]) -> None:
    """Integers, negative ones, steps, negative steps, empty slices, ellipses."""
    kind = data.draw(st.sampled_from(KINDS))
    key = data.draw(hnp.basic_indices(SHAPE, allow_newaxis=False))
    parts = key if isinstance(key, tuple) else (key,)
    # xarray itself fails on empty slices with a negative step, whatever the backend.
    sizes = np.empty(SHAPE, np.bool_)[key].shape
    backwards = any(isinstance(part, slice) and (part.step or 1) < 0 for part in parts)
    assume(not (backwards and 0 in sizes))
    lazy = geoembz.open(stores[kind])["embedding"]
    np.testing.assert_array_equal(lazy[key].values, decoded(stores[kind], "original")[key])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_arrays_index_as_numpy_does(data: st.DataObject, stores: dict[str, Path]) -> None:
    """Lists on each axis pick the outer product; points pick pixels; masks pick rows."""
    whole = decoded(stores["int8"], "original")
    lazy = geoembz.open(stores["int8"])["embedding"]
    axes = [
        data.draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=5)) for size in SHAPE
    ]
    outer = lazy.isel(dimension=axes[0], y=axes[1], x=axes[2]).values
    np.testing.assert_array_equal(outer, whole[np.ix_(*axes)])
    count = min(len(axes[1]), len(axes[2]))
    points = [xr.DataArray(axis[:count], dims="point") for axis in axes[1:]]
    picked = lazy.isel(y=points[0], x=points[1]).values
    np.testing.assert_array_equal(picked, whole[:, axes[1][:count], axes[2][:count]])
    mask = data.draw(hnp.arrays(np.bool_, SHAPE[1]))
    np.testing.assert_array_equal(lazy[:, mask].values, whole[:, mask])


class Reads:
    """Note which shards are opened, by Zarr or past it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[str] = []
        plain_open = Path.open

        def noted(path: Path, *args: Any, **kwargs: Any) -> Any:
            _, found, key = path.as_posix().partition("/embedding/c/")
            if found:
                self.keys.append(f"embedding/c/{key}")
            return plain_open(path, *args, **kwargs)

        monkeypatch.setattr(Path, "open", noted)


@pytest.mark.parametrize("chunks", [None, {}], ids=["numpy", "dask"])
def test_only_the_window_is_read(
    chunks: Any, stores: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening and slicing read no shard; values read those of the window alone."""
    reads = Reads(monkeypatch)
    dataset = geoembz.open(stores["int8"], chunks=chunks)
    window = dataset["embedding"][:, 18:30, 35:45]
    pixel = dataset["embedding"].sel(x=500_005.0, y=5_299_995.0, method="nearest")
    assert reads.keys == []
    assert np.isfinite(window.values).all()
    assert set(reads.keys) == {"embedding/c/0/1/2"}
    reads.keys.clear()
    assert np.isfinite(pixel.values).all()
    assert set(reads.keys) == {"embedding/c/0/0/0"}


def test_dask_chunks_are_whole_shards(stores: dict[str, Path]) -> None:
    """The preferred chunks read no shard twice."""
    embedding = geoembz.open(stores["int8"], chunks={})["embedding"]
    assert embedding.chunks == ((10,), (16, 16, 8), (16, 16, 16, 2))


def test_threads_and_pickles_read_the_same(stores: dict[str, Path]) -> None:
    """Datasets opened and read concurrently, pickled, chunked: one answer."""
    expected = decoded(stores["int8"], "original")
    one = geoembz.open(stores["int8"])
    chunked = geoembz.open(stores["int8"], chunks={})
    copies = [pickle.loads(pickle.dumps(dataset)) for dataset in (one, chunked)]  # noqa: S301

    def same(number: int) -> bool:
        opened = [geoembz.open(stores["int8"]), one, *copies][number % 4]
        return np.array_equal(opened["embedding"].values, expected, equal_nan=True)

    with ThreadPoolExecutor(6) as pool, dask.config.set(scheduler="synchronous"):
        assert all(pool.map(same, range(12)))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # affine, through rioxarray
@pytest.mark.parametrize("opened", ["open_zarr", "engine", "geoembz.open"])
def test_rioxarray_knows_where_it_is(opened: str, stores: dict[str, Path]) -> None:
    """CRS, transform, bounds and coordinates, from plain xarray as well as from ours."""
    import rioxarray  # noqa: F401 - registers .rio

    store = stores["int8"]
    openers: dict[str, Callable[[], xr.Dataset]] = {
        "open_zarr": lambda: xr.open_zarr(store),
        "engine": lambda: xr.open_dataset(store, engine="geoembz"),
        "geoembz.open": lambda: geoembz.open(store),
    }
    dataset = openers[opened]()
    embedding = dataset["embedding"]
    for located in (dataset.rio, embedding.rio):
        assert located.crs == CRS.from_epsg(32632)
        assert tuple(located.transform())[:6] == DEFAULT_TRANSFORM
    assert embedding.rio.bounds() == (500_000, 5_299_600, 500_500, 5_300_000)
    np.testing.assert_array_equal(dataset["x"], 500_005 + 10 * np.arange(50))
    np.testing.assert_array_equal(dataset["y"], 5_299_995 - 10 * np.arange(40))


@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:4326",
        "EPSG:4979",
        "EPSG:2263",
        "EPSG:32632+5773",
        "+proj=laea +lat_0=10 +lon_0=20 +ellps=bessel +units=m",
    ],
)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_every_crs_survives(crs: str, make_raster: MakeRaster, tmp_path: Path) -> None:
    """Geographic, compound, in feet, or without any code: plain readers get the same CRS."""
    import rasterio
    import rioxarray  # noqa: F401 - registers .rio

    path = make_raster(tmp_path / "in.tif", np.ones((2, 4, 4), np.float32), crs=crs)
    geoembz.convert(path, tmp_path / "out")
    with rasterio.open(path) as dataset:
        expected = dataset.crs
    assert xr.open_zarr(tmp_path / "out").rio.crs == expected
    assert geoembz.open(tmp_path / "out").rio.crs == expected


def test_dimensions_and_names(stores: dict[str, Path]) -> None:
    """Each space has its own first dimension, so that datasets of two spaces merge."""
    both = xr.merge(
        [
            geoembz.open(stores["int8"])[["embedding"]].rename(embedding="original"),
            geoembz.open(stores["int8"], space="reduced")[["embedding"]],
        ],
        combine_attrs="override",
        compat="override",
        join="exact",
    )
    assert dict(both.sizes) == {"y": 40, "x": 50, "dimension": 10, "component": 6}


@pytest.mark.parametrize(
    "options",
    [
        {"space": "latent"},
        {"components": 0},
        {"components": 7},
        {"components": -1},
        {"space": "codes", "components": 2},
    ],
)
def test_impossible_views_are_refused(options: dict[str, Any], stores: dict[str, Path]) -> None:
    with pytest.raises(InvalidConfigError, match=r"space|components"):
        geoembz.open(stores["int8"], **options)


def test_unprojected_components_cannot_be_cut(make_raster: MakeRaster, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    geoembz.convert(make_raster(tmp_path / "in.tif", values), tmp_path / "out")
    with pytest.raises(InvalidConfigError, match="pca="):
        geoembz.open(tmp_path / "out", components=2)


@pytest.mark.parametrize("dropped", ["embedding", ["embedding"], ["embedding", "nothing"]])
def test_variables_can_be_dropped(dropped: Any, stores: dict[str, Path]) -> None:
    """As with xarray's own engines; names that are not there are passed over."""
    dataset = xr.open_dataset(stores["int8"], engine="geoembz", drop_variables=dropped)
    assert "embedding" not in dataset


def test_the_dataset_can_be_saved(stores: dict[str, Path], tmp_path: Path) -> None:
    """What was decoded can be written by xarray again."""
    dataset = geoembz.open(stores["int8"], chunks={})
    dataset.isel(y=slice(0, 16)).to_zarr(tmp_path / "copy.zarr", consolidated=False)
    again = xr.open_zarr(tmp_path / "copy.zarr", consolidated=False)
    expected = decoded(stores["int8"], "original")[:, :16]
    np.testing.assert_array_equal(again["embedding"].values, expected)


def test_encodings_are_found_in_the_store(stores: dict[str, Path]) -> None:
    """`encoding/` and the attributes rebuild the Encoding, with its hash."""
    reader = StoreReader.open(str(stores["int8"]))
    attributes = geoembz.open(stores["int8"]).attrs
    group = zarr.open_group(stores["int8"] / "encoding", mode="r")
    arrays = {name: np.asarray(array[...]) for name, array in group.arrays()}
    rebuilt = Encoding.from_state(attributes["geoembz:encoding"], arrays)
    assert rebuilt.hash == attributes["geoembz:encoding_hash"] == reader.encoding.hash
