"""The same array gives the same store, however it comes: the door does not matter."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import geoembz
from tests import products

CRS = "EPSG:32632"
NODATA = -9999.0


@dataclass(frozen=True)
class Case:
    """An array and what is declared of it."""

    raw: NDArray[Any]
    scale: float
    offset: float
    nodata: float | None
    north_up: bool

    @property
    def transform(self) -> tuple[float, ...]:
        a, b, c, d, e, f = products.UTM_TRANSFORM
        return (a, b, c, d, e if self.north_up else -e, f)

    @property
    def coordinates(self) -> dict[str, NDArray[np.float64]]:
        a, _, c, _, e, f = self.transform
        height, width = self.raw.shape[1:]
        rows, columns = np.arange(0.5, height), np.arange(0.5, width)
        return {"y": np.asarray(f + e * rows), "x": np.asarray(c + a * columns)}

    @property
    def attributes(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if self.nodata is not None:
            found["_FillValue"] = self.raw.dtype.type(self.nodata)
        if self.scale != 1 or self.offset != 0:
            found |= {"scale_factor": self.scale, "add_offset": self.offset}
        return found


def tiff(case: Case, path: Path, bands: slice = slice(None), **profile: Any) -> Path:
    raw = case.raw[bands]
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(raw),
        height=raw.shape[1],
        width=raw.shape[2],
        dtype=raw.dtype,
        crs=CRS,
        transform=rasterio.Affine(*case.transform),
        nodata=case.nodata,
        **profile,
    ) as raster:
        raster.write(raw)
        raster.scales = [case.scale] * len(raw)
        raster.offsets = [case.offset] * len(raw)
    return path


def band_files(case: Case, folder: Path) -> Path:
    for band in range(len(case.raw)):
        tiff(case, folder / f"B{band}.tif", slice(band, band + 1))
    return folder


def array(case: Case) -> xr.DataArray:
    made = xr.DataArray(case.raw, case.coordinates, ("band", "y", "x"), attrs=case.attributes)
    placed: xr.DataArray = made.rio.write_crs(CRS)
    return placed


def turned(case: Case) -> xr.DataArray:
    """Put components last, as most models give them."""
    return array(case).transpose("y", "x", "band")


def dataset(case: Case) -> xr.Dataset:
    return array(case).to_dataset(name="anything")


def flat_dataset(case: Case) -> xr.Dataset:
    """One variable per band; each declares its own nodata and scale."""
    whole = array(case)
    return xr.Dataset({f"B{n}": whole[n].drop_vars("band", errors="ignore") for n in range(8)})


def zarr_group(case: Case, path: Path) -> Path:
    made = dataset(case)
    made.to_zarr(path, consolidated=False, zarr_format=3)
    return path


def netcdf(case: Case, path: Path) -> Path:
    dataset(case).to_netcdf(path, engine="netcdf4")
    return path


def doors(case: Case, folder: Path) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield the name of a door, what goes in, and the options that it needs."""
    like = tiff(case, folder / "like.tif")
    yield "pixel interleaved", tiff(case, folder / "p.tif", interleave="pixel"), {}
    yield (
        "band interleaved, tiled",
        tiff(case, folder / "b.tif", interleave="band", tiled=True, blockxsize=16, blockysize=16),
        {},
    )
    yield "one file per band", band_files(case, folder / "bands"), {}
    yield "DataArray", array(case), {}
    yield "DataArray, components last", turned(case), {}
    yield "Dataset", dataset(case), {}
    yield "Dataset, one variable per band", flat_dataset(case), {}
    yield "Zarr", zarr_group(case, folder / "z.zarr"), {}
    yield "netCDF", netcdf(case, folder / "n.nc"), {}
    if not case.attributes.keys() & {"scale_factor"}:  # an array has no place for a scale
        given = {"nodata": case.nodata}
        np.save(folder / "a.npy", case.raw)
        np.savez(folder / "a.npz", embedding=case.raw, other=np.arange(3))
        yield ".npy", folder / "a.npy", {"like": like, "dims": "band,y,x", **given}
        yield ".npz", folder / "a.npz", {"like": like, "dims": "band,y,x", **given}
        yield (
            "array",
            case.raw.transpose(1, 2, 0),
            {
                "crs": CRS,
                "transform": case.transform,
                "dims": ("y", "x", "band"),
                **given,
            },
        )


def cases() -> st.SearchStrategy[Case]:
    """Draw small rasters: floats or scaled integers, with holes or none, rows either way."""

    def build(
        seed: int, height: int, width: int, kind: str, *, holes: bool, north_up: bool
    ) -> Case:
        rng = np.random.default_rng(seed)
        raw: NDArray[Any] = rng.normal(size=(8, height, width)).astype(np.float32)
        scale, offset = 1.0, 0.0
        if kind == "scaled":
            raw, scale, offset = np.round(raw * 1000).astype(np.int16), 0.001, 0.25
        if holes:
            raw[:, :2, 1:5] = NODATA
        return Case(raw, scale, offset, NODATA if holes else None, north_up)

    sides = st.integers(9, 40)
    kinds = st.sampled_from(["float32", "scaled"])
    return st.builds(
        build,
        st.integers(0, 2**16),
        sides,
        sides,
        kinds,
        holes=st.booleans(),
        north_up=st.booleans(),
    )


def check_doors(case: Case, folder: Path) -> None:
    stores: dict[str, xr.Dataset] = {}
    for number, (name, source, options) in enumerate(doors(case, folder)):
        store = folder / f"{number}.zarr"
        geoembz.convert(source, store, recipe="pca4-int8", chunk=16, **options)
        stores[name] = geoembz.open(store, space="codes").load()
    first = stores.pop("pixel interleaved")
    assert (np.diff(first.y) < 0).all()
    for name, other in stores.items():
        np.testing.assert_array_equal(other.embedding, first.embedding, err_msg=name)
        np.testing.assert_allclose(other.x, first.x, rtol=0, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(other.y, first.y, rtol=0, atol=1e-6, err_msg=name)
        assert other.attrs["proj:code"] == first.attrs["proj:code"], name
        assert other.attrs["geoembz:pixels"] == first.attrs["geoembz:pixels"], name


QUIET: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "phases": [Phase.explicit, Phase.generate],  # an example converts a dozen times: no shrinking
}

type MakeFolder = Callable[[], Path]


@pytest.fixture
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> MakeFolder:
    """Return a maker of folders: one for each example."""
    return lambda: tmp_path_factory.mktemp("case")


@settings(max_examples=4, **QUIET)
@given(case=cases())
def test_every_door_gives_the_same_store(case: Case, make_folder: MakeFolder) -> None:
    check_doors(case, make_folder())


@pytest.mark.slow
@settings(max_examples=8, **QUIET)
@given(case=cases())
def test_every_door_gives_the_same_store_in_depth(case: Case, make_folder: MakeFolder) -> None:
    check_doors(case, make_folder())
