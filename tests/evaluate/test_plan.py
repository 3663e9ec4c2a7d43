"""Plans: the choice keeps its goal, is confirmed, and comes with a command that works."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geoembz import plan
from geoembz._demo import DemoFiles
from geoembz._evaluate import Sample
from geoembz._evaluate.cross_validation import divide_for_choice
from geoembz._evaluate.plan import convert_command
from geoembz._evaluate.planned import mark_frontier
from geoembz._evaluate.selection import ladder
from geoembz.encoding import Recipe
from geoembz.errors import InvalidConfigError


def test_choice_keeps_its_limit_on_both_splits(scene: DemoFiles) -> None:
    """The recommendation loses no more than asked where it was chosen and where it is confirmed."""
    found = plan(scene.embedding, max_loss=0.05, labels=scene.labels, samples=3000)
    chosen = found.chosen
    assert chosen.selection.loss <= 0.05
    assert chosen.confirmation is not None
    assert chosen.confirmation.loss <= 0.05
    cheaper = [o for o in found.options if o.bytes < chosen.bytes and o.selection.loss <= 0.05]
    assert {o.recipe for o in cheaper} <= set(found.passed_over)


def test_budget_is_kept(scene: DemoFiles) -> None:
    """Within a budget the recipe that loses least is recommended."""
    found = plan(scene.embedding, budget=8, samples=2000)
    assert found.chosen.bytes <= 8
    affordable = [o for o in found.options if o.bytes <= 8]
    assert found.chosen.selection.loss == min(o.selection.loss for o in affordable)
    with pytest.raises(InvalidConfigError, match="smallest tried"):
        plan(scene.embedding, budget=1, samples=2000, recipes=["int8"])


def test_splits_share_no_row(blobs: Sample) -> None:
    """Training, selection and confirmation rows are different rows, and all of them."""
    choice, confirmation = (division.folds[0] for division in divide_for_choice(blobs))
    parts = [choice.train, choice.test, confirmation.test]
    assert sorted(np.concatenate(parts)) == list(range(len(blobs)))
    np.testing.assert_array_equal(choice.train, confirmation.train)


def test_given_training_rows_stay_training_rows(blobs: Sample) -> None:
    """A split that comes with the data keeps its training rows."""
    from dataclasses import replace

    is_train = np.arange(300) % 3 > 0
    for division in divide_for_choice(replace(blobs, is_train=is_train)):
        assert sorted(division.folds[0].train) == list(np.flatnonzero(is_train))


def test_impossible_limit_ends_at_float32(blobs: Sample) -> None:
    """Where nothing keeps the limit, nothing is compressed, and that is the recommendation."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 8)).astype(np.float32)
    found = plan(Sample(vectors), max_loss=0.0, recipes=["binary", "pca2-int8"])
    assert found.chosen.recipe == "float32"
    assert found.chosen.selection.loss == pytest.approx(0, abs=1e-6)


def test_frontier_marks_what_nothing_cheaper_beats(scene: DemoFiles) -> None:
    """Sorted by size, the loss of marked options falls strictly."""
    options = plan(scene.embedding, budget=64, samples=2000).options
    marked = [option for option in mark_frontier(options) if option.on_frontier]
    losses = [option.selection.loss for option in marked]
    assert losses == sorted(set(losses))


def test_commands_name_existing_recipes() -> None:
    """Every rung of the ladder is a recipe, and its command spells it."""
    for name in ladder(1280, directions=True):
        assert str(Recipe.parse(name)) == name
    assert convert_command("a b.tif", "pca8-int4", 3).startswith("geoembz convert 'a b.tif' OUT")
    assert convert_command("s.tif", "pca8-rot-int4-lloyd").endswith("--recipe pca8-rot-int4-lloyd")


def test_sums_of_codewords_are_tried_at_few_bytes() -> None:
    """What was best at 4, 8 and 16 bytes, with lengths and without."""
    tried = [Recipe.parse(name) for name in ladder(1280, directions=True)]
    for normalize in (False, True):
        sums = [r for r in tried if r.quantizer == "rq" and r.normalize == normalize]
        assert {recipe.bytes_per_vector(1280) for recipe in sums} == {4, 8, 16}


def test_costs_scale_with_the_area(scene: DemoFiles) -> None:
    """100 m² pixels: a square kilometre holds 10,000 of them."""
    found = plan(scene.embedding, budget=8, samples=1000, area_km2=1, recipes=["pca8-int8"])
    assert found.n_pixels == 10_000
    document = found.to_json()
    assert document["chosen"]["total_bytes"] == 80_000
    assert "geoembz convert" in found.to_table()


@pytest.mark.parametrize("goal", [{"max_loss": 1.5}, {"budget": 0}, {"max_loss": 0.1, "budget": 3}])
def test_impossible_goals_are_refused(blobs: Sample, goal: dict[str, float]) -> None:
    """Goals outside their range, or two of them."""
    with pytest.raises(InvalidConfigError, match="plan"):
        plan(blobs, **goal)  # type: ignore[arg-type]


def test_too_few_groups_are_refused(blobs: Sample, tmp_path: Path) -> None:
    """Four groups cannot be trained, chosen and confirmed on."""
    from dataclasses import replace

    with pytest.raises(InvalidConfigError, match="10 groups"):
        plan(replace(blobs, groups=np.arange(300) % 4))


def test_directions_are_tried_where_lengths_differ_and_do_not_count(blobs: Sample) -> None:
    """Recipes without lengths: for tasks by cosine on vectors of different lengths, and said so."""
    assert not [name for name in ladder(512) if name.startswith("l2-")]
    lengths = np.random.default_rng(1).uniform(1, 9, (300, 1)).astype(np.float32)
    wide = np.tile(blobs.vectors * lengths, 4)
    found = plan(Sample(wide, blobs.labels), budget=16, use="knn")
    assert "l2-pca32-int4-lloyd" in [option.recipe for option in found.options]
    assert found.chosen.recipe.startswith("l2-") == ("directions only" in " ".join(found.messages))
    equal = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    tried = plan(Sample(equal, blobs.labels), budget=16, use="knn").options
    assert not [option for option in tried if option.recipe.startswith("l2-")]


def test_the_use_decides_what_counts(blobs: Sample) -> None:
    """Searches are measured with float queries; the best metric is named, and in the command."""
    recipes = ["pca8-int4", "pca4w0.5-rot-binary"]
    search = plan(blobs, budget=8, use="search", recipes=recipes)
    codes = plan(blobs, budget=8, use="knn", recipes=recipes)
    by = {
        "knn_float_query": "cosine",
        "knn_float_query_slightly_whitened": "cosine-w0.25",
        "knn_float_query_whitened": "cosine-w0.5",
    }
    assert {option.selection.by for option in search.options} <= set(by)
    assert search.compared_by == by[search.chosen.selection.by]
    assert search.compared_by in search.to_table()
    assert ("--metric" in search.command) == (search.compared_by != "cosine")
    measured = {"knn", "knn_slightly_whitened", "knn_whitened", "hamming"}
    assert {o.selection.by for o in codes.options} <= measured
    assert plan(blobs, budget=8, use="probe", recipes=recipes).compared_by is None
    with pytest.raises(InvalidConfigError, match="expected one of cosine"):
        plan(blobs, use="cooking", recipes=recipes)
    with pytest.warns(DeprecationWarning, match=r"plan\(use="):
        assert plan(blobs, budget=8, task="knn", recipes=recipes).chosen == codes.chosen


def test_change_is_planned_from_two_dates(scene: DemoFiles, tmp_path: Path) -> None:
    """The second date comes from `after`, and the score is the area under the ROC curve."""
    with rasterio.open(scene.embedding) as raster:
        values, profile = raster.read(), raster.profile
    changed = np.zeros((1, *values.shape[1:]), np.uint8)
    changed[0, ::7] = 1
    later = np.where(changed, np.roll(values, 40, axis=1), values)
    after, flags = tmp_path / "after.tif", tmp_path / "changed.tif"
    with rasterio.open(after, "w", **profile) as raster:
        raster.write(later)
    with rasterio.open(
        flags, "w", **(profile | {"count": 1, "dtype": "uint8", "nodata": None})
    ) as r:
        r.write(changed)
    found = plan(scene.embedding, labels=flags, after=after, samples=2000, recipes=["int8"])
    assert (found.use, found.metric) == ("change", "auc")
    assert found.chosen.recipe == "int8"


def test_labels_beside_a_table_are_refused(tmp_path: Path) -> None:
    """A table has its own labels; others would be ignored silently."""
    with pytest.raises(InvalidConfigError, match="is a table"):
        plan(tmp_path / "t.npz", labels=tmp_path / "l.tif")
