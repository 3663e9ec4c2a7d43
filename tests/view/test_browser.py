"""The page in a browser: what a person sees and does, and that its numbers are Python's."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._cli import main
from tests.conftest import MakeRaster
from tests.conversion.test_grids import write_zones
from tests.view.cases import scene
from tests.view.conftest import Browse, Seen

pytestmark = pytest.mark.browser

READY = {"evaluate": "await geoembz.ready"}
IDLE = {"wait": "return document.getElementById('busy').hidden"}
CALM = {"evaluate": "await new Promise((done) => setTimeout(done, 1500))"}
LISTED = {
    "evaluate": "return {command: document.getElementById('command').textContent, scores: "
    "[...document.querySelectorAll('#best span:last-child')].map((e) => Number(e.textContent))}"
}
N_PLACES = 100


def clean(seen: Seen, url: str) -> Seen:
    """Return what was seen, if nothing went wrong and nobody else was asked for anything."""
    assert seen.said == []
    assert seen.hosts == [urlsplit(url).netloc]
    return seen


def all_scores(store: Path, example: tuple[float, float], **options: Any) -> geoembz.SearchResult:
    """Return the scores of every pixel of a store, by `geoembz.search`."""
    query = geoembz.vectors_at(store, [example], time=options.get("time"))
    return geoembz.search(store, query, 10**6, **options)


def places(found: geoembz.SearchResult) -> NDArray[np.intp]:
    """Return which of the found are looked at: the same ones for everybody."""
    return np.linspace(0, found.scores.shape[1] - 1, N_PLACES).astype(int)


def ask(found: geoembz.SearchResult, example: tuple[float, float], metric: str) -> list[Any]:
    """Return the steps that ask for what is like an example, then for scores at places."""
    lon, lat = (np.round(values[0, places(found)], 9).tolist() for values in (found.lon, found.lat))
    question = {"for": [example], "metric": metric, "k": 5}
    return [
        READY,
        {"evaluate": f"return await geoembz.query({json.dumps(question)})"},
        {"evaluate": f"return await geoembz.similarityAt({json.dumps(lon)}, {json.dumps(lat)})"},
        {"evaluate": f"return await geoembz.valueAt({example[0]}, {example[1]})"},
        {"evaluate": f"return await geoembz.valueAt({lon[1]}, {lat[1]})"},
        {"evaluate": "return geoembz.stats()"},
    ]


@pytest.fixture
def raster(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """Return a raster of 40 x 56 pixels, 16 numbers each, with a hole."""
    return make_raster(tmp_path / "scene.tif", scene(0))


def centre(store: Path, row: int, col: int) -> tuple[float, float]:
    """Return longitude and latitude of a pixel's centre."""
    from pyproj import Transformer

    opened = geoembz.open(store)
    to_degrees = Transformer.from_crs(opened.attrs["proj:code"], "OGC:CRS84", always_xy=True)
    return to_degrees.transform(float(opened.x[col]), float(opened.y[row]))


@pytest.mark.parametrize(
    ("recipe", "metric"),
    [
        ("pca8-int8", "cosine"),
        ("int8", "euclidean"),
        ("svd8-int4", "dot"),
        ("rot-binary", "hamming"),
        ("pca8-pq4x8", "cosine"),
        ("l2-aef", "cosine"),
    ],
)
def test_scores_are_those_of_search(
    tmp_path: Path, raster: Path, browse: Browse, recipe: str, metric: Any
) -> None:
    """At 100 places of each kind of store; its numbers are the reduced space's around the mean."""
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, recipe=recipe, chunk=16, shard=32)
    example = centre(store, 20, 11)
    found = all_scores(store, example, metric=metric)
    with geoembz.view(store, browser=False) as viewer:
        seen = clean(browse(viewer.url, *ask(found, example, metric)), viewer.url)
    _, best, scores, value, other, stats = seen.results
    np.testing.assert_allclose(scores, found.scores[0, places(found)], atol=1e-3)
    np.testing.assert_allclose([p["score"] for p in best], found.scores[0, :5], atol=1e-3)
    assert (value["row"], value["col"]) == (20, 11)
    (here,) = found.scores[(found.rows == 20) & (found.cols == 11)]
    assert value["score"] == pytest.approx(here, abs=1e-3)
    reduced = geoembz.open(store, space="reduced").embedding.values
    apart = reduced[:, 20, 11] - reduced[:, other["row"], other["col"]]
    shown = np.subtract(value["components"], other["components"])
    np.testing.assert_allclose(shown, apart, atol=1e-4)
    assert stats["requests"] > 3
    assert stats["bytes"] > 1000


def test_the_demo_is_drawn_and_clicked(tmp_path: Path, browse: Browse) -> None:
    """A click finds the like of a place; examples join; the command finds the same places."""
    files = geoembz.write_demo(tmp_path, size=128)
    store = tmp_path / "demo.zarr"
    geoembz.convert(files.embedding, store, pca=16)
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            READY,
            {"click": [380, 350]},
            {"wait": "return document.querySelectorAll('#best li').length === 10"},
            LISTED,
            {"check": "#mode input[value=for]"},
            {"click": [300, 250]},
            {"wait": "return document.querySelectorAll('#examples li').length === 2"},
            {"check": "#mode input[value=against]"},
            {"click": [450, 500]},
            {"wait": "return document.querySelectorAll('#examples li').length === 3"},
            {"wait": "return document.getElementById('command').textContent.includes('--against')"},
            CALM,
            LISTED,
            {"push": "#standout"},
            {"evaluate": "return document.getElementById('red').value"},
            IDLE,
        )
    clean(seen, viewer.url)
    for answer in (seen.results[3], seen.results[12]):
        assert_same_as_command(answer, tmp_path)
    assert seen.results[3]["scores"][0] == 1.0


def test_a_store_is_compared_by_what_it_recommends(
    tmp_path: Path, raster: Path, browse: Browse
) -> None:
    """Its metric is chosen, weighed components too, and the command says so and finds the same."""
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, recipe="pca8-int8", metric="cosine-w0.5")
    example = centre(store, 20, 11)
    found = all_scores(store, example, metric="cosine-w0.5")
    question = {"for": [example], "k": 10}
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            READY,
            {"evaluate": f"return await geoembz.query({json.dumps(question)})"},
            {"evaluate": "return document.getElementById('metric').value"},
            CALM,
            LISTED,
        )
    _, best, chosen, _, listed = clean(seen, viewer.url).results
    assert chosen == "cosine-w0.5"
    np.testing.assert_allclose([p["score"] for p in best], found.scores[0, :10], atol=1e-3)
    assert "--metric cosine-w0.5" in listed["command"]
    assert_same_as_command(listed, tmp_path)


def assert_same_as_command(answer: dict[str, Any], folder: Path) -> None:
    """Run the command that the page shows, and compare what both found."""
    out = folder / "found.geojson"
    words = shlex.split(answer["command"])
    assert words[:2] == ["geoembz", "search"]
    with pytest.raises(SystemExit) as left:
        main([*words[1:], "--out", str(out), "--overwrite", "--quiet"])
    assert left.value.code in {0, None}
    features = json.loads(out.read_text())["features"]
    scores = [feature["properties"]["score"] for feature in features]
    np.testing.assert_allclose(answer["scores"], scores, atol=2e-4)


def test_examples_and_scores_are_of_the_level_that_is_drawn(
    tmp_path: Path, raster: Path, browse: Browse
) -> None:
    """Zoomed out, means are compared with means; zoomed in, pixels with pixels; as commands do."""
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, recipe="pca8-int8")
    geoembz.overviews(store, levels=1)
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            READY,
            {"evaluate": "document.getElementById('map').focus()"},
            *[{"press": "-"}, CALM] * 5,
            {"press": "Enter"},
            {"wait": "return document.querySelectorAll('#best li').length === 10"},
            CALM,
            LISTED,
            *[{"press": "+"}, CALM] * 5,
            CALM,
            LISTED,
        )
    out, within = [answer for answer in clean(seen, viewer.url).results if isinstance(answer, dict)]
    assert "--level 1" in out["command"]
    assert "--level" not in within["command"]
    for answer in (out, within):
        assert_same_as_command(answer, tmp_path)


def test_a_large_view_is_scored_coarsely_until_somebody_asks_or_zooms_in(
    tmp_path: Path, raster: Path, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is read at once than a page may; it says so, and the command is of what is shown."""
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, recipe="pca8-int8", chunk=8, shard=32)
    geoembz.overviews(store, levels=1)
    monkeypatch.setattr("geoembz._view.run._AT_ONCE_FROM_DISK", 8_000)
    note = {"evaluate": "return document.getElementById('coarse').innerText"}
    fine = {"wait": "return document.getElementById('coarse').hidden"}
    click: list[dict[str, Any]] = [{"click": [380, 350]}, CALM, note, LISTED]
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            *[READY, *click, {"evaluate": "document.getElementById('map').focus()"}],
            *[*[{"press": "+"}, CALM] * 3, fine, LISTED],
            *[*[{"press": "-"}, CALM] * 3, note],
            *[{"push": "#refine"}, fine, CALM, LISTED],
        )
    coarse, listed, within, again, refined = [r for r in clean(seen, viewer.url).results if r]
    assert "Computed at 20 m (means of 2 × 2 pixels)" in coarse
    assert "Refine to 10 m (up to 0.018 MB)" in coarse
    assert "--level 1" in listed["command"]
    assert "--level" not in within["command"]
    assert "--bbox" in within["command"]
    assert "Computed at 20 m" in again
    assert "--level" not in refined["command"]
    for answer in (listed, within, refined):
        assert_same_as_command(answer, tmp_path)


def test_two_dates_and_what_changed(
    tmp_path: Path, raster: Path, make_raster: MakeRaster, browse: Browse
) -> None:
    """Each date has its scores; keys step through dates; the change has a legend."""
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, recipe="pca8-int8", time="2023")
    geoembz.append(store, make_raster(tmp_path / "later.tif", scene(1)), time="2024")
    example = centre(store, 30, 40)
    found = {year: all_scores(store, example, time=year) for year in ("2023", "2024")}
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            *ask(found["2024"], example, "cosine"),
            {"press": "["},
            {"wait": "return document.getElementById('command').textContent.includes('2023')"},
            *ask(found["2023"], example, "cosine"),
            {"check": "#change"},
            {"wait": "return document.querySelector('#legend').textContent.includes('since')"},
            IDLE,
            {"evaluate": "return document.getElementById('date-value').textContent"},
        )
    clean(seen, viewer.url)
    for scores, year in ((seen.results[2], "2024"), (seen.results[10], "2023")):
        expected = found[year].scores[0, places(found[year])]
        np.testing.assert_allclose(scores, expected, atol=1e-3)
    assert seen.results[-1] == "2023-01-01"


def test_two_zones_are_one_map(tmp_path: Path, browse: Browse) -> None:
    """Grids in two projections are drawn on one map, and searched together."""
    store = tmp_path / "zones.zarr"
    geoembz.convert(write_zones(tmp_path / "in"), store)
    first = geoembz.open(store, grid="utm33n")
    lon, lat = all_places(store / "utm33n")
    middle = first.sizes["y"] // 2 * first.sizes["x"] + first.sizes["x"] // 2
    example = (float(lon[middle]), float(lat[middle]))
    found = all_scores(store, example)
    with geoembz.view(store, browser=False) as viewer:
        seen = clean(browse(viewer.url, *ask(found, example, "cosine")), viewer.url)
    np.testing.assert_allclose(seen.results[2], found.scores[0, places(found)], atol=1e-3)
    assert seen.results[3]["grid"] == "utm33n"


def test_the_command_of_a_part_of_two_zones_has_the_box_that_is_in_view(
    tmp_path: Path, browse: Browse
) -> None:
    """Grids have no CRS in common: the box is that of the map."""
    store = tmp_path / "zones.zarr"
    geoembz.convert(write_zones(tmp_path / "in"), store)
    lon, lat = all_places(store / "utm33n")
    question = {"for": [[float(lon[len(lon) // 2]), float(lat[len(lat) // 2])]], "k": 5}
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            READY,
            {"evaluate": f"await geoembz.query({json.dumps(question)})"},
            {"push": "#best li:first-child button"},
            {"evaluate": "document.getElementById('map').focus()"},
            *[{"press": "+"}, CALM] * 2,
            LISTED,
        )
    answer = clean(seen, viewer.url).results[-1]
    assert "--bbox-crs EPSG:3857" in answer["command"]
    assert_same_as_command(answer, tmp_path)


def all_places(store: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes of all pixels, row by row."""
    from pyproj import Transformer

    opened = geoembz.open(store)
    x, y = np.meshgrid(opened.x.values, opened.y.values)
    to_degrees = Transformer.from_crs(opened.attrs["proj:code"], "OGC:CRS84", always_xy=True)
    return to_degrees.transform(x.ravel(), y.ravel())


def test_labels_become_a_map_and_a_file(tmp_path: Path, raster: Path, browse: Browse) -> None:
    """Painted points train a map of classes; the file has them where they were painted."""
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, recipe="pca8-int8")
    steps: list[dict[str, Any]] = [READY]
    for name, points in (("wood", [[200, 500], [260, 520]]), ("field", [[500, 500], [540, 520]])):
        steps += [{"fill": ["#class-name", name]}, {"push": "#add-class"}]
        for number, point in enumerate(points, start=1):
            told = f"'{name} ({number})'"
            counted = f"return document.getElementById('classes').textContent.includes({told})"
            steps += [{"click": point}, {"wait": counted}]
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            *steps,
            {"push": "#train"},
            {"wait": "return document.querySelector('#legend').textContent.includes('wood')"},
            IDLE,
            {"download": "#download"},
        )
    clean(seen, viewer.url)
    (tmp_path / "labels.geojson").write_text(seen.results[-1])
    sampled = geoembz.sample(store, tmp_path / "labels.geojson")
    assert sampled.found.all()
    labels = [f["properties"]["label"] for f in json.loads(seen.results[-1])["features"]]
    assert labels == ["wood", "wood", "field", "field"]


def test_keyboard_and_phone(tmp_path: Path, raster: Path, browse: Browse) -> None:
    """Without a mouse the middle of the map is taken; on a phone the panel can be put away."""
    store = tmp_path / "a.zarr"
    geoembz.convert(raster, store, recipe="pca8-int8")
    with geoembz.view(store, browser=False) as viewer:
        seen = browse(
            viewer.url,
            READY,
            {"evaluate": "document.getElementById('map').focus()"},
            {"press": "Enter"},
            {"wait": "return document.querySelectorAll('#best li').length === 10"},
            {"push": "#sheet"},
            {"evaluate": "return document.getElementById('panel').hidden"},
            {"push": "#sheet"},
            {"press": "Escape"},
            {"wait": "return document.getElementById('similar').hidden"},
            {"evaluate": "return document.documentElement.dataset.theme"},
            {"evaluate": "return document.documentElement.scrollWidth"},
            viewport={"width": 390, "height": 800},
            colours="dark",
            touch=True,
        )
    clean(seen, viewer.url)
    assert seen.results[5] is True
    assert seen.results[9:] == ["dark", 390]


@pytest.fixture
def shown(tmp_path: Path, raster: Path) -> Iterator[str]:
    """Serve a page, whose address may name another store; give its URL."""
    geoembz.convert(raster, tmp_path / "a.zarr", recipe="int8")
    with geoembz.view(tmp_path / "a.zarr", browser=False) as viewer:
        yield viewer.url


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("http://127.0.0.1:9/a.zarr", "127.0.0.1:9/a.zarr"),
        ("elsewhere.zarr", "elsewhere.zarr"),
        ("store/embedding", "store/embedding"),
    ],
)
def test_errors_are_sentences(shown: str, browse: Browse, store: str, said: str) -> None:
    """No server, no store, no store of ours: the page says which, and where it looked."""
    seen = browse(
        f"{shown}?store={store}",
        {"wait": "return !document.getElementById('error').hidden"},
        {"evaluate": "return document.querySelector('#error p').textContent"},
        {"evaluate": "return await geoembz.ready.then(() => 'ready', (e) => e.message)"},
    )
    assert said in seen.results[1]
    assert seen.results[2] == seen.results[1]
    assert "Something is wrong with this page" not in seen.results[1]


def test_where_there_is_no_embedding_nothing_is_found(shown: str, browse: Browse) -> None:
    """A click into a hole or beside the store says so, and changes nothing."""
    seen = browse(
        shown,
        READY,
        {"click": [20, 350]},
        {"wait": "return !document.getElementById('error').hidden"},
        {"evaluate": "return document.querySelector('#error p').textContent"},
        {"evaluate": "return document.getElementById('similar').hidden"},
    )
    assert "There is no embedding at" in seen.results[3]
    assert seen.results[4] is True
