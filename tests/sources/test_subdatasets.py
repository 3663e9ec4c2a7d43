"""Files of several rasters: refused with the names of all, and read by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import geoembz
from geoembz._geo.grid import Window
from geoembz._objects.identity import Subdataset
from geoembz.errors import SourceError
from geoembz.sources import open_source
from tests.conftest import DEFAULT_TRANSFORM, MakeRaster

import rioxarray  # noqa: F401 # isort: skip  # after xarray, whose accessors it adds


@pytest.fixture
def pages(make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path) -> NDArray[Any]:
    """Write five bands as five pages, as tifffile does; return them."""
    values = rng.normal(size=(5, 24, 20)).astype(np.float32)
    for page in range(5):
        options: dict[str, Any] = {"APPEND_SUBDATASET": "YES"} if page else {}
        make_raster(tmp_path / "pages.tif", values[page : page + 1], **options)
    return values


def write_netcdf(path: Path, stored: NDArray[np.int16]) -> Path:
    """Write a variable per band, each with fill, scale and offset of its own."""
    a, _, c, _, e, f = DEFAULT_TRANSFORM
    axes = {
        "y": ("y", f + e * (np.arange(stored.shape[1]) + 0.5)),
        "x": ("x", c + a * (np.arange(stored.shape[2]) + 0.5)),
    }
    variables: Any = {f"emb_{band}": (("y", "x"), layer) for band, layer in enumerate(stored)}
    dataset = xr.Dataset(variables, axes).rio.write_crs(32632).rio.write_coordinate_system()
    for band in range(len(stored)):
        attributes = {"scale_factor": 0.01 * (band + 1), "add_offset": 0.5, "_FillValue": -band - 1}
        dataset[f"emb_{band}"].attrs |= attributes
        dataset[f"emb_{band}"].attrs["_FillValue"] = np.int16(-band - 1)
    dataset.to_netcdf(path, engine="scipy")
    return path


def test_pages_are_refused_with_their_names(pages: NDArray[Any], tmp_path: Path) -> None:
    """One band of five pages is no embedding of one dimension."""
    with pytest.raises(SourceError, match=r"pages\.tif: 5 pages.*'GTIFF_DIR:5:.*pages\.tif'"):
        geoembz.convert(tmp_path / "pages.tif", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pages_are_read_by_name(pages: NDArray[Any], tmp_path: Path) -> None:
    """One page is a raster; all of them are the bands of one embedding, in their order."""
    names = [f"GTIFF_DIR:{page}:{tmp_path / 'pages.tif'}" for page in range(1, 6)]
    one = open_source(names[2])
    np.testing.assert_array_equal(one.read(Window(0, 0, 24, 20)).values, pages[2:3])
    summary = geoembz.convert(names, tmp_path / "out", quantizer="float32")
    assert summary.pixels == 24 * 20
    dataset = geoembz.open(tmp_path / "out")
    np.testing.assert_array_equal(dataset["embedding"].values, pages)
    uris = [source["uri"] for source in dataset.attrs["geoembz:sources"]]
    assert uris == [f"file:pages.tif#{page}" for page in range(1, 6)]


def test_a_list_names_pages_beside_it(
    pages: NDArray[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative files of subdatasets lie beside the list, as other files do."""
    (tmp_path / "list.txt").write_text("GTIFF_DIR:1:pages.tif\nGTIFF_DIR:2:pages.tif\n")
    monkeypatch.chdir("/")
    assert open_source(tmp_path / "list.txt").dimension == 2


def test_variables_are_read_by_name(rng: np.random.Generator, tmp_path: Path) -> None:
    """Each variable's own fill, scale and offset hold, alone and joined."""
    stored = rng.integers(10, 900, (4, 24, 20)).astype(np.int16)
    for band in range(4):
        stored[band, 3:6] = -band - 1
    path = write_netcdf(tmp_path / "cube.nc", stored)
    scales = 0.01 * np.arange(1, 5).reshape(4, 1, 1)
    expected = (stored * scales + 0.5).astype(np.float32)
    window = Window(0, 0, 24, 20)
    names = [f'NETCDF:"{path}":emb_{band}' for band in range(4)]
    for read, numbers in (
        (open_source(names[1]).read(window), expected[1:2]),
        (open_source(names).read(window), expected),
    ):
        assert read.valid is not None
        np.testing.assert_array_equal(read.valid, (stored > 0).all(axis=0))
        np.testing.assert_array_equal(read.values[:, read.valid], numbers[:, read.valid])


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    """What is looked for is the file, not GDAL's name."""
    with pytest.raises(SourceError, match=r"none\.nc: no such file"):
        open_source(f'NETCDF:"{tmp_path / "none.nc"}":emb_0')
    named = tmp_path / "netcdf:1.tif"
    assert Subdataset.of(str(named)) is None


def test_credentials_stay_out_of_messages() -> None:
    """A URL inside GDAL's name is shown as others are."""
    from geoembz._objects.identity import display_name

    name = 'ZARR:"/vsicurl/https://user:secret@example.org/a.zarr?key=1":/emb'
    assert "secret" not in display_name(name)
    assert "key" not in display_name(name)


def test_variables_without_standard_names_are_placed(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    """GDAL does not place them; a cube is read by name, a name that is not there is refused."""
    stored = rng.integers(10, 900, (4, 24, 20)).astype(np.int16)
    with xr.open_dataset(
        write_netcdf(tmp_path / "a.nc", stored), mask_and_scale=False, decode_coords="all"
    ) as opened:
        plain = opened.load()
    cube = plain.to_array("band").drop_attrs(deep=False).rename("cube").drop_vars("band")
    bare = xr.Dataset({"cube": cube, "other": cube * 2})
    for axis in "xy":
        bare[axis].attrs.clear()
    bare.to_netcdf(tmp_path / "bare.nc", engine="scipy")
    read = open_source(f'NETCDF:"{tmp_path / "bare.nc"}":other').read(Window(0, 0, 24, 20))
    np.testing.assert_array_equal(read.values, stored * 2)
    with pytest.raises(SourceError, match="no such variable; expected one of cube, other"):
        open_source(f"netcdf:{tmp_path / 'bare.nc'}:none")
