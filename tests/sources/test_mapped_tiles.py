"""Tiles read from the mapped file are what GDAL reads."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.transform import from_origin
from rasterio.windows import Window as RasterWindow

from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources.mapped_tiles import MappedTiles
from geoembz.sources.raster import RasterSource
from geoembz.sources.tiff import read_complete, read_directory

HEIGHT, WIDTH, TILE = 70, 90, (16, 32)


@dataclass(frozen=True)
class Layout:
    """How a file is written, and whether its tiles can be mapped."""

    options: dict[str, Any]
    is_mapped: bool = True


LAYOUTS = {
    "pixel": Layout({"interleave": "pixel"}),
    "band": Layout({"interleave": "band"}),
    "pixel bigtiff": Layout({"interleave": "pixel", "bigtiff": "yes"}),
    "band bigtiff": Layout({"interleave": "band", "bigtiff": "yes"}),
    "cog-like": Layout({"interleave": "pixel", "copy_src_overviews": "yes"}),
    "big-endian": Layout({"interleave": "pixel", "endianness": "big"}, is_mapped=False),
    "deflate": Layout({"interleave": "band", "compress": "deflate"}, is_mapped=False),
    "zstd": Layout({"interleave": "pixel", "compress": "zstd"}, is_mapped=False),
    "strips": Layout({"interleave": "pixel", "tiled": False}, is_mapped=False),
}
DTYPES = ("int8", "uint8", "int16", "uint16", "float16", "float32", "float64")


def numbers(dtype: str, count: int, seed: int = 0) -> NDArray[Any]:
    """Return values of any type, shape ``(count, HEIGHT, WIDTH)``."""
    values = np.random.default_rng(seed).normal(scale=30, size=(count, HEIGHT, WIDTH))
    return np.abs(values).astype(dtype) if dtype.startswith("u") else values.astype(dtype)


def write(path: Path, values: NDArray[Any], **options: Any) -> Path:
    """Write a GeoTIFF of small tiles."""
    profile = {
        "driver": "GTiff",
        "dtype": values.dtype.name,
        "count": len(values),
        "height": values.shape[1],
        "width": values.shape[2],
        "crs": "EPSG:32633",
        "transform": from_origin(500_000, 5_300_000, 10, 10),
        "tiled": True,
        "blockysize": TILE[0],
        "blockxsize": TILE[1],
        **options,
    }
    if not profile["tiled"]:
        del profile["blockxsize"], profile["blockysize"]
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)
    return path


def mapped(path: Path) -> MappedTiles | None:
    """Return the mapped tiles of a file, if it has such."""
    with rasterio.open(path) as raster:
        return MappedTiles.of(raster, str(path), read_complete(path.name, str(path)))


def gdal(path: Path, window: Window) -> NDArray[Any]:
    """Return what GDAL reads."""
    with rasterio.open(path) as raster:
        region = RasterWindow(window.col, window.row, window.width, window.height)
        return np.asarray(raster.read(window=region))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Draw a window inside the raster."""
    row, col = draw(st.integers(0, HEIGHT - 1)), draw(st.integers(0, WIDTH - 1))
    return Window(row, col, draw(st.integers(1, HEIGHT - row)), draw(st.integers(1, WIDTH - col)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_only_plain_tiles_are_mapped(layout: str, dtype: str, tmp_path: Path) -> None:
    """Whatever GDAL would have to decompress, swap or cut out of strips is left to it."""
    path = write(tmp_path / "in.tif", numbers(dtype, 3), **LAYOUTS[layout].options)
    assert (mapped(path) is not None) == LAYOUTS[layout].is_mapped


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 5])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(window=windows(), dtype=st.sampled_from(DTYPES))
def test_a_window_is_what_gdal_reads(
    layout: str, count: int, window: Window, dtype: str, tmp_path: Path
) -> None:
    """Any window of any type, across tiles and at the raster's odd edges, is bit for bit GDAL's."""
    path = tmp_path / f"{dtype}.tif"
    if not path.exists():
        write(path, numbers(dtype, count), **LAYOUTS[layout].options)
    values = RasterSource(path).read(window).values
    assert values.shape == (count, *window.shape)
    np.testing.assert_array_equal(values, gdal(path, window))


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_absent_tiles_are_left_to_gdal(interleave: str, tmp_path: Path) -> None:
    """A sparse tile is nodata, or zero, as GDAL says; its neighbours are mapped."""
    path = tmp_path / "in.tif"
    values = numbers("float32", 4)
    values[:, : TILE[0], : TILE[1]] = 0
    write(path, values, interleave=interleave, sparse_ok=True)
    tiles = mapped(path)
    assert tiles is not None
    assert tiles.read(Window(0, 0, *TILE)) is None
    assert tiles.read(Window(0, 0, HEIGHT, WIDTH)) is None
    there = Window(TILE[0], TILE[1], *TILE)
    np.testing.assert_array_equal(tiles.read(there), gdal(path, there))
    np.testing.assert_array_equal(
        RasterSource(path).read(Window(0, 0, 40, 40)).values, gdal(path, Window(0, 0, 40, 40))
    )


def test_bands_at_uneven_places_are_copied_together(tmp_path: Path) -> None:
    """Writers may put the bands of a tile anywhere: written in another order, they are found."""
    path = tmp_path / "in.tif"
    values = numbers("float32", 4)
    write(path, values[:, :16, :32] * 0, interleave="band", sparse_ok=True)
    with rasterio.open(path, "r+") as raster:
        for band in (3, 1, 4, 2):
            raster.write(values[band - 1, :16, :32], band)
            raster.update_tags(**{f"padding_{band}": "x" * band * 100})
    tiles = mapped(path)
    assert tiles is not None
    assert (np.diff(tiles.offsets[:, 0, 0].astype(np.int64)) < 0).any()
    np.testing.assert_array_equal(tiles.read(Window(0, 0, 16, 32)), values[:, :16, :32])


def test_nodata_and_mask_hold_for_mapped_tiles(tmp_path: Path) -> None:
    """A declared nodata value and a mask file say the same beside mapped numbers."""
    values = numbers("float32", 3)
    values[1, 5, 7] = -9999
    path = write(tmp_path / "in.tif", values, interleave="pixel", nodata=-9999)
    source = RasterSource(path)
    assert source._tiles is not None
    valid = source.read(source.grid.window).valid
    assert valid is not None
    assert not valid[5, 7]
    assert valid.sum() == valid.size - 1
    masked = write(tmp_path / "masked.tif", numbers("float32", 3), interleave="pixel")
    mask = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    mask[:9, :4] = 0
    with rasterio.open(masked, "r+") as raster:
        raster.write_mask(mask)
    source = RasterSource(masked)
    valid = source.read(source.grid.window).valid
    np.testing.assert_array_equal(valid, mask > 0)


def test_a_file_that_shrinks_is_refused(tmp_path: Path) -> None:
    """What is cut off after opening is an error that names the file, not zeros and no crash."""
    path = write(tmp_path / "in.tif", numbers("float32", 8), interleave="pixel")
    source = RasterSource(path)
    assert source._tiles is not None
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 20_000)
    with pytest.raises(SourceError, match=r"in\.tif: rows 64 to 70.*truncated or damaged"):
        source.read(Window(64, 64, 6, 26))


@pytest.mark.parametrize("form", [{}, {"ENDIANNESS": "BIG"}, {"BIGTIFF": "YES"}, {"tiled": False}])
def test_every_form_of_tiff_that_ends_early_is_refused(
    form: dict[str, Any], tmp_path: Path
) -> None:
    """In either byte order, with long or short offsets, in tiles or strips."""
    path = write(tmp_path / "in.tif", numbers("float32", 3), **{"interleave": "pixel"} | form)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size - 300])
    expected = rf"in\.tif: truncated: its data end at byte {size:,}, the file at {size - 300:,}"
    with pytest.raises(SourceError, match=expected):
        RasterSource(path)


def test_a_directory_of_large_foreign_tags_is_not_read(tmp_path: Path) -> None:
    """Thousands of entries may each name all of a file: only the tags of blocks are looked at."""
    n_entries, size = 2000, 100_000
    entries = b"".join(struct.pack("<HHII", 5000 + i, 1, size, 0) for i in range(n_entries))
    path = tmp_path / "many.tif"
    path.write_bytes((b"II*\0" + struct.pack("<IH", 8, n_entries) + entries).ljust(size, b"\0"))
    with path.open("rb") as file:
        directory = read_directory(file, size)
    assert directory is not None
    assert (directory.tags, directory.end) == ({}, 10 + 12 * n_entries)


@pytest.mark.parametrize("kept_bytes", [0, 3, 8, 15, 40, 300])
def test_a_damaged_directory_is_not_mapped(kept_bytes: int, tmp_path: Path) -> None:
    """A header that ends early yields no tiles, and no exception of its own."""
    whole = write(tmp_path / "in.tif", numbers("uint8", 3), interleave="pixel")
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole.read_bytes()[:kept_bytes])
    with cut.open("rb") as file:
        directory = read_directory(file, kept_bytes)
    with rasterio.open(whole) as raster:
        assert MappedTiles.of(raster, str(cut), directory) is None
