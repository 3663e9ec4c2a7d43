"""The benchmark that chooses recipes: from training rows alone, by its rule, as users fit them."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rate_accuracy import run
from benchmarks.rate_memo import Memo
from benchmarks.rate_pipeline import Problem, read, split
from benchmarks.rate_plot import pareto
from benchmarks.rate_recipes import Choice, candidates, compared, default_budgets
from benchmarks.rate_selection import drop_losers, folds, judge, rank
from geoembz import evaluate
from geoembz._evaluate.sample import Sample
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError

DIMENSION = 32


@pytest.fixture
def problem() -> Problem:
    """Three classes that overlap."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 420)
    centres = rng.normal(size=(3, DIMENSION))
    rows = (centres[labels] + 2 * rng.normal(size=(420, DIMENSION))).astype(np.float32)
    return Problem(rows[:340], rows[340:], labels[:340], labels[340:])


@pytest.mark.parametrize(
    "name",
    ["pca8-int8", "l2-pca8w0.5-rot-pq4x8", "rot-binary", "int2-lloyd", "l2-pca8w0.5-itq-binary"],
)
def test_it_fits_what_users_fit(problem: Problem, name: str) -> None:
    """Keeping moments between fits changes no bit."""
    assert problem.fit(name, 3).hash == Encoding.fit(problem.train, name, 3).hash


def test_test_rows_have_no_say(problem: Problem) -> None:
    """Other test rows, other labels: the same ranking."""
    other = replace(problem, other=-problem.other, other_y=problem.other_y[::-1].copy())
    assert rank(problem, [4], seed=1) == rank(other, [4], seed=1)


def test_folds_hold_out_every_training_row_once(problem: Problem) -> None:
    """Held rows are never among those that a fold is fitted on."""
    held = [part.other for part in folds(problem, seed=2)]
    assert sorted(map(bytes, np.concatenate(held))) == sorted(map(bytes, problem.train))
    for part in folds(problem, seed=2):
        assert not set(map(bytes, part.train)) & set(map(bytes, part.other))


def test_ties_are_broken_as_evaluate_breaks_them() -> None:
    """Rows that are sorted by class: few bits tie, and the first class must not win them all."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(4), 200)
    rows = (rng.normal(size=(4, 16))[labels] + 2 * rng.normal(size=(800, 16))).astype(np.float32)
    is_train = np.arange(800) % 4 > 0
    sample = Sample(rows, labels, is_train=is_train)
    found = evaluate(table=sample, recipes=["pca6-binary"], tasks=["hamming"], seed=0)
    problem = split(rows, labels, ~is_train)
    hits = problem.hits(problem.code(problem.fit("pca6-binary")))
    assert hits.mean() == found.recipes[0].tasks["hamming"]["accuracy"]


OLD, NEW = Choice(8, "pca8-int8"), Choice(8, "l2-pca16-int4-lloyd", 0.25)


@pytest.mark.parametrize(("gain", "chosen"), [(2, OLD), (40, NEW)])
def test_only_a_significant_gain_beats_the_article(gain: int, chosen: Choice) -> None:
    """2 of 1,000 rows more may be chance; 40 more, and none less, are not."""
    old = np.arange(1000) < 900
    ranking = judge({OLD: old, NEW: np.arange(1000) < 900 + gain}, {OLD})
    assert (ranking.chosen, ranking.leader) == (chosen, NEW)
    assert judge({NEW: old}, {OLD}).chosen == NEW


def test_clear_losers_drop_out() -> None:
    """The leader and those within two standard errors of it stay."""
    rows = np.arange(1000)
    race = {OLD: rows < 900, NEW: rows < 898, Choice(8, "pca2-int8"): rows < 800}
    drop_losers(race)
    assert set(race) == {OLD, NEW}


@pytest.mark.parametrize("dimension", [24, 64, 128, 1280])
def test_every_recipe_has_the_size_it_competes_at(dimension: int) -> None:
    """Candidates fit vectors and bytes; the largest budget is a byte per number."""
    budgets = default_budgets(dimension)
    assert (budgets[0], budgets[-1]) == (4, dimension)
    for budget in budgets:
        names = [choice.recipe for choice in candidates(budget, dimension)]
        for name in (*names, *compared(budget, dimension)):
            recipe = Recipe.parse(name)
            recipe.check_dimension(name, dimension)
            assert (str(recipe), recipe.bytes_per_vector(dimension)) == (name, budget)


@pytest.mark.slow
def test_a_run_writes_table_and_plot(problem: Problem, tmp_path: Path) -> None:
    """Every recipe is tested and every choice is among those tested; nothing partial is left."""
    rows = np.concatenate([problem.train, problem.other])
    labels = np.concatenate([problem.train_y, problem.other_y])
    np.savez(tmp_path / "few.npz", embeddings=rows, labels=labels, is_train=np.arange(420) < 340)
    run(read(tmp_path / "few.npz"), "few", [4, DIMENSION], 2, tmp_path)
    lines = (tmp_path / "rate_accuracy_few.csv").read_text().splitlines()
    table = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    tested = {(row["recipe"], row["whiten"]) for row in table if row["experiment"] == "test"}
    chosen = [row for row in table if row["experiment"] == "chosen"]
    assert {(c.recipe, str(c.whiten)) for c in candidates(4, DIMENSION)} <= tested
    assert {row["bytes"] for row in chosen} == {"4", "32"}
    assert all(row["seeds"] == "2" and (row["recipe"], row["whiten"]) in tested for row in chosen)
    assert (tmp_path / "rate_accuracy_few.png").stat().st_size > 1000
    assert not list(tmp_path.glob("*partial*"))


def test_tables_without_labels_are_refused(tmp_path: Path) -> None:
    """Accuracy needs labels."""
    np.savez(tmp_path / "bare.npz", embeddings=np.ones((9, 4)))
    with pytest.raises(InvalidConfigError, match="no labels"):
        read(tmp_path / "bare.npz")


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    """What is known is not computed again, unless settings changed."""
    settings = {"seeds": 1, "recipes": {4: ("binary",)}}
    Memo(tmp_path / "m.json", settings).get("a", lambda: [1])
    assert Memo(tmp_path / "m.json", settings).get("a", lambda: [2]) == [1]
    assert Memo(tmp_path / "m.json", {"seeds": 2}).get("a", lambda: [2]) == [2]


def test_the_front_is_what_nothing_as_small_beats() -> None:
    """Smaller and better points remove larger and worse ones; ties need no second point."""
    assert pareto({(4, 1.0), (4, 2.0), (8, 2.0), (9, 3.0)}) == [(4, 2.0), (9, 3.0)]
