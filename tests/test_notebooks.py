"""What notebooks show: tables, maps and plots, from one room; escaped, and without a network."""

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._util import html
from geoembz.encoding import Encoding, Recipe

EMPTY = {"br", "meta", "path", "use", "image", "circle", "rect"}


class Checked(HTMLParser):
    """Refuses tags that are not closed, and what runs or asks for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag that begins."""
        assert tag not in {"script", "link", "iframe", "object", "img"}
        for name, value in attrs:
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href"}:
                assert (value or "").startswith("#")
        self.seen.append(tag)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Take a tag that ends."""
        if tag not in EMPTY:
            assert self.open.pop() == tag


def checked(shown: str) -> list[str]:
    """Return the tags of a piece of HTML that is whole and harmless."""
    parser = Checked()
    parser.feed(shown)
    parser.close()
    assert not parser.open
    return parser.seen


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Return one of each kind of thing that a notebook may show."""
    folder = tmp_path_factory.mktemp("shown")
    files = geoembz.write_demo(folder, size=64, dimension=8)
    store, some = folder / "a.zarr", geoembz.ExperimentOptions(samples=200)
    summary = geoembz.convert(files.embedding, store, pca=4)
    dataset = geoembz.open(store)
    vectors = np.stack([dataset.embedding[:, 9, 9].values, dataset.embedding[:, 50, 40].values])
    return {
        "summary": summary,
        "overviews": geoembz.overviews(store, levels=1),
        "publication": geoembz.publish(store, folder / "b.zarr", stac=False),
        "dry run": geoembz.dry_run(geoembz.convert, files.embedding, folder / "c.zarr"),
        "info": geoembz.info(store),
        "coverage": geoembz.shard_coverage(store),
        "verification": geoembz.verify(store),
        "encoding": geoembz.load_basis(store),
        "recipe": Recipe.parse("l2-pca4w0.5-rot-int4-lloyd"),
        "accessor": dataset.geoembz,
        "found": geoembz.search(store, vectors, k=5),
        "evaluation": geoembz.evaluate(
            source=str(files.embedding), recipes=["int8", "int4"], experiment=some
        ),
        "plan": geoembz.plan(files.embedding, recipes=["int8", "int4"], experiment=some),
    }


NAMES = (
    "summary", "overviews", "publication", "dry run", "info", "coverage", "verification",
    "encoding", "recipe", "accessor", "found", "evaluation", "plan",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_everything_shows_itself(name: str, things: Mapping[str, Any]) -> None:
    """Whole, harmless, of a size that a notebook keeps, with what `print` says in words."""
    shown = things[name]._repr_html_()
    tags = checked(shown)
    assert tags[:2] == ["div", "strong"]
    assert {"table", "pre"} & set(tags)
    assert len(shown) < 200_000
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons|matplotlib)", shown)
    printed = str(things[name])
    assert len(printed) < 10_000
    assert "array(" not in printed
    if hasattr(things[name], "to_table"):
        assert printed == things[name].to_table()


def test_a_search_is_a_map(things: Mapping[str, Any]) -> None:
    """A point for each that was found, in the colour of its query; the nearest are largest."""
    found = things["found"]
    shown = found._repr_html_()
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)" fill="(#\w+)"', shown)
    assert len(circles) == found.scores.size
    assert {colour for *_, colour in circles} == set(html.COLOURS[:2])
    sizes = [float(radius) for _, _, radius, colour in circles if colour == html.COLOURS[0]]
    assert sizes == sorted(sizes)  # ranks backwards, so that the nearest is on top
    assert "query 1, rank 0: cosine" in shown
    x, y = [float(circle[0]) for circle in circles], [float(circle[1]) for circle in circles]
    order = slice(None, None, -1)
    assert np.corrcoef(x, found.x.reshape(-1)[order])[0, 1] > 0.999
    assert np.corrcoef(y, found.y.reshape(-1)[order])[0, 1] < -0.999
    nowhere = np.full_like(found.x, np.nan)
    assert "<circle" not in replace(found, x=nowhere, y=nowhere)._repr_html_()


def test_an_evaluation_has_its_plots(
    things: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where matplotlib is installed; elsewhere the text."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    assert things["evaluation"]._repr_html_().count("<svg") == 2
    monkeypatch.setattr("geoembz._evaluate.evaluation.find_spec", lambda _: None)
    assert "<svg" not in things["evaluation"]._repr_html_()


def test_an_encoding_is_one_line(things: Mapping[str, Any]) -> None:
    """Its arrays would be many screens."""
    encoding: Encoding = things["encoding"]
    assert len(repr(encoding)) < 250
    assert "recipe: pca4-int8" in repr(encoding)
    assert "rot" in things["recipe"]._repr_html_()
    assert "at random" in things["recipe"]._repr_html_()
    assert "rotation" not in Recipe.parse("int8")._repr_html_()


def test_the_accessor_says_what_it_can(things: Mapping[str, Any]) -> None:
    """All of it, in words; `dir` knows it, and so do datasets."""
    accessor = things["accessor"]
    methods = {name for name in dir(accessor) if not name.startswith("_")}
    assert {"sample", "search", "preview", "export"} <= methods
    assert all(f".{name} " in repr(accessor) for name in methods)
    assert all(getattr(accessor, name).__doc__ for name in methods)
    assert "geoembz" in dir(accessor._dataset)


def test_nothing_of_others_is_markup() -> None:
    """Names of stores and labels, secrets, and what no terminal may see."""
    hostile = '<img src=x onerror="alert(1)">\x1b[2J'
    shown = html.table([(hostile, "https://me:secret@host/?key=abc")])
    shown += html.lines_of(hostile) + html.card(hostile)
    places = [html.Place(0, 0, 0, 1, hostile), html.Place(1, 1, 7, 0, "")]
    shown += html.point_map(places, caption=hostile, is_degrees=True)
    checked(shown)
    assert "<img" not in shown
    assert "secret" not in shown
    assert "abc" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("n_places", [0, 1, 5_000])
def test_maps_of_few_and_of_many(n_places: int) -> None:
    """One point has room round it; of thousands some are drawn."""
    places = [html.Place(5, 5, 0, 1, "") for _ in range(n_places)]
    shown = html.point_map(places, caption="here", is_degrees=False)
    checked(shown)
    assert shown.count("<circle") == min(n_places, html.MOST_PLACES)
    assert "nan" not in shown
