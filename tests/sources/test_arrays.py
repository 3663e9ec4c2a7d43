"""Plain arrays and files of them are placed by options; nothing about them is guessed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.typing import NDArray

import geoembz
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.options import parse_transform
from tests import products

CRS = "EPSG:32632"
PLACE: dict[str, Any] = {"crs": CRS, "transform": products.UTM_TRANSFORM}


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    """Return vectors ``(8, 20, 30)``, each with numbers of its own."""
    return np.random.default_rng(0).normal(size=(8, 20, 30)).astype(np.float32)


@pytest.fixture
def like(tmp_path: Path) -> Path:
    """Return a raster of 20 x 30 pixels, of one band."""
    return products.write_raster(tmp_path / "like.tif", np.zeros((1, 20, 30), np.uint8))


def read(store: Path) -> NDArray[np.float32]:
    opened = geoembz.open(store)
    assert opened.attrs["proj:code"] == CRS
    assert opened.attrs["spatial:transform"] == list(products.UTM_TRANSFORM)
    return np.asarray(opened.embedding)


@pytest.mark.parametrize("axes", ["band,y,x", "y,x,band", "x y band"])
def test_dims_name_the_axes(axes: str, vectors: NDArray[np.float32], tmp_path: Path) -> None:
    order = [("band", "y", "x").index(name) for name in axes.replace(",", " ").split()]
    store = tmp_path / "a.zarr"
    geoembz.convert(vectors.transpose(order), store, recipe="float32", dims=axes, **PLACE)
    np.testing.assert_array_equal(read(store), vectors)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_a_raster_of_the_same_shape_tells_the_axes(
    order: tuple[int, ...], vectors: NDArray[np.float32], like: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", vectors.transpose(order))
    geoembz.convert(tmp_path / "a.npy", tmp_path / "a.zarr", recipe="float32", like=like)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


def test_the_one_cube_of_an_archive(
    vectors: NDArray[np.float32], like: Path, tmp_path: Path
) -> None:
    np.savez_compressed(tmp_path / "a.npz", features=vectors, ids=np.arange(5))
    geoembz.convert(tmp_path / "a.npz", tmp_path / "a.zarr", recipe="float32", like=like)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


def test_lazy_arrays_stay_lazy(vectors: NDArray[np.float32], like: Path, tmp_path: Path) -> None:
    import dask.array as da

    lazy = da.from_array(vectors, chunks=(8, 10, 10))  # type: ignore[no-untyped-call]
    geoembz.convert(lazy, tmp_path / "a.zarr", recipe="float32", like=like)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


class Tensor:
    """What a tensor of another library looks like: a shape, and NumPy's protocol."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self._values, self.shape = values, values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float32]:
        return self._values


def test_tensors_are_arrays(vectors: NDArray[np.float32], like: Path, tmp_path: Path) -> None:
    geoembz.convert(Tensor(vectors), tmp_path / "a.zarr", recipe="float32", like=like)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


def test_the_command_takes_an_array(
    vectors: NDArray[np.float32], like: Path, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from geoembz._cli.app import app

    np.save(tmp_path / "a.npy", vectors)
    words = ["convert", str(tmp_path / "a.npy"), str(tmp_path / "a.zarr"), "--float32"]
    text = ",".join(map(str, products.UTM_TRANSFORM))
    place = ["--crs", CRS, "--transform", text, "--dims", "band,y,x"]
    assert CliRunner().invoke(app, [*words, *place]).exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


def test_nodata_of_an_array_is_an_option(
    vectors: NDArray[np.float32], like: Path, tmp_path: Path
) -> None:
    vectors[:, :3] = -9999
    geoembz.convert(vectors, tmp_path / "a.zarr", recipe="float32", like=like, nodata=-9999)
    assert np.isnan(read(tmp_path / "a.zarr")[:, :3]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            r"array: an array says nothing of where it lies; .*like=.*or a CRS and a transform",
        ),
        ({"crs": CRS, "dims": "band,y,x"}, r"array: an array says nothing of where it lies"),
        (PLACE, r"array: shape \(8, 20, 30\) does not tell which axis is which"),
        ({**PLACE, "dims": "band,y"}, r"dims 'band,y'; expected the names of three axes"),
        ({**PLACE, "dims": "band,y,z"}, r"dims 'band,y,z'; expected the names of three axes"),
        ({**PLACE, "transform": (1, 2)}, r"transform \(1, 2\); expected six numbers"),
        ({**PLACE, "like": "a.tif"}, r"says CRS and transform already; leave out crs="),
    ],
)
def test_what_is_missing_is_asked_for(
    options: dict[str, Any], message: str, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        geoembz.convert(vectors, tmp_path / "a.zarr", **options)
    assert not (tmp_path / "a.zarr").exists()


def test_axes_of_equal_length_are_asked_for(like: Path, tmp_path: Path) -> None:
    square = products.write_raster(tmp_path / "s.tif", np.zeros((1, 20, 20), np.uint8))
    with pytest.raises(InvalidConfigError, match="does not tell which axis is which"):
        geoembz.convert(np.zeros((20, 20, 20), np.float32), tmp_path / "a.zarr", like=square)


@pytest.mark.parametrize(
    ("shape", "dims", "message"),
    [
        ((20, 30), None, r"2 axes \(20, 30\); expected three"),
        ((8, 21, 30), None, r"shape \(8, 21, 30\); expected 20 rows and 30 columns"),
        ((8, 21, 30), "band,y,x", r"21 rows and 30 columns, but .*like\.tif has 20 and 30"),
    ],
)
def test_other_shapes_are_refused(
    shape: tuple[int, ...], dims: str | None, message: str, like: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=message):
        geoembz.convert(np.zeros(shape, np.float32), tmp_path / "a.zarr", like=like, dims=dims)


def test_codes_of_an_unknown_product_are_refused(like: Path, tmp_path: Path) -> None:
    """The guard of files holds for arrays."""
    codes = np.zeros((8, 20, 30), np.int8)
    with pytest.raises(SourceError, match="int8 of an unknown product"):
        geoembz.convert(codes, tmp_path / "a.zarr", like=like)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a": (3, 4, 5), "b": (3, 4, 5)}, r"holds a \(3, 4, 5\), b \(3, 4, 5\); expected one"),
        ({"a": (3, 4)}, r"holds a \(3, 4\); expected one"),
        ({}, "holds nothing; expected one"),
    ],
)
def test_archives_that_do_not_tell(
    members: dict[str, tuple[int, ...]], message: str, like: Path, tmp_path: Path
) -> None:
    arrays: dict[str, Any] = {name: np.zeros(shape) for name, shape in members.items()}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SourceError, match=message):
        geoembz.convert(tmp_path / "a.npz", tmp_path / "a.zarr", like=like)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("content", [b"", b"no array at all", b"PK\x03\x04 broken"])
def test_damaged_files_are_refused(content: bytes, suffix: str, like: Path, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not an array that NumPy reads"):
        geoembz.convert(path, tmp_path / "a.zarr", like=like)


def test_pickles_are_never_loaded(like: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match="no pickled objects"):
        geoembz.convert(tmp_path / "a.npy", tmp_path / "a.zarr", like=like)


def test_an_array_alone_is_no_tile_of_tessera(tmp_path: Path) -> None:
    """It used to be asked for its scales, whatever its name and type."""
    np.save(tmp_path / "dino.npy", np.zeros((8, 20, 30), np.float32))
    with pytest.raises(InvalidConfigError, match=r"dino\.npy: an array says nothing of where"):
        geoembz.convert(tmp_path / "dino.npy", tmp_path / "a.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_any_zarr_group_with_coordinates(
    zarr_format: int, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    a, _, c, _, e, f = products.UTM_TRANSFORM
    coordinates = {"y": f + e * np.arange(0.5, 20), "x": c + a * np.arange(0.5, 30)}
    array = xr.DataArray(vectors, coordinates, ("feature", "y", "x"), name="dino")
    array.to_zarr(tmp_path / "own.zarr", zarr_format=zarr_format, consolidated=False)
    geoembz.convert(tmp_path / "own.zarr", tmp_path / "a.zarr", recipe="float32", crs=CRS)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)
    sources = geoembz.open(tmp_path / "a.zarr").attrs["geoembz:sources"]
    (source,) = sources
    assert {**source, "bbox": None} == {"uri": "file:own.zarr", "bbox": None}


def test_a_zarr_group_without_coordinates_is_placed(
    vectors: NDArray[np.float32], like: Path, tmp_path: Path
) -> None:
    array = xr.DataArray(vectors, dims=("feature", "y", "x"), name="dino")
    array.to_zarr(tmp_path / "own.zarr", consolidated=False)
    with pytest.raises(SourceError, match=r"own\.zarr: no coordinates 'y' and 'x'.*like="):
        geoembz.convert(tmp_path / "own.zarr", tmp_path / "a.zarr")
    geoembz.convert(tmp_path / "own.zarr", tmp_path / "a.zarr", recipe="float32", like=like)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


def test_a_zarr_group_of_something_else(tmp_path: Path) -> None:
    xr.Dataset({"t": ("station", np.arange(4.0))}).to_zarr(
        tmp_path / "own.zarr", consolidated=False
    )
    with pytest.raises(SourceError, match=r"of no known product \(members .*t.*\); expected"):
        geoembz.convert(tmp_path / "own.zarr", tmp_path / "a.zarr")


def test_netcdf_follows_names_of_dimensions(vectors: NDArray[np.float32], tmp_path: Path) -> None:
    """GDAL would take rows for bands, and places only what has CF's standard names."""
    a, _, c, _, e, f = products.UTM_TRANSFORM
    coordinates = {"y": f + e * np.arange(0.5, 20), "x": c + a * np.arange(0.5, 30)}
    array = xr.DataArray(vectors, coordinates, ("band", "y", "x"), name="dino")
    array.transpose("y", "x", "band").to_netcdf(tmp_path / "own.nc")
    geoembz.convert(tmp_path / "own.nc", tmp_path / "a.zarr", recipe="float32", crs=CRS)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("by_raster", [True, False])
def test_a_raster_without_a_place_is_placed(
    by_raster: bool, vectors: NDArray[np.float32], like: Path, tmp_path: Path
) -> None:
    profile = {"driver": "GTiff", "count": 8, "height": 20, "width": 30, "dtype": "float32"}
    with rasterio.open(tmp_path / "bare.tif", "w", **profile) as raster:
        raster.write(vectors)
    options: dict[str, Any] = {"like": like} if by_raster else PLACE
    geoembz.convert(tmp_path / "bare.tif", tmp_path / "a.zarr", recipe="float32", **options)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), vectors)


def test_products_keep_their_place(like: Path, tmp_path: Path) -> None:
    path = products.write_tessera_npy(tmp_path / "in", np.zeros((8, 8, 128), np.int8), None)
    with pytest.raises(InvalidConfigError, match="this product does"):
        geoembz.convert(path, tmp_path / "a.zarr", like=like)


def test_transforms_are_read_from_what_people_have() -> None:
    expected = (10.0, 0.0, 5.0, 0.0, -10.0, 7.0)
    assert parse_transform("10,0,5,0,-10,7") == expected
    assert parse_transform([10, 0, 5, 0, -10, 7]) == expected
    assert parse_transform(rasterio.Affine(10, 0, 5, 0, -10, 7)) == expected
