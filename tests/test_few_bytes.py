"""The benchmark of few bytes: measures as `evaluate` does, and chooses from training rows alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import geoembz
from benchmarks import few_bytes
from benchmarks.few_bytes import Held, Race, choose, fitting, measure_all, races
from benchmarks.rate_memo import Memo
from benchmarks.rate_pipeline import Problem, split
from benchmarks.rate_recipes import Choice
from geoembz._evaluate.sample import Sample

BEFORE, NEW = {4: ("pca8-int4",)}, {4: ("pca16w0.5-itq-int2-lloyd",), 99: ("pca99-int8",)}


def overlapping(seed: int = 0) -> Sample:
    """Rows of five classes that overlap, sorted by class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(5), 120)
    spread = np.geomspace(3, 0.3, 24)
    rows = (rng.normal(size=(5, 24))[labels] + rng.normal(size=(600, 24))) * spread + 1
    return Sample(rows.astype(np.float32), labels, is_train=np.arange(600) % 3 > 0)


def as_problem(sample: Sample) -> Problem:
    assert sample.labels is not None
    assert sample.is_train is not None
    return split(sample.vectors, sample.labels, ~sample.is_train)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes that fit small vectors at once."""
    monkeypatch.setattr(few_bytes, "BEFORE", BEFORE)
    monkeypatch.setattr(few_bytes, "NEW", NEW)


@pytest.mark.parametrize("recipe", ["l2-pca8-int4-lloyd", "pca16-itq-binary"])
def test_it_measures_what_evaluate_does(recipe: str) -> None:
    sample = overlapping()
    names = ["knn", "knn_float_query", "knn_whitened", "knn_float_query_whitened"]
    found = geoembz.evaluate(table=sample, recipes=[recipe], tasks=names, seed=0).recipes[0]
    problem = as_problem(sample)
    held, coded = Held(problem), problem.code(problem.fit(recipe))
    for use, whiten, name in zip(
        ("knn", "search", "knn", "search"), (0.0, 0.0, 0.5, 0.5), names, strict=True
    ):
        hits = held.measure(coded, whiten, use)
        assert hits["accuracy"].mean() == found.tasks[name]["accuracy"]
        if not whiten:
            recall = "recall" if use == "knn" else "recall_float_query"
            assert hits["recall"].mean() == pytest.approx(found.fidelity[recall]["10"])


@pytest.mark.usefixtures("few")
def test_test_rows_have_no_say() -> None:
    problem = as_problem(overlapping())
    other = replace(problem, other=-problem.other, other_y=problem.other_y[::-1].copy())
    assert choose(problem, seed=1) == choose(other, seed=1)


@pytest.mark.usefixtures("few")
def test_recipes_of_before_stay_unless_others_are_clearly_better() -> None:
    """Where nothing can tell them apart, all is as before; every race has a winner of its size."""
    problem = as_problem(overlapping())
    random = np.random.default_rng(3).integers(0, 5, len(problem.train_y))
    chosen = choose(replace(problem, train_y=random), seed=0)
    assert {Race(*row[:4]) for row in chosen} == set(races(24))
    for _, criterion, among, size, recipe, whiten in chosen:
        assert size == 4
        if criterion == "accuracy" or among == "before":
            assert (recipe, whiten) == ("pca8-int4", 0.0)


def test_what_is_chosen_is_tested(tmp_path: Path) -> None:
    """With each seed, but for recipes that draw nothing; results are kept recipe by recipe."""
    problem, memo = as_problem(overlapping()), Memo(tmp_path / "memo.json", {})
    race, name = Race("knn", "recall", "before", 4), "pca8-int4"
    chosen = [[*race, name, 0.0], ["search", "recall", "all", 4, "pca16-itq-int2-lloyd", 0.5]]
    rows = [list(few_bytes.test(problem, chosen, seed, memo, 0)) for seed in (0, 1)]
    ((_, _, hits),) = measure_all(problem, {race: [Choice(4, name)]}, 0)
    expected = [100 * hits[criterion].mean() for criterion in ("accuracy", "recall")]
    for found in rows:
        assert [row[:6] for row in found] == [
            ["search", "recall", "all", 4, "pca16-itq-int2-lloyd", "cosine-w0.5"],
            [*race, name, "cosine"],
        ]
        assert found[1][6:] == expected
    assert rows[0][0][6:] != rows[1][0][6:]
    assert rows[0] == list(few_bytes.test(problem, chosen, 0, memo, 0))


def test_recipes_fit_the_dimension() -> None:
    names = {4: ["l2-pca128-rq4x8"], 8: ["l2-pca16-int4-lloyd"], 64: ["l2-pca128-int4-lloyd"]}
    assert fitting(names, 64) == [(4, "l2-pca64-rq4x8"), (8, "l2-pca16-int4-lloyd")]
    assert len(fitting(names, 1280)) == 3
