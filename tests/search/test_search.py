"""Searching a store finds what comparing all its decoded vectors finds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from numpy.typing import NDArray

import geoembz
from geoembz._cli import main
from geoembz._search import vectors_at
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster

SHAPE, DIMENSION = (70, 50), 12


def scene(seed: int = 0) -> NDArray[np.float32]:
    """Return vectors ``(12, 70, 50)`` with a hole; some rows twice, so that there are ties."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(DIMENSION, *SHAPE)).astype(np.float32)
    values[:, 60:64] = values[:, 20:24]
    values[:, :9, :7] = np.nan
    return values


@pytest.fixture
def source(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return make_raster(tmp_path / "source.tif", scene())


def decoded(store: Path) -> NDArray[np.float64]:
    return np.asarray(geoembz.open(store).embedding.values.astype(np.float64))


def exhaustive(values: NDArray[np.float64], query: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return row and column of the k largest cosines, shape ``(2, k)``, ties in row order."""
    flat = values.reshape(len(values), -1)
    cosines = query @ flat / np.linalg.norm(flat, axis=0) / np.linalg.norm(query)
    order = np.argsort(-np.nan_to_num(np.round(cosines, 6), nan=-2), kind="stable")[:k]
    return np.array(np.divmod(order, values.shape[2]))


@pytest.mark.parametrize("recipe", ["pca8-int8", "int4", "pca8-rot-pq4x8", "rot-binary", "float32"])
def test_cosine_neighbours_are_the_exhaustive_ones(
    tmp_path: Path, source: Path, recipe: str
) -> None:
    store = tmp_path / "store.zarr"
    geoembz.convert(source, store, recipe=recipe, chunk=16, shard=32)
    query = scene()[:, 30, 30]
    result = geoembz.search(store, query, 10)
    flat = decoded(store)[:, result.rows[0], result.cols[0]]
    cosines = query @ flat / np.linalg.norm(flat, axis=0) / np.linalg.norm(query)
    np.testing.assert_allclose(result.scores[0], cosines, atol=1e-5)
    best = exhaustive(decoded(store), query, 10)
    ties = np.unique(np.round(cosines, 6)).size < 10
    if not ties:
        np.testing.assert_array_equal([result.rows[0], result.cols[0]], best)
    everywhere = query @ decoded(store).reshape(DIMENSION, -1)
    everywhere /= np.linalg.norm(decoded(store).reshape(DIMENSION, -1), axis=0)
    tenth = np.sort(everywhere[np.isfinite(everywhere)])[-10] / np.linalg.norm(query)
    assert cosines.min() == pytest.approx(tenth, abs=1e-5)


def test_workers_and_shards_do_not_change_the_result(tmp_path: Path, source: Path) -> None:
    """One worker or three, small shards or none: the same places in the same order, ties too."""
    results = []
    for name, options in {"a": {"chunk": 16, "shard": 32}, "b": {"chunk": 64}}.items():
        store = tmp_path / f"{name}.zarr"
        geoembz.convert(source, store, recipe="rot-binary", **options)  # type: ignore[arg-type]
        results += [
            geoembz.search(store, scene()[:, 22, 11], 30, "hamming", workers=workers)
            for workers in (1, 3)
        ]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].scores, other.scores)
        np.testing.assert_array_equal(results[0].rows, other.rows)
        np.testing.assert_array_equal(results[0].cols, other.cols)
    assert (int(results[0].rows[0, 0]), int(results[0].cols[0, 0])) == (22, 11)
    assert results[0].scores[0, 1] == 0  # its double, 40 rows further down
    assert int(results[0].rows[0, 1]) == 62
    with pytest.raises(InvalidConfigError, match="search: workers=0; expected 1 to 256"):
        geoembz.search(tmp_path / "a.zarr", scene()[:, 22, 11], workers=0)
    with pytest.raises(InvalidConfigError, match="verify: workers=300; expected 1 to 256"):
        geoembz.verify(tmp_path / "a.zarr", workers=300)


def test_places_and_bbox(tmp_path: Path, source: Path) -> None:
    """Coordinates are those of the pixels; a box leaves out all pixels outside it."""
    store = tmp_path / "store.zarr"
    geoembz.convert(source, store, pca=8, chunk=16, shard=32)
    tile = geoembz.open(store)
    box = (
        float(tile.x[10]) - 1,
        float(tile.y[29]) - 1,
        float(tile.x[20]) + 1,
        float(tile.y[5]) + 1,
    )
    result = geoembz.search(store, scene()[:, 40, 40], 500, bbox=box)
    assert result.scores.shape == (1, 11 * 25)
    assert np.unique(result.rows).tolist() == list(range(5, 30))
    assert np.unique(result.cols).tolist() == list(range(10, 21))
    np.testing.assert_array_equal(result.x, tile.x.values[result.cols])
    np.testing.assert_array_equal(result.y, tile.y.values[result.rows])
    with pytest.raises(InvalidConfigError, match="outside"):
        geoembz.search(store, scene()[:, 40, 40], bbox=(0, 0, 1, 1))
    hole = (float(tile.x[0]) - 1, float(tile.y[3]) - 1, float(tile.x[3]) + 1, float(tile.y[0]) + 1)
    with pytest.raises(NoValidPixelsError, match="holds an embedding"):
        geoembz.search(store, scene()[:, 40, 40], bbox=hole)


def test_several_grids_are_searched_together(tmp_path: Path, make_raster: MakeRaster) -> None:
    """Of a root of two UTM zones each neighbour says which grid it is in."""
    for zone in (32, 33):
        make_raster(tmp_path / f"{zone}.tif", scene(zone), crs=f"EPSG:326{zone}")
    store = tmp_path / "root.zarr"
    sources = [str(tmp_path / f"{zone}.tif") for zone in (32, 33)]
    geoembz.convert(sources, store, recipe="int8")
    queries = np.stack([scene(zone)[:, 30, 30] for zone in (32, 33)])
    result = geoembz.search(store, queries, 1)
    assert [str(url).rpartition("/")[2] for url in result.stores[:, 0]] == ["utm32n", "utm33n"]
    assert result.rows.tolist() == [[30], [30]]
    assert np.diff(result.lon[:, 0])[0] == pytest.approx(6, abs=1e-6)


def test_dates_are_searched_together_or_alone(tmp_path: Path, source: Path) -> None:
    store = tmp_path / "store.zarr"
    geoembz.convert(source, store, recipe="int8", time="2023")
    result = geoembz.search(store, scene()[:, 30, 30], 2)
    assert str(result.times[0, 0]) == "2023-01-01"
    assert geoembz.search(store, scene()[:, 30, 30], 2, time="2023").rows.tolist() == [
        result.rows[0].tolist()
    ]
    with pytest.raises(InvalidConfigError, match="name one of them"):
        geoembz.search(store, scene()[:, 30, 30], time="1999")


def test_tables_give_row_numbers(tmp_path: Path) -> None:
    import pandas as pd

    vectors = np.random.default_rng(0).normal(size=(900, DIMENSION)).astype(np.float32)
    table = pd.DataFrame({"lon": np.linspace(5, 6, 900), "lat": np.linspace(50, 51, 900)})
    table["embedding"] = list(vectors)
    table.to_parquet(tmp_path / "table.parquet")
    store = tmp_path / "table.zarr"
    geoembz.convert(tmp_path / "table.parquet", store, recipe="int8")
    dataset = geoembz.open(store)
    query = dataset.embedding[123].values
    result = geoembz.search(store, query, 3)
    assert int(result.rows[0, 0]) == 123
    assert result.x[0, 0] == pytest.approx(float(dataset.x[123]))
    assert "sample" in result.to_arrow().column_names


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0), capsys.readouterr()


def test_the_command_searches_for_a_place_and_writes_files(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store.zarr"
    geoembz.convert(source, store, recipe="int8")
    tile = geoembz.open(store)
    point = f"{float(tile.x[11])},{float(tile.y[22])}"
    out = tmp_path / "found.parquet"
    arguments = ["search", str(store), "--point", point, "--crs", "EPSG:32632", "--k", "4"]
    code, printed = run(capsys, *arguments, "--out", str(out), "--json")
    assert code == 0
    summary = json.loads(printed.out)
    assert (summary["found"][0]["row"], summary["found"][0]["col"]) == (22, 11)
    written = pq.read_table(out)
    assert written.num_rows == 4
    assert b"geo" in written.schema.metadata
    code, printed = run(capsys, *arguments, "--out", str(out))
    assert code == 2
    assert "exists" in printed.err
    np.save(
        tmp_path / "query.npy",
        vectors_at(store, [[float(tile.x[3]), float(tile.y[33])]], crs="EPSG:32632"),
    )
    vector = ["search", str(store), "--vector", str(tmp_path / "query.npy")]
    code, printed = run(capsys, *vector, "--out", str(tmp_path / "found.geojson"))
    assert code == 0
    features = json.loads((tmp_path / "found.geojson").read_text())["features"]
    assert features[0]["properties"]["row"] == 33
    assert run(capsys, "search", str(store))[0] == 2
    assert run(capsys, "search", str(store), "--vector", str(source))[0] == 1


def test_examples_for_and_against_make_one_query(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Together, directions are averaged, and those against are taken off; the command does it."""
    store = tmp_path / "store.zarr"
    geoembz.convert(source, store, recipe="pca8-int8")
    grid = geoembz.open(store)
    places = [
        (float(grid.x[col]), float(grid.y[row])) for row, col in ((20, 20), (40, 9), (50, 30))
    ]
    crs = grid.attrs["proj:code"]
    first, second, third = vectors_at(store, places, crs=crs).astype(np.float64)
    for metric in ("cosine", "euclidean"):
        scaled = [
            v / np.linalg.norm(v) if metric == "cosine" else v for v in (first, second, third)
        ]
        expected = (scaled[0] + scaled[1]) / 2 - scaled[2]
        joined = vectors_at(store, places[:2], against=places[2:], metric=metric, crs=crs)
        np.testing.assert_allclose(joined, [expected], atol=1e-6)
    (alone,) = vectors_at(store, places[:1], together=True, metric="dot", crs=crs)
    np.testing.assert_allclose(alone, first, atol=1e-6)

    points = [f"{x},{y}" for x, y in places]
    words = [*("--point", points[0], "--point", points[1], "--against", points[2]), "--json"]
    _, shown = run(capsys, "search", str(store), *words, "--crs", crs, "--k", "3")
    printed = json.loads(shown.out)
    query = vectors_at(store, places[:2], against=places[2:], crs=crs)
    found = geoembz.search(store, query, 3)
    assert [entry["score"] for entry in printed["found"]] == found.scores[0].tolist()
    np.save(tmp_path / "query.npy", query)
    vector = ["--vector", str(tmp_path / "query.npy")]
    code, shown = run(capsys, "search", str(store), *vector, "--together")
    assert code == 2
    assert "--against and --together go with --point" in shown.err


def test_a_store_recommends_its_metric(tmp_path: Path, source: Path) -> None:
    """Searches that name no metric take the store's, say so, and another one where it is named."""
    store, query = tmp_path / "store.zarr", scene()[:, 30, 30]
    geoembz.convert(source, store, recipe="pca8-int8", metric="cosine-w0.5")
    assert geoembz.verify(store).problems == ()
    assert geoembz.info(store).to_json()["metric"] == "cosine-w0.5"
    found = geoembz.search(store, query, 5)
    assert found.metric == "cosine-w0.5"
    assert "by cosine-w0.5" in found.to_table()
    reduced = geoembz.open(store, space="reduced", whiten=0.5).embedding.values
    at = reduced[:, found.rows[0], found.cols[0]].astype(np.float64)
    weighed = StoreReader.open(str(store)).encoding.reduce(query, 0.5).astype(np.float64)
    cosines = weighed @ at / np.linalg.norm(at, axis=0) / np.linalg.norm(weighed)
    np.testing.assert_allclose(found.scores[0], cosines, atol=1e-5)
    assert geoembz.search(store, query, 5, "cosine").metric == "cosine"
    geoembz.map_similar(store, tmp_path / "like.tif", vector=query)
    with rasterio.open(tmp_path / "like.tif") as mapped:
        np.testing.assert_allclose(
            mapped.read(1)[found.rows[0], found.cols[0]], found.scores[0], atol=1e-6
        )


def test_a_metric_that_does_not_suit_the_recipe_is_refused(tmp_path: Path, source: Path) -> None:
    """Before anything is written."""
    for metric, recipe in (("hamming", "int8"), ("cosine-w0.5", "rot-int8"), ("l7", "int8")):
        with pytest.raises(InvalidConfigError, match="metric"):
            geoembz.convert(source, tmp_path / "none.zarr", recipe=recipe, metric=metric)
    assert not (tmp_path / "none.zarr").exists()


def test_a_recommendation_of_a_newer_version_is_named(tmp_path: Path, source: Path) -> None:
    store = tmp_path / "store.zarr"
    geoembz.convert(source, store, recipe="pca8-int8", metric="dot")
    document = store / "zarr.json"
    text = document.read_text()
    assert text.count('"geoembz:metric": "dot"') > 0
    document.write_text(text.replace('"geoembz:metric": "dot"', '"geoembz:metric": "l7"'))
    with pytest.raises(InvalidConfigError, match="recommends metric 'l7'"):
        geoembz.search(store, scene()[:, 30, 30], 5)
    assert geoembz.search(store, scene()[:, 30, 30], 5, "dot").metric == "dot"
