"""Indexes hold what the store holds: all lists together find what an exhaustive search does."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz.errors import (
    DestinationExistsError,
    InvalidConfigError,
    MissingPackageError,
    NoValidPixelsError,
)
from geoembz.store import StoreReader
from tests import tables
from tests.conftest import MakeRaster

faiss = pytest.importorskip("faiss")

SIZE, BANDS, LISTS = 60, 16, 12

CASES: dict[str, tuple[str, str, str]] = {
    "codes, dot": ("pca12-int8", "dot", "int8"),
    "codes, euclidean": ("pca12-int8", "euclidean", "int8"),
    "codes of unit vectors": ("l2-pca12-int8", "euclidean", "int8"),
    "all components": ("int8", "euclidean", "int8"),
    "pq": ("pca12-pq4x8", "euclidean", "pq"),
    "bits": ("rot-binary", "hamming", "bits"),
    "vectors of length 1": ("pca12-int8", "cosine", "float16"),
    "weighed components": ("pca12-int8", "cosine-w0.5", "float16"),
    "rotated codes": ("pca12-rot-int4", "dot", "float16"),
    "sums of codewords": ("pca12-rq2x8", "euclidean", "float16"),
}
"""Recipe, metric, and how vectors are held."""


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Vectors of a few kinds, some absent."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, BANDS)) * np.geomspace(3, 0.5, BANDS)
    kinds = rng.integers(0, 8, (SIZE, SIZE))
    found = (centres[kinds] + 0.3 * rng.normal(size=(SIZE, SIZE, BANDS))).astype(np.float32)
    found[10:14, 20:30] = np.nan
    return np.ascontiguousarray(found.transpose(2, 0, 1))


def make(path: Path, make_raster: MakeRaster, values: np.ndarray, recipe: str) -> StoreReader:
    """Store them."""
    raster = make_raster(path.with_suffix(".tif"), values)
    geoembz.convert(raster, path, recipe=recipe, chunk=16, shard=32)
    return StoreReader.open(path)


@pytest.mark.parametrize(("recipe", "metric", "holds"), CASES.values(), ids=CASES)
def test_all_lists_find_what_an_exhaustive_search_does(
    recipe: str,
    metric: str,
    holds: str,
    tmp_path: Path,
    make_raster: MakeRaster,
    values: np.ndarray,
) -> None:
    """The same scores, and the same places where no two are equal."""
    reader = make(tmp_path / "s.zarr", make_raster, values, recipe)
    summary = geoembz.index(reader.url, tmp_path / "s.faiss", metric=metric, lists=LISTS)
    assert (summary.holds, summary.metric, summary.lists) == (holds, metric, LISTS)
    assert summary.vectors == SIZE * SIZE - 40
    queries = np.ascontiguousarray(values[:, 3, 5:11].T)
    exact = geoembz.search(reader.url, queries, 10, metric)
    found = geoembz.open_index(tmp_path / "s.faiss").search(queries, 10, probes=LISTS)
    np.testing.assert_allclose(found.scores, exact.scores, rtol=2e-3, atol=2e-3)
    same = [
        len({*zip(*a, strict=True)} & {*zip(*b, strict=True)})
        for a, b in zip(
            zip(found.rows, found.cols, strict=True),
            zip(exact.rows, exact.cols, strict=True),
            strict=True,
        )
    ]
    few_are_equal = len(np.unique(exact.scores)) > exact.scores.size // 2
    assert np.mean(same) >= 9 or not few_are_equal
    np.testing.assert_allclose(found.x, reader.attributes.grid.x[found.cols])
    assert found.pixels_searched == summary.vectors


def test_few_lists_find_most(tmp_path: Path, make_raster: MakeRaster, values: np.ndarray) -> None:
    """That is what an index is for."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca12-int8")
    geoembz.index(reader.url, tmp_path / "s.faiss", metric="euclidean", lists=8)
    queries = np.ascontiguousarray(values[:, 40, :20].T)
    exact = geoembz.search(reader.url, queries, 5, "euclidean")
    found = geoembz.open_index(tmp_path / "s.faiss").search(queries, 5, probes=2)
    flat = [row * SIZE + col for row, col in ((exact.rows, exact.cols), (found.rows, found.cols))]
    recall = np.mean([len(np.intersect1d(a, b)) / 5 for a, b in zip(*flat, strict=True)])
    assert recall > 0.8


def test_one_seed_gives_one_file(
    tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """Whatever the number of threads."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca12-int8")
    for name, workers in (("a", 1), ("b", 2)):
        out = tmp_path / f"{name}.faiss"
        geoembz.index(reader.url, out, metric="dot", lists=LISTS, workers=workers)
    assert (tmp_path / "a.faiss").read_bytes() == (tmp_path / "b.faiss").read_bytes()


def test_dates_and_parts(tmp_path: Path, make_raster: MakeRaster, values: np.ndarray) -> None:
    """Positions count all dates; a box leaves the rest out."""
    store = tmp_path / "s.zarr"
    geoembz.convert(
        make_raster(tmp_path / "a.tif", values), store, recipe="pca12-int8", time="2023"
    )
    geoembz.append(store, make_raster(tmp_path / "b.tif", values[:, ::-1].copy()), time="2024")
    summary = geoembz.index(store, tmp_path / "s.faiss", metric="euclidean", lists=LISTS)
    assert summary.vectors == 2 * (SIZE * SIZE - 40)
    query = values[:, 50, 7]
    found = geoembz.open_index(tmp_path / "s.faiss").search(query, 2, probes=LISTS)
    places = sorted(zip(found.times[0].astype(str), found.rows[0], found.cols[0], strict=True))
    assert places == [("2023-01-01", 50, 7), ("2024-01-01", SIZE - 51, 7)]
    grid = StoreReader.open(store).attributes.grid
    box = (grid.bbox[0], grid.bbox[1], float(grid.x[29]), grid.bbox[3])
    part: dict[str, Any] = {"bbox": box, "time": "2024", "metric": "euclidean", "lists": 4}
    assert geoembz.index(store, tmp_path / "p.faiss", **part).vectors == SIZE * 30 - 40
    found = geoembz.open_index(tmp_path / "p.faiss").search(query, 1, probes=4)
    assert (found.rows[0, 0], found.cols[0, 0]) == (SIZE - 51, 7)


def test_rows_of_a_table(tmp_path: Path) -> None:
    """A table's rows are found by their numbers."""
    table = tables.plain(tmp_path / "t.parquet", np.random.default_rng(0)).path
    geoembz.convert(table, tmp_path / "t.zarr", pca=4)
    geoembz.index(tmp_path / "t.zarr", tmp_path / "t.faiss", metric="dot", lists=4)
    vectors = geoembz.open(tmp_path / "t.zarr")["embedding"].values[[3, 8]]
    found = geoembz.open_index(tmp_path / "t.faiss").search(vectors, 3, probes=4)
    exact = geoembz.search(tmp_path / "t.zarr", vectors, 3, "dot")
    np.testing.assert_allclose(found.scores, exact.scores, rtol=1e-3)
    assert found.is_table


@pytest.mark.parametrize("space", ["reduced", "original", "codes"])
def test_a_table_for_databases(
    space: Any, tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """A row for each pixel that holds an embedding: its place, and its vector."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca12-int8")
    summary = geoembz.index(reader.url, tmp_path / "s.parquet", space=space)
    table = pq.read_table(tmp_path / "s.parquet")
    assert len(table) == summary.vectors == SIZE * SIZE - 40
    rows, cols = table["row"].to_numpy(), table["col"].to_numpy()
    assert len(np.unique(rows * SIZE + cols)) == len(table)
    whole = geoembz.open(reader.url, space=space)["embedding"].values
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    np.testing.assert_allclose(vectors, whole[:, rows, cols].T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(table["x"].to_numpy(), reader.attributes.grid.x[cols])


def test_a_store_that_has_changed_is_refused(
    tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """Its positions may be others."""
    store = tmp_path / "s.zarr"
    raster = make_raster(tmp_path / "a.tif", values)
    geoembz.convert(raster, store, recipe="pca12-int8", time="2023")
    geoembz.index(store, tmp_path / "s.faiss", lists=4)
    geoembz.append(store, raster, time="2024")
    with pytest.raises(InvalidConfigError, match=r"not an index of .*s\.zarr as it is now"):
        geoembz.open_index(tmp_path / "s.faiss")


def test_what_cannot_work_is_refused(
    tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """In words, and nothing is left."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca12-int8")
    out = tmp_path / "s.faiss"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"to": "hnsw"}, "expected one of faiss, parquet, lance"),
        ({"to": "lance"}, "expected a name that ends in .lance"),
        ({"lists": 0}, "lists=0; expected 1 or more"),
        ({"lists": 2.0}, "lists 2.0; expected a whole number"),
        ({"lists": 5_000}, "lists=5000: a sample has 3,560 vectors"),
        ({"metric": "hamming"}, "it counts bits"),
        ({"space": "codes"}, r"it is for tables \(\.parquet\) only"),
        ({"to": "parquet"}, "expected a name that ends in .parquet"),
    ]
    for options, said in cases:
        with pytest.raises(InvalidConfigError, match=said):
            geoembz.index(reader.url, out, **options)
        assert not list(tmp_path.glob("s.faiss*"))
    with pytest.raises(InvalidConfigError, match="metric 'dot': it is for FAISS and Lance only"):
        geoembz.index(reader.url, tmp_path / "s.parquet", metric="dot")
    grid = reader.attributes.grid
    left, top = float(grid.x[20]), float(grid.y[10])
    hole = (left, float(grid.y[13]), float(grid.x[29]), top)
    for name in ("h.faiss", "h.parquet"):
        with pytest.raises(NoValidPixelsError):
            geoembz.index(reader.url, tmp_path / name, bbox=hole)
        assert not (tmp_path / name).exists()
    geoembz.index(reader.url, out, lists=4)
    with pytest.raises(DestinationExistsError):
        geoembz.index(reader.url, out, lists=4)


def test_lance_is_missed_in_words(
    tmp_path: Path,
    make_raster: MakeRaster,
    values: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is an extra that `geoembz[all]` leaves out."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca12-int8")
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(MissingPackageError, match=r"needs Lance.*pip install 'geoembz\[lance\]'"):
        geoembz.index(reader.url, tmp_path / "s.lance")


def test_damaged_indexes_are_refused(
    tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """Whatever is wrong with either file."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca12-int8")
    out, side = tmp_path / "s.faiss", tmp_path / "s.faiss.json"
    geoembz.index(reader.url, out, lists=4)
    whole = json.loads(side.read_text())
    for document in ("[]", "{}", json.dumps({**whole, "version": 2})):
        side.write_text(document)
        with pytest.raises(InvalidConfigError, match=r"s\.faiss\.json"):
            geoembz.open_index(out)
    side.write_text(json.dumps(whole))
    out.write_bytes(b"no index")
    with pytest.raises(InvalidConfigError, match="no index of FAISS"):
        geoembz.open_index(out)
    side.unlink()
    with pytest.raises(InvalidConfigError, match="cannot be read"):
        geoembz.open_index(out)


def test_the_commands(tmp_path: Path, make_raster: MakeRaster, values: np.ndarray) -> None:
    """Build an index, move both files and the store, and ask."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca12-int8")
    out = tmp_path / "s.faiss"

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, words)

    result = run("index", reader.url, str(out), "--lists", "8", "--json")
    assert json.loads(result.stdout)["holds"] == "float16"
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("s.faiss", "s.faiss.json", "s.zarr"):
        (tmp_path / name).rename(moved / name)
    grid = reader.attributes.grid
    point = f"{float(grid.x[9])},{float(grid.y[30])}"
    query = ("search", str(moved / "s.zarr"), "--point", point, "--crs", "EPSG:32632", "--k", "1")
    asked = run(*query, "--index", str(moved / "s.faiss"), "--probes", "8", "--json")
    (found,) = json.loads(asked.stdout)["found"]
    assert (found["row"], found["col"]) == (30, 9)
    refused = run(*query, "--index", str(moved / "s.faiss"), "--metric", "dot")
    assert "which was made for one metric" in str(refused.exception)
    refused = run(*query, "--probes", "8")
    assert "without an index" in str(refused.exception)
