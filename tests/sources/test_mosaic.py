"""Tiles side by side: any order, rules for overlaps, gaps, alignment, bad files, many files."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.shutil import copy

from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources import ReadOptions, Source, gdal, open_source, open_sources
from geoembz.sources.base import traits_of
from geoembz.sources.gdal import MOST_OPEN, held_bytes, n_open
from geoembz.sources.mosaic import MosaicSource
from geoembz.sources.raster import RasterSource
from tests import products
from tests.conftest import MakeRaster


def place(row: int, col: int) -> products.Coefficients:
    a, b, c, d, e, f = products.UTM_TRANSFORM
    return (a, b, c + col * a, d, e, f + row * e)


def cut(folder: Path, values: np.ndarray, rows: list[int], cols: list[int]) -> list[Path]:
    """Write a raster as tiles between the given edges."""
    paths = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(cols):
            path = folder / f"tile_{top}_{left}.tif"
            part = values[:, top:bottom, left:right]
            paths.append(products.write_raster(path, part, transform=place(top, left)))
    return paths


def read_all(source: Source) -> np.ndarray:
    data = source.read(source.grid.window).decode()
    values = data.values.copy()
    if data.valid is not None:
        values[:, ~data.valid] = np.nan
    return values


@pytest.fixture
def values(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, 30, 41)).astype(np.float32)


def test_order_of_tiles_does_not_matter(tmp_path: Path, values: np.ndarray) -> None:
    paths = cut(tmp_path, values, [0, 7, 19, 30], [0, 20, 41])
    sources = [open_source(order) for order in (paths, paths[::-1], paths[3:] + paths[:3])]
    for source in sources:
        np.testing.assert_array_equal(read_all(source), values)
        assert source.info == sources[0].info
        assert source.grid == sources[0].grid


@settings(max_examples=30, deadline=None)
@given(
    row=st.integers(0, 29),
    col=st.integers(0, 40),
    height=st.integers(1, 30),
    width=st.integers(1, 41),
)
def test_every_window_is_its_part(
    row: int, col: int, height: int, width: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = np.arange(2 * 30 * 41, dtype=np.float32).reshape(2, 30, 41)
    folder = tmp_path_factory.getbasetemp() / "windows"
    if not folder.exists():
        cut(folder, values, [0, 7, 19, 30], [0, 20, 41])
    source = open_source(folder)
    window = Window(row, col, min(height, 30 - row), min(width, 41 - col))
    data = source.read(window)
    np.testing.assert_array_equal(data.values, values[:, *window.slices])


def test_gaps_are_nodata_and_known_without_reading(tmp_path: Path, values: np.ndarray) -> None:
    paths = cut(tmp_path, values, [0, 10, 20, 30], [0, 41])
    source = open_source([paths[0], paths[2]])
    data = source.read(source.grid.window)
    assert data.valid is not None
    np.testing.assert_array_equal(data.valid[:, 0], [True] * 10 + [False] * 10 + [True] * 10)
    assert isinstance(source, MosaicSource)
    assert not source.occupies(Window(10, 0, 10, 41))
    assert source.occupies(Window(9, 0, 2, 1))


@pytest.mark.parametrize("overlap", ["first", "last", "mean", None])
def test_overlaps_follow_the_rule(tmp_path: Path, overlap: str | None) -> None:
    """The rule looks at valid pixels only: a hole in one tile shows the other."""
    one, two = np.full((2, 6, 6), 1, np.float32), np.full((2, 6, 6), 3, np.float32)
    one[:, 5, 5] = np.nan
    paths = [
        products.write_raster(tmp_path / "b.tif", one, transform=place(0, 0)),
        products.write_raster(tmp_path / "a.tif", two, transform=place(3, 3)),
    ]
    options = ReadOptions(overlap=overlap)  # type: ignore[arg-type]
    (source,) = open_sources(paths, options).values()
    values = read_all(source)
    expected = {"first": 1, None: 1, "last": 3, "mean": 2}[overlap]
    assert (values[0, 3:5, 3:5] == expected).all()
    assert values[0, 5, 5] == 3
    assert np.isnan(values[0, 0, 8])


def test_misaligned_tiles_are_refused_with_both_grids(tmp_path: Path, values: np.ndarray) -> None:
    first = products.write_raster(tmp_path / "a.tif", values)
    half = products.write_raster(tmp_path / "b.tif", values, transform=(*place(30, 0)[:5], 5.0))
    with pytest.raises(SourceError) as caught:
        open_source([first, half])
    for text in ("500000", "5300000", "(500000, 5)", 'resample="nearest"'):
        assert text in str(caught.value)


def test_resampling_takes_the_nearest_decoded_value(tmp_path: Path) -> None:
    """A tile of half the pixel size gives the value that each centre lies in."""
    codes = products.aef_codes(4, 4)
    fine = np.repeat(np.repeat(codes, 2, axis=1), 2, axis=2)
    a, b, _, d, e, f = products.UTM_TRANSFORM
    other = (a / 2, b, 500_040.0 + 1, d, e / 2, f + 1)
    paths = [
        products.write_aef(tmp_path / "a.tif", codes),
        products.write_aef(tmp_path / "b.tif", fine, transform=other),
    ]
    (source,) = open_sources(paths, ReadOptions(resample="nearest")).values()
    np.testing.assert_array_equal(
        read_all(source)[:, :4, 4:8], products.power_values(codes), strict=False
    )
    assert "nearest neighbour" in " ".join(traits_of(source).notes)


def test_codes_are_decoded_before_the_mean(tmp_path: Path) -> None:
    """The mean of AlphaEarth tiles is one of vectors, not of codes."""
    one, two = products.aef_codes(4, 4, seed=1), products.aef_codes(4, 4, seed=2)
    paths = [products.write_aef(tmp_path / f"{i}.tif", c) for i, c in enumerate((one, two))]
    (source,) = open_sources(paths, ReadOptions(overlap="mean")).values()
    expected = (products.power_values(one) + products.power_values(two)) / 2
    np.testing.assert_allclose(read_all(source), expected, rtol=1e-6)


def test_duplicates_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    one = products.write_raster(tmp_path / "a.tif", values)
    copy = products.write_raster(tmp_path / "copy.tif", values)
    with pytest.raises(SourceError, match=r"a\.tif and .*copy\.tif: duplicates"):
        open_source([one, copy], product="raster")
    with pytest.raises(SourceError, match="named twice"):
        open_source([one, one])


def test_mixed_tiles_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    one = products.write_raster(tmp_path / "a.tif", values)
    two = products.write_raster(tmp_path / "b.tif", values[:2], transform=place(30, 0))
    with pytest.raises(SourceError, match=r"components 2, but .* components 3"):
        open_source([one, two])
    aef = products.write_aef(tmp_path / "c.tif", products.aef_codes(4, 4), transform=place(40, 0))
    olmo = products.write_olmoearth(tmp_path / "olmoearth.tif", products.aef_codes(4, 4))
    with pytest.raises(SourceError, match=r"product 'olmoearth', but .* product 'aef'"):
        open_source([aef, olmo])


def test_bad_files_are_named_one_by_one_or_skipped(tmp_path: Path, values: np.ndarray) -> None:
    paths = cut(tmp_path, values, [0, 10, 20, 30], [0, 20, 41])
    paths[1].write_bytes(b"")
    paths[4].write_bytes(paths[4].read_bytes()[:-500])
    with pytest.raises(SourceError) as caught:
        open_source(paths)
    assert "2 of 6" in str(caught.value)
    assert all(str(paths[bad]) in str(caught.value) for bad in (1, 4))
    (source,) = open_sources(paths, ReadOptions(skip_bad=True)).values()
    skipped = dict(traits_of(source).skipped)
    assert set(skipped) == {f"file:{paths[1].name}", f"file:{paths[4].name}"}
    assert all(skipped.values())
    assert str(tmp_path) not in str(skipped)
    assert np.isnan(read_all(source)[0, 20:, :20]).all()


def test_many_tiles_keep_few_files_open(tmp_path: Path) -> None:
    values = np.arange(2 * 10 * 80, dtype=np.float32).reshape(2, 10, 80)
    cut(tmp_path, values, [0, 10], list(range(81)))
    source = open_source(tmp_path, product="raster")
    np.testing.assert_array_equal(read_all(source), values)
    assert n_open() <= MOST_OPEN


def test_tiles_of_large_blocks_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL keeps the last block of every open file: as many stay open as may hold theirs."""
    layout = {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16}
    for n in range(9):
        codes, at = products.aef_codes(32, 32, seed=n), place(0, 32 * n)
        plain = products.write_aef(tmp_path / "plain" / f"{n}.tif", codes, transform=at)
        copy(plain, tmp_path / f"{n}.tif", driver="GTiff", interleave="pixel", **layout)
    block = 16 * 16 * 64
    with rasterio.open(tmp_path / "0.tif") as raster:
        assert held_bytes(raster) == block
    expected = read_all(open_source(tmp_path / "plain"))
    for most, n_kept in ((4 * block, 4), (1, 1)):
        monkeypatch.setattr(gdal, "MOST_HELD", most)
        source = open_source(sorted(tmp_path.glob("*.tif")))
        np.testing.assert_array_equal(read_all(source), expected)
        assert n_open() == n_kept


def test_truncated_rasters_are_refused_when_they_are_opened(
    tmp_path: Path, values: np.ndarray, make_raster: MakeRaster
) -> None:
    path = make_raster(tmp_path / "t.tif", values, blocksize=16)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(SourceError, match=r"truncated: its data end at byte"):
        RasterSource(path)
