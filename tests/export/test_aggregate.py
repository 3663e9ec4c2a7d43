"""Cells of pixels are pooled as NumPy pools decoded arrays, to the edges of the raster."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from numpy.typing import NDArray
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._export import aggregate as module
from geoembz.errors import InvalidConfigError
from geoembz.sources.pooling import POOLS
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.export.conftest import HEIGHT, WIDTH, MakeStore, everything
from tests.export.test_files import read
from tests.export.test_pooling import pooled


def cells(vectors: NDArray[np.float32], side: int, pool: str) -> NDArray[np.float64]:
    """Return pooled cells, and their counts as a last band, by NumPy alone."""
    shape = -(-vectors.shape[1] // side), -(-vectors.shape[2] // side)
    length = len(vectors) * len(pool.split("+"))
    result = np.full((length + 1, *shape), np.nan)
    for row, col in np.ndindex(shape):
        part = vectors[:, row * side : (row + 1) * side, col * side : (col + 1) * side]
        part = part[:, ~np.isnan(part[0])]
        result[-1, row, col] = part.shape[1]
        if part.shape[1]:
            result[:-1, row, col] = pooled(part, pool)
    return result


@pytest.mark.parametrize("side", [4, 7, 32, 100])
@pytest.mark.parametrize("northwards", [False, True])
def test_cells_are_pooled_pixels(
    make_store: MakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    side: int,
    northwards: bool,
) -> None:
    """Partial cells at the edges and round nodata, in tiles and blocks of few pixels, north up."""
    monkeypatch.setattr(module, "_TILE_BYTES", 1)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 16 * 16 * 12 * 4)
    store = make_store(northwards=northwards)
    vectors = everything(store)[:, :: -1 if northwards else 1]
    summary = geoembz.export(store, tmp_path / "a.tif", aggregate=side)
    assert summary.to_json()["bands"] == 13
    np.testing.assert_allclose(read(tmp_path / "a.tif"), cells(vectors, side, "mean"), atol=1e-4)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.transform[:6] == (10 * side, 0, 500_000, 0, -10 * side, 5_300_000)
        assert raster.descriptions[0] == "mean of dimension 0"
        assert raster.descriptions[-1] == "n_pixels"
        assert np.isnan(raster.nodata)


@pytest.mark.parametrize(
    "options", [{"quantizer": "int4"}, {"quantizer": "binary"}, {"quantizer": "float32"}], ids=str
)
def test_every_kind_of_pooling(
    make_store: MakeStore, tmp_path: Path, options: dict[str, Any]
) -> None:
    """Several at once are bands behind each other, in reduced space as in original."""
    store = make_store(**options)
    space: Any
    for space in ("original", "reduced"):
        out = tmp_path / f"{space}.tif"
        geoembz.export(store, out, aggregate=16, pool=POOLS, space=space)
        found, vectors = read(out), everything(store, space)
        first = 0
        for pool in POOLS:
            expected = cells(vectors, 16, pool)[:-1]
            part = found[first : first + len(expected)]
            np.testing.assert_allclose(part, expected, atol=1e-4)
            first += len(expected)
        assert first == len(found) - 1


def test_cells_of_a_box_as_a_table(store: StoreReader, tmp_path: Path) -> None:
    """Counted from the box's north-west corner; cells without data have no row."""
    box, out = (500_000.0, 5_299_500.0, 500_200.0, 5_300_000.0), tmp_path / "cells.parquet"
    words = ["export", store.url, str(out), "--aggregate", "5", "--pool", "mean", "--pool", "max"]
    words += ["--bbox", ",".join(map(str, box))]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    vectors = everything(store)[:, :50, :20]
    expected, table = cells(vectors, 5, "mean"), pq.read_table(out)
    rows, cols = table["row"].to_numpy(), table["col"].to_numpy()
    assert {*zip(rows, cols, strict=True)} == {*zip(*np.nonzero(expected[-1]), strict=True)}
    assert (expected[-1] == 0).any()
    np.testing.assert_array_equal(table["n_pixels"].to_numpy(), expected[-1, rows, cols])
    found = np.array(table["embedding"].to_pylist())
    np.testing.assert_allclose(found, expected[:-1, rows, cols].T, atol=1e-4)
    largest = cells(vectors, 5, "max")[:-1, rows, cols].T
    np.testing.assert_allclose(np.array(table["embedding_max"].to_pylist()), largest, atol=1e-4)
    geopandas = pytest.importorskip("geopandas")
    frame = geopandas.read_parquet(out)
    assert frame.crs.to_epsg() == 32632
    np.testing.assert_allclose(frame.geometry.x, 500_000 + 50 * (cols + 0.5))
    np.testing.assert_allclose(frame.geometry.y, 5_300_000 - 50 * (rows + 0.5))


def test_a_square_of_whole_chunks_is_read_once(
    store: StoreReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that divide chunks, or are made of them, cost each chunk one reading."""
    seen: list[tuple[int, int]] = []
    plain = StoreReader.read_codes

    def counted(self: StoreReader, window: Any, *rest: Any) -> Any:
        rows = range(window.row // 16, -(-(window.row + window.height) // 16))
        cols = range(window.col // 16, -(-(window.col + window.width) // 16))
        seen.extend((row, col) for row in rows for col in cols)
        return plain(self, window, *rest)

    monkeypatch.setattr(StoreReader, "read_codes", counted)
    monkeypatch.setattr(module, "_TILE_BYTES", 1)
    for side in (8, 32):
        seen.clear()
        geoembz.export(store, tmp_path / f"{side}.tif", aggregate=side)
        assert len(seen) == len(set(seen)) == -(-HEIGHT // 16) * -(-WIDTH // 16)


def test_memory_is_bounded(
    tmp_path: Path, make_raster: MakeRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By blocks and tiles, not by the raster: four times the pixels take no more."""
    monkeypatch.setattr(module, "_TILE_BYTES", 2**16)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 2**18)
    peaks = []
    for side in (256, 512):
        make_raster(tmp_path / "a.tif", np.ones((16, side, side), np.float32))
        geoembz.convert(tmp_path / "a.tif", tmp_path / f"{side}.zarr", chunk=64, shard=256)
        tracemalloc.start()
        geoembz.export(tmp_path / f"{side}.zarr", tmp_path / f"{side}.tif", aggregate=32)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**20
    assert peaks[1] < 16 * 512 * 512 * 4 / 2


def test_what_cannot_be_aggregated_is_refused(store: StoreReader, tmp_path: Path) -> None:
    """Each before a file is made."""
    out = tmp_path / "a.tif"
    for options, message in (
        ({"aggregate": 1}, "aggregate 1; expected 2 pixels each way or more"),
        ({"aggregate": 4.0}, r"aggregate 4\.0; expected a whole number"),
        ({"aggregate": 4, "crs": "EPSG:4326"}, r"crs 'EPSG:4326': with aggregate"),
        ({"aggregate": 4, "space": "moved"}, "space 'moved'"),
        ({"aggregate": 4, "space": "codes"}, "a mean of codes means nothing"),
        ({"pool": "mean"}, r"pool 'mean': of which cells\?"),
        ({"aggregate": 4, "pool": "sum"}, r"pool 'sum'; expected one or more of mean"),
    ):
        keywords: dict[str, Any] = options
        with pytest.raises(InvalidConfigError, match=message):
            geoembz.export(store, out, **keywords)
    assert not out.exists()
