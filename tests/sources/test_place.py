"""Where a raster lies: what is declared is taken, and what is missing is refused in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # registers .rio
import xarray as xr
import zarr
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

import geoembz
from geoembz._evaluate.labels import read_labels
from geoembz._geo.grid import Grid, Transform
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import ReadOptions, open_source, open_sources
from geoembz.sources.bands import BandsSource
from geoembz.sources.georeference import make_grid
from geoembz.sources.mosaic import MosaicSource
from geoembz.sources.raster import RasterSource
from tests import products
from tests.conftest import MakeRaster

# rasterio warns of rasters without a transform where a test writes one
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
NORTH_UP = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
SIDE = 24


@pytest.fixture
def values(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(8, SIDE, SIDE)).astype(np.float32)


def raw_raster(path: Path, values: np.ndarray, **options: Any) -> Path:
    """Write a raster without a transform."""
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape) as file:
        file.write(values)
        for name, value in options.items():
            setattr(file, name, value)
    return path


@pytest.fixture
def with_points(tmp_path: Path, values: np.ndarray) -> Path:
    """Write a raster with ground control points only."""
    corners = [(0, 0, 10.0, 50.0), (0, SIDE, 10.1, 50.0), (SIDE, 0, 10.0, 49.9)]
    points = [GroundControlPoint(*corner) for corner in [*corners, (SIDE, SIDE, 10.1, 49.9)]]
    return raw_raster(
        tmp_path / "gcps.tif", values, gcps=(points, rasterio.crs.CRS.from_epsg(4326))
    )


@pytest.mark.parametrize("crs", [None, "EPSG:4326", "EPSG:32632"])
def test_control_points_are_named(with_points: Path, crs: str | None) -> None:
    """A CRS does not place a raster that only its control points do."""
    with pytest.raises(SourceError, match=r"gcps\.tif: ground control points.*gdalwarp") as caught:
        open_source(with_points, crs=crs)
    assert "give it one with --crs" not in str(caught.value)


def test_coefficients_are_named(tmp_path: Path, values: np.ndarray) -> None:
    """A raster with RPCs is warped with -rpc."""
    line = [0.0, 0.0, -1.0, *[0.0] * 17]
    sample, one = [0.0, 1.0, *[0.0] * 18], [1.0, *[0.0] * 19]
    rpc = RPC(0, 100, 49.95, 0.05, one, line, 12, 12, 10.05, 0.05, one, sample, 12, 12, None, None)
    path = raw_raster(tmp_path / "rpc.tif", values, rpcs=rpc)
    with pytest.raises(SourceError, match=r"rpc\.tif: rational.*gdalwarp -rpc"):
        open_source(path, crs="EPSG:4326")


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
@pytest.mark.parametrize("override", [None, "EPSG:32633"])
def test_a_crs_without_a_transform_is_no_place(
    tmp_path: Path, values: np.ndarray, make_raster: MakeRaster, crs: str, override: str | None
) -> None:
    """GDAL answers with the identity where a file has no transform."""
    with_identity = make_raster(tmp_path / "identity.tif", values, crs=crs, transform=IDENTITY)
    without = raw_raster(tmp_path / "none.tif", values, crs=rasterio.crs.CRS.from_user_input(crs))
    for path in (with_identity, without):
        with pytest.raises(SourceError, match=rf"{path.name}: no georeference.*-a_ullr"):
            open_source(path, crs=override)


def test_pixels_of_one_degree_at_zero_are_a_place() -> None:
    """North-up 1° pixels from 0, 0 are a true grid in degrees, and nothing in a projection."""
    grid = make_grid("degrees", "EPSG:4326", NORTH_UP, (SIDE, SIDE), None)
    assert grid.bbox == (0.0, -24.0, 24.0, 0.0)
    for transform in (NORTH_UP, (1.0, 0.0, 0.0, 0.0, -1.0, float(SIDE))):
        with pytest.raises(SourceError, match="utm: no georeference"):
            make_grid("utm", "EPSG:32633", transform, (SIDE, SIDE), None)


def cube(values: np.ndarray, x: np.ndarray, y: np.ndarray, names: tuple[str, str]) -> xr.DataArray:
    dims = ("band", names[1], names[0])
    return xr.DataArray(values, dims=dims, coords={names[0]: x, names[1]: y}, name="embedding")


@pytest.mark.parametrize("first", [0.0, 0.5])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_pixel_numbers_are_no_coordinates(values: np.ndarray, first: float, crs: str) -> None:
    """What xarray and rioxarray count where a file has no transform is refused as well."""
    numbers = np.arange(SIDE) + first
    array = cube(values, numbers, numbers, ("x", "y")).rio.write_crs(crs)
    with pytest.raises(SourceError, match="no georeference"):
        geoembz.convert(array, "/nonexistent/out.zarr")


def test_latitudes_of_whole_degrees_are_coordinates(values: np.ndarray, tmp_path: Path) -> None:
    """Coordinates called lat and lon mean degrees, whatever their numbers."""
    numbers = np.arange(SIDE) + 0.5
    array = cube(values, numbers, numbers, ("lon", "lat"))
    geoembz.convert(array, tmp_path / "out.zarr", recipe="float32")
    assert geoembz.open(tmp_path / "out.zarr").attrs["spatial:bbox"] == [0.0, 0.0, 24.0, 24.0]


def test_control_points_of_an_xarray_object_are_named(with_points: Path) -> None:
    array = rioxarray.open_rasterio(with_points)
    assert isinstance(array, xr.DataArray)
    with array, pytest.raises(SourceError, match=r"ground control points.*gdalwarp"):
        geoembz.convert(array, "/nonexistent/out.zarr", crs="EPSG:4326")


def test_geolocation_arrays_are_named(values: np.ndarray) -> None:
    """Curvilinear coordinates, two of two dimensions, make no grid."""
    lon, lat = np.meshgrid(np.linspace(9, 10, SIDE), np.linspace(48, 47, SIDE))
    coordinates = {"lon": (("y", "x"), lon + 0.1 * lat), "lat": (("y", "x"), lat)}
    array = xr.DataArray(values, dims=("band", "y", "x"), coords=coordinates, name="embedding")
    with pytest.raises(SourceError, match=r"geolocation arrays.*gdalwarp -geoloc"):
        geoembz.convert(array, "/nonexistent/out.zarr", crs="EPSG:4326")


@pytest.mark.parametrize("names", [("x", "y"), ("lon", "lat")])
def test_a_zarr_group_is_placed_by_its_coordinates(tmp_path: Path, names: tuple[str, str]) -> None:
    """Numbers 0.5, 1.5, … are pixels where they are called x and y, and degrees as lon and lat."""
    path = tmp_path / "aef.zarr"
    products.write_aef_zarr(path, products.aef_codes(SIDE, SIDE)[np.newaxis])
    root = zarr.open_group(path, mode="a")
    for axis, name in zip("xy", names, strict=True):
        del root[axis]
        root.create_array(name, data=np.arange(SIDE) + 0.5)
    if names == ("x", "y"):
        with pytest.raises(SourceError, match="no georeference"):
            open_source(path, product="aef")
    else:
        assert open_source(path, product="aef").grid.bbox == (0.0, 0.0, 24.0, 24.0)


def test_label_rasters_without_a_place_are_refused(with_points: Path, tmp_path: Path) -> None:
    wkt = CRS.from_epsg(4326).to_wkt()
    grid = Grid(wkt, "EPSG:4326", (0.01, 0.0, 10.0, 0.0, -0.01, 50.0), (10, 10))
    with rasterio.open(with_points) as source:
        values = source.read([1]).astype(np.int16)
        path = raw_raster(tmp_path / "labels.tif", values, gcps=source.gcps)
    with pytest.raises(SourceError, match=r"labels\.tif: ground control points"):
        read_labels(path, grid)


@pytest.mark.parametrize("tiny", [1e-15, -1e-15, 1e-9])
def test_rounding_is_no_rotation(
    tmp_path: Path, values: np.ndarray, make_raster: MakeRaster, tiny: float
) -> None:
    """A rotation that moves no corner by a hundredth of a pixel is rounding, and left out."""
    turned = (10.0, tiny, 500_000.0, tiny, -10.0, 5_300_000.0)
    source = open_source(make_raster(tmp_path / "eps.tif", values, transform=turned))
    assert source.grid.transform == (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0)


@pytest.mark.parametrize("index", [1, 3])
def test_a_rotation_of_a_pixel_is_refused(
    tmp_path: Path, values: np.ndarray, make_raster: MakeRaster, index: int
) -> None:
    """Over the raster's extent it is seen, in either term."""
    turned = [10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0]
    turned[index] = 0.2 * 10.0 / SIDE
    transform: Transform = tuple(turned)  # type: ignore[assignment]
    path = make_raster(tmp_path / "in.tif", values, transform=transform)
    with pytest.raises(SourceError, match="rotated or sheared"):
        open_source(path)


ORIGIN = (10.0, 0.0, 300_000.0, 0.0, -10.0, 4_700_000.0)
BESIDE = (10.0, 0.0, 300_240.0, 0.0, -10.0, 4_700_000.0)


def test_two_datums_of_one_zone_are_two_grids(
    tmp_path: Path, values: np.ndarray, make_raster: MakeRaster
) -> None:
    """NAD27 beside WGS 84 would be 214 m off; each keeps its CRS, under a name of its own."""
    old = make_raster(tmp_path / "a.tif", values, crs="EPSG:26716", transform=ORIGIN)
    new = make_raster(tmp_path / "b.tif", values, crs="EPSG:32616", transform=BESIDE)
    for order in ([old, new], [new, old]):
        grids = open_sources(order, ReadOptions())
        assert {name: grid.grid.crs_code for name, grid in grids.items()} == {
            "utm16n": "EPSG:32616",
            "utm16n-epsg26716": "EPSG:26716",
        }
    tiles = [RasterSource(path) for path in (new, old)]
    with pytest.raises(SourceError, match=r"a\.tif: EPSG:26716.*its CRS is not that of.*b\.tif"):
        MosaicSource(tiles, resample=True)


def test_dates_find_their_grid_by_its_crs(
    tmp_path: Path, values: np.ndarray, make_raster: MakeRaster
) -> None:
    """A date of the NAD27 grid alone is appended there, not to the one called utm16n."""
    old = make_raster(tmp_path / "a.tif", values, crs="EPSG:26716", transform=ORIGIN)
    new = make_raster(tmp_path / "b.tif", values, crs="EPSG:32616", transform=BESIDE)
    store = tmp_path / "out.zarr"
    geoembz.convert([old, new], store, recipe="float32", time="2023")
    geoembz.append(store, old, time="2024")
    assert geoembz.open(store / "utm16n-epsg26716").sizes["time"] == 2
    assert geoembz.open(store / "utm16n").sizes["time"] == 1
    shifted = make_raster(tmp_path / "c.tif", values, crs="EPSG:26916", transform=ORIGIN)
    with pytest.raises(InvalidConfigError, match=r"inputs lie in utm16n \(NAD83"):
        geoembz.append(store, shifted, time="2025")


@pytest.fixture
def spellings(tmp_path: Path, values: np.ndarray, make_raster: MakeRaster) -> tuple[Path, Path]:
    """Write two tiles of one CRS, the second with a WKT that has neither our name nor a code."""
    wkt = CRS.from_epsg(32616).to_wkt("WKT1_GDAL").replace("WGS 84 / UTM zone 16N", "mine")
    wkt = wkt[: wkt.rindex(',AUTHORITY["EPSG","32616"]')] + "]"
    plain = make_raster(tmp_path / "X_0.tif", values[:1], crs="EPSG:32616", transform=ORIGIN)
    with rasterio.open(plain) as file:
        profile = file.profile | {"driver": "ENVI", "interleave": "bsq"}
    other = tmp_path / "X_1.img"
    with rasterio.open(other, "w", **{**profile, "crs": wkt}) as file:
        file.write(values[1:2])
        file.descriptions = ("X_1",)
    return plain, other


def test_spelling_makes_no_second_grid(spellings: tuple[Path, Path]) -> None:
    """Parts of one embedding and tiles of one mosaic may spell their CRS as they like."""
    parts = [RasterSource(path) for path in spellings]
    assert parts[0].grid.crs_wkt != parts[1].grid.crs_wkt
    for order in (parts, parts[::-1]):
        assert BandsSource(order).grid.crs_code == "EPSG:32616"
        mosaic = MosaicSource(order, overlap="first")
        assert (mosaic.grid.crs_code, mosaic.grid.crs_wkt) == ("EPSG:32616", parts[0].grid.crs_wkt)
    assert list(open_sources(list(spellings), ReadOptions())) == ["utm16n"]


def test_codes_that_mean_another_place_are_not_kept(
    tmp_path: Path, values: np.ndarray, make_raster: MakeRaster
) -> None:
    """GDAL guesses EPSG:26716 for any zone 16 on Clarke's ellipsoid; NAD27 is more than that."""
    crs = "+proj=utm +zone=16 +ellps=clrk66"
    path = make_raster(tmp_path / "in.tif", values, crs=crs, transform=ORIGIN)
    assert open_source(path).grid.crs_code is None
