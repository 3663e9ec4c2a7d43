"""Real data: polygons as groups, regions as groups, and int8 that costs nothing."""

import os
from pathlib import Path

import numpy as np
import pytest

from geoembz import evaluate, plan
from geoembz._evaluate.metrics.neighbours import (
    cosine_neighbours,
    hamming_neighbours,
    majority_vote,
)

SHARED = Path(__file__).absolute().parents[3] / "shared/data"
DATA = Path(os.environ.get("GEOEMBZ_SHARED_DATA", SHARED))
GALILEO = DATA / "galileo_s2"
POINTS = DATA / "aef_dynamicworld/aef_dw_points.npz"
EUROSAT = DATA / "eurosat/eurosat_efficientnet_lite0_1280d_f16.npz"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data (GEOEMBZ_SHARED_DATA)"),
]


def test_polygons_of_a_scene_are_groups() -> None:
    """All 25 polygons are tested, a random split of them flatters, and int8 costs nothing."""
    options = {
        "source": GALILEO / "galileo_nano_s2_patch1_128d_float32.tif",
        "labels": GALILEO / "training_polygons.geojson",
        "label_column": "class",
        "groups": "id",
        "recipes": ["int8"],
        "tasks": ["knn"],
    }
    honest, leaky = evaluate(**options), evaluate(**options, split="random")  # type: ignore[arg-type]
    assert honest.n_rows == 2370
    assert honest.split["n_groups"] == 25
    scores = [run.baseline["tasks"]["knn"]["accuracy"] for run in (honest, leaky)]
    assert scores[1] > scores[0] + 0.03
    assert honest.recipes[0].tasks["knn"]["verdict"] == "no difference found"


def test_regions_of_points_are_groups() -> None:
    """Every region is tested by what never saw it."""
    evaluation = evaluate(table=POINTS, groups="region", recipes=["int8"], tasks=["knn"])
    assert (evaluation.split["folds"], evaluation.split["n_groups"]) == (4, 4)
    assert evaluation.split["n_test"] == 2880
    assert abs(evaluation.recipes[0].tasks["knn"]["delta"]) < 0.01


@pytest.mark.long
def test_int8_is_free_on_eurosat() -> None:
    """The article's first finding, on another backbone."""
    evaluation = evaluate(table=EUROSAT, recipes=["int8", "rot-binary"], tasks=["knn", "hamming"])
    assert evaluation.baseline["tasks"]["knn"]["accuracy"] == pytest.approx(0.9128, abs=0.001)
    int8, rotated = evaluation.recipes
    assert int8.tasks["knn"]["mcnemar_p"] > 0.1
    assert rotated.tasks["hamming"]["delta"] > -0.008


def test_plan_for_eurosat_is_confirmed() -> None:
    """One point of accuracy buys a hundredfold compression, on both splits of the test rows."""
    found = plan(EUROSAT, max_loss=0.01, recipes=["int8", "pca64-int8", "pca64-int4-lloyd"])
    assert found.chosen.recipe == "pca64-int4-lloyd"
    assert found.chosen.confirmation is not None
    assert found.chosen.confirmation.loss <= 0.01


def test_eurosat_neighbours_have_the_accuracy_of_the_design() -> None:
    """docs/design: float32 91.28 %, binary with the mean as threshold 87.13 %."""
    with np.load(EUROSAT) as table:
        vectors = table["embeddings"].astype(np.float32)
        labels, is_train = table["labels"], table["is_train"]
    found = cosine_neighbours(vectors[~is_train], vectors[is_train], 5).indices
    accuracy = np.mean(majority_vote(labels[is_train], found) == labels[~is_train])
    assert accuracy == pytest.approx(0.9128, abs=0.001)
    bits = np.packbits(vectors > vectors[is_train].mean(axis=0), axis=1)
    found = hamming_neighbours(bits[~is_train], bits[is_train], 5).indices
    accuracy = np.mean(majority_vote(labels[is_train], found) == labels[~is_train])
    assert accuracy == pytest.approx(0.8713, abs=0.005)
