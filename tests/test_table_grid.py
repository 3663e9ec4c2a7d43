"""Tables of chips on a regular grid become rasters with one pixel per chip."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import Transformer
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._geo.grid import Window
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.tables import ChipRaster, open_table
from geoembz.sources.tables.chip_raster import TOLERANCE, find_lattice
from geoembz.store import StoreReader
from tests import tables

SIDE = 320.0
SHAPE = (9, 12)
ORIGIN = (400_000.0, 5_300_000.0)


def chips(
    path: Path, rng: np.random.Generator, *, keep: float = 1.0, degrees: bool = True
) -> np.ndarray:
    """Write 320 m chips of UTM zone 33, shuffled, as polygons in degrees; return the raster.

    As Earth Index does: its cells are regular in UTM, its geometries are EPSG:4326.
    """
    height, width = SHAPE
    rows, cols = (index.reshape(-1) for index in np.mgrid[0:height, 0:width])
    x, y = ORIGIN[0] + SIDE * (cols + 0.5), ORIGIN[1] - SIDE * (rows + 0.5)
    vectors = tables.low_rank(rng, height * width, 16)
    order = rng.permutation(height * width)[: int(keep * height * width)]
    half = SIDE / 2
    corners = [(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)]
    move = Transformer.from_crs(32633, 4326, always_xy=True).transform
    shapes = []
    for row in order:
        ring = [[x[row] + dx, y[row] + dy] for dx, dy in corners]
        ring = [list(np.round(move(*corner), 7)) for corner in ring] if degrees else ring
        shapes.append(shapely.to_wkb(shapely.Polygon(ring)))
    columns = {
        "id": [f"c{row}" for row in order],
        "embedding": tables.vector_column(vectors[order], "fixed"),
        "geometry": shapes,
    }
    crs = tables.CRS84_JSON if degrees else {"id": {"authority": "EPSG", "code": 32633}}
    tables.write_geoparquet(path, columns, crs=crs, row_group_size=25)
    raster = np.full((16, height * width), np.nan, np.float32)
    raster[:, order] = vectors[order].T
    return raster.reshape(16, height, width)


def decoded(store: Path) -> np.ndarray:
    reader = StoreReader.open(str(store))
    return reader.read(reader.attributes.grid.window, "original")


def test_codes_of_alphaearth_become_pixels(tmp_path: Path, rng: np.random.Generator) -> None:
    """Columns of integers are decoded before they are laid on the grid."""
    vectors = rng.normal(size=(36, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5).astype(np.int8)
    rows, cols = (index.reshape(-1) for index in np.mgrid[0:6, 0:6])
    places = {"x": 500_005.0 + 10 * cols, "y": 5_300_005.0 - 10 * rows}
    columns = {f"A{band:02d}": codes[:, band] for band in range(64)}
    pq.write_table(pa.table({**columns, **places}), tmp_path / "t.parquet")
    table, store = tmp_path / "t.parquet", tmp_path / "out.zarr"
    geoembz.convert(table, store, crs="EPSG:32633", grid=True, recipe="aef")
    stored = geoembz.open(store, space="codes")["embedding"].values
    np.testing.assert_array_equal(stored.reshape(64, 36).T, codes)


@pytest.mark.parametrize("keep", [1.0, 0.7])
def test_chips_become_pixels_in_their_utm_zone(
    tmp_path: Path, rng: np.random.Generator, keep: float
) -> None:
    """Every vector lands on its pixel whatever the order of the rows; gaps are nodata."""
    raster = chips(tmp_path / "chips.parquet", rng, keep=keep)
    store = tmp_path / "out.zarr"
    arguments = ["convert", str(tmp_path / "chips.parquet"), str(store), "--float32", "--grid"]
    result = CliRunner().invoke(app, [*arguments, "--quiet"])
    assert result.exit_code == 0, result.output
    known = np.isfinite(raster[0])
    rows, cols = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    raster = raster[:, rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    np.testing.assert_array_equal(decoded(store), raster)
    attributes = StoreReader.open(str(store)).attributes
    assert attributes.grid.crs_code == "EPSG:32633"
    a, _, c, _, e, f = attributes.grid.transform
    np.testing.assert_allclose(
        [a, e, c - SIDE * cols[0], f + SIDE * rows[0]], [SIDE, -SIDE, *ORIGIN], atol=1.0
    )
    assert any("columns id are left out" in note for note in attributes.notes)


def test_the_declared_crs_is_kept_where_it_is_regular(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """MOSAIKS-like points every 0.01 degrees stay in degrees; a grid CRS can be named."""
    lon, lat = (
        axis.reshape(-1) for axis in np.meshgrid(8 + np.arange(7) / 100, 47 + np.arange(5) / 100)
    )
    vectors = tables.low_rank(rng, 35, 8)
    table = pa.table({"embedding": tables.vector_column(vectors), "lon": lon, "lat": lat})
    pq.write_table(table, tmp_path / "a.parquet")
    source = ChipRaster(open_table(tmp_path / "a.parquet"))
    assert (source.grid.crs_code, source.grid.shape) == ("EPSG:4326", (5, 7))
    values = source.read(source.grid.window).values
    np.testing.assert_array_equal(values, vectors.T.reshape(8, 5, 7)[:, ::-1])
    np.testing.assert_allclose(source.grid.transform, (0.01, 0, 7.995, 0, -0.01, 47.045), atol=1e-9)
    with pytest.raises(SourceError, match="off a regular grid"):
        ChipRaster(open_table(tmp_path / "a.parquet"), grid_crs="EPSG:32632")
    with pytest.raises(InvalidConfigError, match="expected a CRS such as"):
        ChipRaster(open_table(tmp_path / "a.parquet"), grid_crs="nowhere")


def test_windows_are_parts_of_the_whole(tmp_path: Path, rng: np.random.Generator) -> None:
    """Any window, also of a copy in another process, is a part; what is empty is known to be."""
    raster = chips(tmp_path / "a.parquet", rng, degrees=False)
    source = ChipRaster(open_table(tmp_path / "a.parquet", crs="EPSG:32633"))
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    for window in (Window(0, 0, 1, 1), Window(3, 5, 6, 7), Window(8, 11, 1, 1)):
        np.testing.assert_array_equal(copy.read(window).values, raster[:, *window.slices])
        assert source.occupies(window)
    assert not source.occupies(Window(9, 0, 3, 3))


@pytest.mark.parametrize("overlap", ["first", "last", "mean"])
def test_two_rows_of_a_pixel(tmp_path: Path, rng: np.random.Generator, overlap: Any) -> None:
    """They are refused, unless something says which holds; missing vectors never hold."""
    vectors = np.array([[1, 2], [3, 4], [np.nan, 0], [5, 7], [9, 9]], np.float32)
    places = np.array([[0.5, 0.5], [1.5, 0.5], [1.5, 0.5], [1.5, 0.5], [2.5, 0.5]])
    columns = {"embedding": tables.vector_column(vectors), "lon": places[:, 0], "lat": places[:, 1]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"2 rows lie in a pixel .* row 2; .*overlap="):
        ChipRaster(table)
    held = {"first": [3, 4], "last": [5, 7], "mean": [4, 5.5]}[overlap]
    values = ChipRaster(table, overlap=overlap).read(Window(0, 0, 1, 3)).values
    np.testing.assert_array_equal(values[:, 0], np.array([[1, 2], held, [9, 9]]).T)


def test_a_year_of_chips_is_appended(tmp_path: Path) -> None:
    for year in ("2024", "2025"):
        chips(tmp_path / f"{year}.parquet", np.random.default_rng(1))
    store = tmp_path / "out.zarr"
    geoembz.convert(tmp_path / "2024.parquet", store, quantizer="int8", grid=True, time="2024")
    arguments = ["append", str(store), str(tmp_path / "2025.parquet"), "--time", "2025", "--grid"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert StoreReader.open(str(store)).dates == ("2024-01-01", "2025-01-01")


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (np.random.default_rng(0).uniform(0, 1, (50, 2)), "off a regular grid|scattered points"),
        (np.array([[1.0, 2.0], [1.0, 2.0]]), "all rows lie in one place"),
        (np.full((3, 2), np.nan), "no row has a place"),
        (np.array([[0, 0], [1, 0], [0, 1], [50_000, 50_000.0]]), "scattered points"),
    ],
)
def test_irregular_places_are_refused(places: np.ndarray, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        find_lattice("chips", places, (0.0, 0.0))


def test_rounded_places_are_regular(rng: np.random.Generator) -> None:
    """Errors below the tolerance do not matter, however long the grid."""
    index = rng.permutation(4000)[:3000]
    off = rng.uniform(-0.4, 0.4, (3000, 2)) * TOLERANCE
    places = 10.0 * (np.column_stack([index, index % 3]) + off) + 1e5
    lattice = find_lattice("chips", places, (10.0, 10.0))
    assert lattice.shape == (3, int(index.max() - index.min()) + 1)
    np.testing.assert_array_equal(lattice.cells % lattice.shape[1], index - index.min())


def test_grid_is_for_tables(tmp_path: Path, rng: np.random.Generator) -> None:
    chips(tmp_path / "a.parquet", rng)
    with pytest.raises(InvalidConfigError, match="the input is no table"):
        geoembz.convert(tmp_path / "a.tif", tmp_path / "out.zarr", grid=True)
    with pytest.raises(InvalidConfigError, match="nodata: for rasters only"):
        geoembz.convert(tmp_path / "a.parquet", tmp_path / "out.zarr", grid=True, nodata=0)
    assert not (tmp_path / "out.zarr").exists()
