"""Sources: what a raster says about itself, and pixels that come as the file holds them."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoembz._geo.grid import Window, split
from geoembz._objects.identity import display_name, public_uri
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import SourceData, open_source
from tests.conftest import MakeRaster

SHAPE = (5, 37, 41)
PROFILES: dict[str, dict[str, Any]] = {
    "tiles": {"blocksize": 16},
    "strips": {"blockysize": 3},
    "one strip": {"blockysize": 37},
    "deflate tiles": {"blocksize": 16, "compress": "deflate"},
    "band tiles": {"blocksize": 32, "interleave": "band"},
    "deflate band strips": {"interleave": "band", "compress": "deflate", "blockysize": 5},
}


@pytest.fixture(scope="module")
def values() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def rasters(
    values: NDArray[np.float32], make_raster: MakeRaster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Write the same values in every profile."""
    folder = tmp_path_factory.mktemp("rasters")
    return {
        name: make_raster(folder / f"{name}.tif", values, **profile)
        for name, profile in PROFILES.items()
    }


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_windows_are_the_array_s(
    profile: str, rasters: dict[str, Path], values: NDArray[np.float32], data: st.DataObject
) -> None:
    """Any window of any layout holds exactly the numbers that were written there."""
    row, col = data.draw(st.integers(0, 36)), data.draw(st.integers(0, 40))
    height, width = data.draw(st.integers(1, 37 - row)), data.draw(st.integers(1, 41 - col))
    window = Window(row, col, height, width)
    read = open_source(rasters[profile]).read(window)
    np.testing.assert_array_equal(read.values, values[:, *window.slices])
    assert read.valid is None


@pytest.mark.parametrize("profile", PROFILES)
def test_it_says_what_it_is(profile: str, rasters: dict[str, Path]) -> None:
    """Grid, dimension and type are the file's; only its name is kept as a URI."""
    source = open_source(rasters[profile])
    assert source.grid.shape == SHAPE[1:]
    assert source.grid.crs_code == "EPSG:32632"
    assert source.dimension == SHAPE[0]
    assert source.dtype == np.float32
    (info,) = source.info
    assert info.uri == f"file:{profile.replace(' ', '%20')}.tif"
    assert info.size_bytes == rasters[profile].stat().st_size


def test_threads_and_processes_open_their_own(
    rasters: dict[str, Path], values: NDArray[np.float32]
) -> None:
    """Concurrent reads of one source, pickled or not, give what a single one gives."""
    source = open_source(rasters["deflate tiles"])
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    blocks = list(split(source.grid.window, (8, 8))) * 3

    def same(window: Window) -> bool:
        expected = values[:, *window.slices]
        both = (source.read(window).values, copy.read(window).values)
        return all(np.array_equal(read, expected) for read in both)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, blocks))


@pytest.mark.parametrize(
    "transform",
    [
        (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0),
        (10.0, 0.0, 500_000.0, 0.0, 10.0, 5_200_000.0),
        (-0.1, 0.0, 20.0, 0.0, 0.25, 40.0),
    ],
    ids=["north up", "south up", "east left"],
)
def test_rasters_come_out_north_up(
    transform: tuple[float, float, float, float, float, float],
    values: NDArray[np.float32],
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    """Rasters stored bottom-up (AEF) or mirrored are turned, and every pixel keeps its place."""
    path = make_raster(tmp_path / "in.tif", values, transform=transform)
    source = open_source(path)
    assert source.grid.transform[0] > 0 > source.grid.transform[4]
    with rasterio.open(path) as dataset:
        for row, col in ((0, 0), (2, 5), (7, 1)):
            y, x = dataset.index(source.grid.x[col], source.grid.y[row])
            read = source.read(Window(row, col, 1, 1)).values[:, 0, 0]
            np.testing.assert_array_equal(read, values[:, y, x])
        np.testing.assert_allclose(source.grid.bbox[::2], sorted(dataset.bounds[::2]))
        np.testing.assert_allclose(source.grid.bbox[1::2], sorted(dataset.bounds[1::2]))


def test_declared_scale_and_offset_are_applied_after_nodata(
    make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Nodata is a stored number; values are ``stored * scale + offset``, band by band."""
    stored = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    stored[:, 1, 2] = 7
    path = make_raster(tmp_path / "in.tif", stored, nodata=7)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.5, 2.0, 1.0), (0.0, 10.0, -1.0)
    read = open_source(path).read(Window(0, 0, 4, 5))
    scale = np.array([0.5, 2, 1]).reshape(3, 1, 1)
    offset = np.array([0, 10, -1]).reshape(3, 1, 1)
    np.testing.assert_array_equal(read.values, stored * scale + offset)
    assert read.valid is not None
    np.testing.assert_array_equal(read.valid, ~(stored == 7).all(axis=0))


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_truncated_file_is_an_error(
    profile: str, part: float, values: NDArray[np.float32], rasters: dict[str, Path], tmp_path: Path
) -> None:
    """However it is laid out and wherever it ends, no pixel of it becomes a wrong number."""
    content = rasters[profile].read_bytes()
    path = tmp_path / "cut.tif"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(SourceError, match=r"cut\.tif.*(truncated|not a raster)"):
        open_source(path).read(Window(0, 0, *SHAPE[1:]))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"crs": None}, "no coordinate reference system"),
        ({"transform": (10.0, 1.0, 0.0, 1.0, -10.0, 0.0)}, "rotated"),
    ],
)
def test_rasters_without_a_usable_grid_are_refused(
    options: dict[str, Any],
    fault: str,
    values: NDArray[np.float32],
    make_raster: MakeRaster,
    tmp_path: Path,
) -> None:
    path = make_raster(tmp_path / "in.tif", values, **options)
    with pytest.raises(SourceError, match=rf"in\.tif: {fault}"):
        open_source(path)


def test_a_crs_can_be_given(
    values: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path
) -> None:
    path = make_raster(tmp_path / "in.tif", values, crs=None)
    assert open_source(path, crs="EPSG:32633").grid.crs_code == "EPSG:32633"
    with pytest.raises(InvalidConfigError, match="expected a CRS"):
        open_source(path, crs="EPSG:999999")


@pytest.mark.parametrize("nodata", ["water", "", "1;5", "0,water"])
def test_nodata_that_is_no_number_is_refused(nodata: str, rasters: dict[str, Path]) -> None:
    with pytest.raises(InvalidConfigError, match="expected a number"):
        open_source(rasters["tiles"], nodata=nodata)


def test_secrets_stay_out_of_uris_and_messages() -> None:
    """User, password, signature and query never reach metadata or messages."""
    url = "https://user:secret@example.org:8443/a/b.tif?X-Amz-Signature=abc#frag"
    assert public_uri(url) == "https://example.org:8443/a/b.tif"
    for path in (url, f"/vsicurl/{url}"):
        shown = display_name(path)
        assert "secret" not in shown
        assert "Signature" not in shown


@pytest.mark.parametrize("by_pixel", [False, True])
@pytest.mark.parametrize("coded", [False, True])
def test_planes_are_pixels_in_another_order(
    rng: np.random.Generator, *, by_pixel: bool, coded: bool
) -> None:
    """The same numbers, whatever lies side by side in memory."""
    codes = rng.integers(-128, 128, size=(5, 6, 7), dtype=np.int8)
    if by_pixel:
        codes = np.moveaxis(np.ascontiguousarray(np.moveaxis(codes, 0, -1)), -1, 0)
    table = rng.normal(size=256).astype(np.float32) if coded else None
    data = SourceData(codes, None, table=table)
    index = np.array([0, 3, 4, 41])
    assert np.array_equal(data.planes(index), data.pixels(index))
