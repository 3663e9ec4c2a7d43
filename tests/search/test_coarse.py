"""Searches from coarse to fine read what they may, and find the nearest of what they read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from benchmarks.serving import serving
from geoembz._cli import main
from geoembz._search.coarse import narrow
from geoembz._search.metrics import scorer
from geoembz._search.parts import open_parts
from geoembz._work.executors import ThreadWorkers
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.store import StoreReader
from tests import tables
from tests.conftest import MakeRaster

SHAPE, DIMENSION, PATCH, CHUNK = (90, 70), 12, 16, 8
PLACE = 40, 24
"""Of the query: a patch of 16 x 16 pixels holds it, four chunks of 99 others."""

CASES = {
    "int8, cosine": ("pca8-int8", "cosine"),
    "all components, dot": ("int8", "dot"),
    "int4, euclidean": ("int4", "euclidean"),
    "weighed": ("pca8-int8", "cosine-w0.5"),
    "pq": ("pca8-pq4x8", "euclidean"),
    "rq": ("pca8-rq2x8", "cosine"),
    "bits": ("rot-binary", "hamming"),
}
SLOW = {"weighed", "pq", "rq"}


def scene(seed: int = 0) -> NDArray[np.float32]:
    """Return vectors ``(12, 90, 70)``: patches of a kind each, with noise, and a hole."""
    rng = np.random.default_rng(seed)
    rows, cols = (-(-side // PATCH) for side in SHAPE)
    kinds = rng.normal(size=(DIMENSION, rows, cols))
    values = np.kron(kinds, np.ones((PATCH, PATCH)))[:, : SHAPE[0], : SHAPE[1]]
    values = (values + 0.2 * rng.normal(size=values.shape)).astype(np.float32)
    values[:, :CHUNK, :20] = np.nan
    return values


def make(path: Path, make_raster: MakeRaster, recipe: str = "int8", **options: Any) -> Path:
    """Convert the scene, with overviews of 2, 4 and 8 times larger pixels."""
    raster = make_raster(path.with_suffix(".tif"), scene())
    geoembz.convert(raster, path, recipe=recipe, chunk=CHUNK, shard=32, **options)
    geoembz.overviews(path, levels=3)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """Return a store of int8 codes, nodata among them."""
    return make(tmp_path_factory.mktemp("coarse") / "int8.zarr", make_raster)


def at(row: int, col: int) -> NDArray[np.float32]:
    """Return the vector at a pixel."""
    return scene()[:, row, col]


@pytest.mark.parametrize(
    ("recipe", "metric"),
    [
        pytest.param(*case, id=name, marks=pytest.mark.slow if name in SLOW else ())
        for name, case in CASES.items()
    ],
)
def test_a_tenth_holds_the_nearest_of_a_landscape_of_patches(
    recipe: str, metric: str, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """Places and scores are those of an exhaustive search."""
    place = make(tmp_path / "s.zarr", make_raster, recipe)
    exact = geoembz.search(place, at(*PLACE), 20, metric)
    found = geoembz.search(place, at(*PLACE), 20, metric, coarse=0.1)
    np.testing.assert_allclose(found.scores, exact.scores, rtol=1e-5)
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.cols, exact.cols)
    assert found.recall_of(exact) == 1.0
    assert found.coarse is not None
    assert (found.coarse.level, found.coarse.chunks) == (3, 12 * 9)
    assert 4 <= found.coarse.chunks_read <= 10
    assert found.pixels_searched <= 0.1 * 90 * 70


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3, 0.7])
def test_no_more_is_read_than_was_said(store: Path, share: float) -> None:
    """The level and the chunks together; what is found is the best of these chunks, exactly."""
    parts = open_parts(store, None, None, None)
    queries = scorer(parts[0].encoding, at(*PLACE), "cosine")
    (kept,), coarse = narrow(parts, queries, share, ThreadWorkers(2))
    level = kept.reader.at_level(coarse.level).shape
    read = sum(window.size for window in kept.blocks())
    assert coarse.share == pytest.approx((read + level[0] * level[1]) / (90 * 70))
    assert 0.5 * share < coarse.share <= share
    is_read = np.zeros(SHAPE, dtype=bool)
    for window in kept.blocks():
        assert not is_read[window.slices].any()
        is_read[window.slices] = True

    found = geoembz.search(store, at(*PLACE), 30, coarse=share)
    everything = geoembz.search(store, at(*PLACE), 90 * 70)
    there = is_read[everything.rows[0], everything.cols[0]]
    np.testing.assert_array_equal(found.rows[0], everything.rows[0, there][:30])
    np.testing.assert_array_equal(found.cols[0], everything.cols[0, there][:30])
    np.testing.assert_allclose(found.scores[0], everything.scores[0, there][:30], rtol=1e-5)


def test_all_of_it_is_the_exact_answer(store: Path) -> None:
    exact = geoembz.search(store, at(*PLACE), 50)
    whole = geoembz.search(store, at(*PLACE), 50, coarse=1)
    assert whole.coarse is None
    assert whole.to_arrow().equals(exact.to_arrow())
    assert "chunks" not in exact.to_table()


def test_each_query_has_its_best_chunks(store: Path) -> None:
    """Queries share what may be read; threads do not change what is chosen."""
    places = [PLACE, (70, 60), (20, 40)]
    queries = np.stack([at(*place) for place in places])
    results = [geoembz.search(store, queries, 5, coarse=0.15, workers=n) for n in (1, 3)]
    exact = geoembz.search(store, queries, 5)
    for found in results:
        assert found.recall_of(exact) == 1.0
        assert [*zip(found.rows[:, 0].tolist(), found.cols[:, 0].tolist(), strict=True)] == places
    assert results[0].coarse == results[1].coarse


def test_chunks_without_data_are_not_read(store: Path) -> None:
    """Nor found where nothing else is there."""
    parts = open_parts(store, None, None, None)
    queries = scorer(parts[0].encoding, at(*PLACE), "cosine")
    (kept,), coarse = narrow(parts, queries, 0.99, ThreadWorkers(1))
    assert coarse.chunks_read < coarse.chunks
    assert not any(window.row < CHUNK and window.col < 16 for window in kept.blocks())
    grid = StoreReader.open(store).attributes.grid
    hole = (grid.x[0], grid.y[7], grid.x[15], grid.y[0])
    with pytest.raises(NoValidPixelsError, match="not one of"):
        geoembz.search(store, at(*PLACE), bbox=hole, coarse=0.9)


def test_a_box_that_cuts_chunks(store: Path) -> None:
    """Only its pixels are found, and counted."""
    grid = StoreReader.open(store).attributes.grid
    box = grid.x[11], grid.y[60], grid.x[50], grid.y[21]
    exact = geoembz.search(store, at(*PLACE), 20, bbox=box)
    found = geoembz.search(store, at(*PLACE), 20, bbox=box, coarse=0.3)
    np.testing.assert_array_equal(found.rows, exact.rows)
    assert found.coarse is not None
    assert (found.coarse.chunks, found.coarse.share <= 0.3) == (6 * 6, True)
    assert found.pixels_searched < 0.3 * 40 * 40


def test_grids_and_dates_are_ranked_together(tmp_path: Path, make_raster: MakeRaster) -> None:
    """The chunks that promise most are read wherever they are; positions stay those of all."""
    for zone in (32, 33):
        make_raster(tmp_path / f"{zone}.tif", scene(zone), crs=f"EPSG:326{zone}")
    sources = [str(tmp_path / f"{zone}.tif") for zone in (32, 33)]
    root = tmp_path / "root.zarr"
    options: dict[str, Any] = {"recipe": "int8", "chunk": CHUNK, "shard": 32}
    geoembz.convert(sources, root, overviews=True, time="2023", **options)
    geoembz.append(root, [*reversed(sources)], time="2024")
    query = scene(33)[:, 40, 24]
    exact = geoembz.search(root, query, 30)
    with pytest.raises(
        InvalidConfigError, match=r"coarse 0.1: level 1 of .* are 0.253 of its codes"
    ):
        geoembz.search(root, query, 30, coarse=0.1)
    geoembz.overviews(root, levels=3, overwrite=True)
    found = geoembz.search(root, query, 30, coarse=0.05)
    assert found.to_arrow().drop_columns("score").equals(exact.to_arrow().drop_columns("score"))
    assert len(set(found.stores[0])) == 1
    assert len(set(found.times[0])) == 2
    assert found.coarse is not None
    assert found.coarse.chunks == 4 * 12 * 9


def test_what_has_no_coarser_level_is_refused(tmp_path: Path, make_raster: MakeRaster) -> None:
    """In words that say what to do."""
    raster = make_raster(tmp_path / "a.tif", scene())
    plain = tmp_path / "plain.zarr"
    geoembz.convert(raster, plain, recipe="int8", chunk=CHUNK, shard=32)
    expected = rf"no overviews to choose chunks by; add them \(geoembz overviews {plain}\)"
    with pytest.raises(InvalidConfigError, match=expected):
        geoembz.search(plain, at(*PLACE), coarse=0.1)
    geoembz.overviews(plain, levels=3)
    with pytest.raises(InvalidConfigError, match=r"coarse with level 1 .* leave one of them out"):
        geoembz.search(plain, at(*PLACE), coarse=0.1, level=1)
    with pytest.raises(
        InvalidConfigError, match=r"level 3 .* and one chunk are 0.028 of its codes"
    ):
        geoembz.search(plain, at(*PLACE), coarse=0.02)
    for share in (0, -0.5, 1.5, float("nan")):
        with pytest.raises(InvalidConfigError, match="above 0 and up to 1"):
            geoembz.search(plain, at(*PLACE), coarse=share)
    fine, small = tmp_path / "fine.zarr", make_raster(tmp_path / "b.tif", scene()[:, 40:48, :8])
    geoembz.convert(small, fine, recipe="int8", chunk=1, shard=4)
    geoembz.overviews(fine)
    with pytest.raises(InvalidConfigError, match="smaller than those of its overviews"):
        geoembz.search(fine, at(*PLACE), coarse=0.5)


def test_a_table_is_refused(tmp_path: Path) -> None:
    tables.plain(tmp_path / "t.parquet", np.random.default_rng(0))
    geoembz.convert(tmp_path / "t.parquet", tmp_path / "t.zarr", recipe="int8")
    query = geoembz.open(tmp_path / "t.zarr").embedding[3].values
    with pytest.raises(InvalidConfigError, match="a table, without overviews; leave it out"):
        geoembz.search(tmp_path / "t.zarr", query, coarse=0.5)


def test_a_server_sends_the_level_and_the_chunks(store: Path) -> None:
    """Requests and bytes are those of what is read, not of the store."""
    with serving(store.parent) as served:
        traffic = []
        for share in (None, 0.06):
            reader = StoreReader.open(f"{served.url}/{store.name}")
            before = served.traffic
            found = geoembz.search(reader, at(*PLACE), 10, coarse=share)
            traffic.append(served.traffic - before)
        there = {path for path, _, size in served.log if size and "/c/" in path}
    assert found.coarse is not None
    assert found.coarse.chunks_read >= 4
    assert traffic[1].size_bytes < 0.2 * traffic[0].size_bytes
    assert traffic[1].requests <= 1 + found.coarse.chunks_read + 2 * 3
    assert any("overviews/8/" in path for path in there)
    local = geoembz.search(store, at(*PLACE), 10, coarse=0.06)
    np.testing.assert_array_equal(found.rows, local.rows)


def test_recall_compares_scores() -> None:
    """Of equal scores one is as good as another; answers to other questions are refused."""
    from geoembz._search.result import SearchResult

    def result(metric: str, *scores: float) -> SearchResult:
        values = np.array([scores], dtype=np.float32)
        none = np.zeros(values.shape, dtype=np.int64)
        floats, names = none.astype(np.float64), none.astype(str)
        times = none.astype("datetime64[D]")
        places: Any = {"rows": none, "cols": none, "stores": names, "times": times}
        places |= dict.fromkeys(("x", "y", "lon", "lat"), floats)
        return SearchResult(metric, values, **places, pixels_searched=9)

    exact = result("cosine", 0.9, 0.8, 0.8, 0.7)
    assert result("cosine", 0.9, 0.8, 0.7, 0.6).recall_of(exact) == 0.75
    assert result("cosine", 0.9, 0.8, 0.8, 0.7).recall_of(exact, 2) == 1.0
    assert result("cosine", 0.8, 0.7).recall_of(exact, 2) == 0.5
    assert result("hamming", 1, 3).recall_of(result("hamming", 1, 2)) == 0.5
    assert result("euclidean", 1, 2.1).recall_of(result("euclidean", 1, 2), slack=0.1) == 1.0
    with pytest.raises(InvalidConfigError, match="1 queries by cosine, against 1 by dot"):
        result("cosine", 1).recall_of(result("dot", 1))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0), capsys.readouterr()


def test_the_command_says_what_it_read_and_missed(
    store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "query.npy", at(*PLACE))
    words = ["search", str(store), "--vector", str(tmp_path / "query.npy"), "--k", "3"]
    code, printed = run(capsys, *words, "--coarse", "0.1", "--recall")
    assert code == 0
    assert "of 108 chunks, chosen by level 3:" in printed.out
    assert printed.out.rstrip().endswith("recall 1.000 of the 3 nearest")
    _, printed = run(capsys, *words, "--coarse", "0.1", "--json")
    told = json.loads(printed.out)
    assert (told["coarse"]["level"], told["recall"]) == (3, None)
    assert 0.05 < told["coarse"]["share"] <= 0.1
    code, printed = run(capsys, *words, "--recall")
    assert (code, "--recall goes with --coarse" in printed.err) == (2, True)
    code, printed = run(capsys, *words, "--coarse", "0.1", "--index", "a.faiss")
    assert (code, "--coarse with --index" in printed.err) == (2, True)
