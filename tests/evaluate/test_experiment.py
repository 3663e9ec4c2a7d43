"""Evaluations of tables: the protocol, its statistics, and that nothing leaks."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from geoembz import ExperimentOptions, evaluate, plan
from geoembz._evaluate import Evaluation, Sample
from geoembz._evaluate.cross_validation import divide
from geoembz._evaluate.sample import ExperimentKeywords, clean
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError


def evaluate_sample(sample: Sample, recipes: list[str], **options: Any) -> Evaluation:
    return evaluate(table=sample, recipes=recipes, **options)


def test_json_has_the_promised_structure(blobs: Sample) -> None:
    """Names and ranges are those that scripts rely on."""
    document = evaluate_sample(blobs, ["int8", "binary"]).to_json()
    assert 0 <= document["baseline"]["tasks"]["knn"]["accuracy"] <= 1
    assert [entry["recipe"] for entry in document["recipes"]] == ["int8", "binary"]
    knn = document["recipes"][0]["tasks"]["knn"]
    assert 0 <= knn["accuracy"] <= 1
    assert 0 <= knn["mcnemar_p"] <= 1
    assert knn["ci95"][0] <= knn["delta"] <= knn["ci95"][1]
    assert {"knn", "knn_float_query", "probe"} == set(document["recipes"][0]["tasks"])
    assert {"knn", "knn_float_query", "hamming", "probe"} == set(document["recipes"][1]["tasks"])
    assert document["recipes"][0]["bytes"] == 12


def test_float32_costs_nothing(blobs: Sample) -> None:
    """The uncompressed recipe has a difference of exactly zero, and it is said as such."""
    task = evaluate_sample(blobs, ["float32"], tasks=["knn"]).recipes[0].tasks["knn"]
    assert (task["delta"], task["ci95"], task["mcnemar_p"]) == (0.0, [0.0, 0.0], 1.0)
    assert task["text"].startswith("no difference found")


def test_knn_is_that_of_scikit_learn(blobs: Sample) -> None:
    """Baseline predictions have the accuracy of scikit-learn's brute force on the same rows."""
    from sklearn.neighbors import KNeighborsClassifier

    evaluation = evaluate_sample(blobs, ["int8"], tasks=["knn"])
    fold, labels = divide(blobs).folds[0], blobs.labels
    assert labels is not None
    model = KNeighborsClassifier(5, algorithm="brute", metric="cosine")
    model.fit(blobs.vectors[fold.train], labels[fold.train])
    expected = model.score(blobs.vectors[fold.test], labels[fold.test])
    assert evaluation.baseline["tasks"]["knn"]["accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize("recipe", ["pca4-int4", "binary", "l2-pca4w0.5-rot-int2-lloyd"])
def test_float_queries_are_compared_with_decoded_vectors(blobs: Sample, recipe: str) -> None:
    """As scikit-learn does it on vectors that were decoded, in original space and weighed."""
    from sklearn.neighbors import KNeighborsClassifier

    names = ["knn_float_query", "knn_float_query_whitened", "knn_whitened"]
    names += ["knn_float_query_slightly_whitened", "knn_slightly_whitened"]
    evaluation = evaluate_sample(blobs, [recipe], tasks=names)
    fold, labels = divide(blobs).folds[0], blobs.labels
    assert labels is not None
    encoding = Encoding.fit(blobs.vectors[fold.train], recipe)
    codes, tested = encoding.encode(blobs.vectors), blobs.vectors[fold.test]
    weighed, slightly = (
        encoding.decoder("reduced", whiten=power).decode(np.ascontiguousarray(codes.T)).T
        for power in (0.5, 0.25)
    )
    compared = {
        "knn_float_query": (encoding.decode(codes), tested),
        "knn_float_query_whitened": (weighed, encoding.reduce(tested, 0.5)),
        "knn_whitened": (weighed, weighed[fold.test]),
        "knn_float_query_slightly_whitened": (slightly, encoding.reduce(tested, 0.25)),
        "knn_slightly_whitened": (slightly, slightly[fold.test]),
    }
    for name, (decoded, queries) in compared.items():
        model = KNeighborsClassifier(5, algorithm="brute", metric="cosine")
        model.fit(decoded[fold.train], labels[fold.train])
        expected = model.score(queries, labels[fold.test])
        found = evaluation.recipes[0].tasks[name]["accuracy"]
        assert found == pytest.approx(expected, abs=2 / len(fold.test)), name  # ties
    measured = evaluation.recipes[0].fidelity
    assert measured["recall_float_query"]["10"] >= measured["recall"]["10"]
    if recipe == "binary":  # whose codes lose most
        assert measured["recall_float_query"]["10"] > measured["recall"]["10"]


def test_drop_per_class_names_the_worst(blobs: Sample) -> None:
    """Drops are differences of F1, and the worst class is the first of them."""
    evaluation = evaluate_sample(blobs, ["binary"], tasks=["knn"])
    task = evaluation.recipes[0].tasks["knn"]
    full = evaluation.baseline["tasks"]["knn"]["f1"]
    for name, drop in task["f1_drop"].items():
        assert drop == pytest.approx(full[name] - task["f1"][name])
    assert task["f1_drop"][task["worst_class"]] == max(task["f1_drop"].values())


def test_labels_copied_into_test_rows_gain_nothing() -> None:
    """A dimension that holds the label in test rows only: whoever fits on them would use it."""
    rng = np.random.default_rng(1)
    labels, is_train = rng.integers(0, 4, 600), np.arange(600) < 400
    vectors = rng.normal(size=(600, 8)).astype(np.float32)
    vectors[~is_train, 7] = 50 * labels[~is_train]
    vectors[is_train, 7] = 0
    sample = Sample(vectors, labels, is_train=is_train)
    evaluation = evaluate_sample(sample, ["pca4-int8", "int8"], tasks=["knn", "probe"])
    for result in evaluation.recipes:
        for task in result.tasks.values():
            assert task["accuracy"] < 0.4


def _fingerprinted(seed: int = 0) -> Sample:
    """Blocks whose pixels carry their label, enciphered by a key of the block."""
    rng = np.random.default_rng(seed)
    n_blocks, per_block = 60, 40
    block = np.repeat(np.arange(n_blocks), per_block)
    labels = rng.integers(0, 2, len(block))
    keys = rng.normal(size=(n_blocks, 2, 16))
    vectors = keys[block, labels] + 0.1 * rng.normal(size=(len(block), 16))
    x = 100.0 * (block % 10) + rng.uniform(0, 99, len(block))
    y = 100.0 * (block // 10) + rng.uniform(0, 99, len(block))
    return Sample(vectors.astype(np.float32), labels, x=x, y=y)


def test_blocked_split_exposes_a_planted_leak() -> None:
    """The label copied into the vectors, but enciphered anew in every block, is no knowledge."""
    sample = _fingerprinted()
    leaky = evaluate_sample(sample, ["int8"], tasks=["knn"], split="random", block_size=100)
    honest = evaluate_sample(sample, ["int8"], tasks=["knn"], block_size=100)
    assert leaky.baseline["tasks"]["knn"]["accuracy"] > 0.95
    assert honest.baseline["tasks"]["knn"]["accuracy"] < 0.65
    assert honest.split["kind"] == "blocked"


def test_groups_decide_and_mcnemar_warns(blobs: Sample) -> None:
    """With groups the interval over groups decides."""
    sample = replace(blobs, groups=np.arange(300) // 6)
    task = evaluate_sample(sample, ["binary"], tasks=["knn"]).recipes[0].tasks["knn"]
    assert task["n_groups"] == 10
    assert "groups" in task["warning"]
    decided = "loss" if task["ci95"][1] < 0 else "no difference found"
    assert task["verdict"] == decided


def test_few_groups_are_all_tested(blobs: Sample) -> None:
    """With few groups every row is tested once, by encodings that never saw its group."""
    groups = np.repeat(np.tile(np.arange(4), 75), 1)
    division = divide(replace(blobs, groups=groups))
    assert len(division.folds) == 4
    assert sorted(division.tested) == list(range(300))
    for fold in division.folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])


def test_training_rows_are_shuffled(blobs: Sample) -> None:
    """Distance ties go to the lower row, so sorted labels would win them."""
    fold = divide(blobs).folds[0]
    assert not np.all(np.diff(fold.train) > 0)


@pytest.mark.parametrize(
    ("labels", "task", "metric"),
    [
        ("quantity", "regression", "r2"),
        ("class", "retrieval", "map"),
        ("class", "segmentation", "miou"),
    ],
)
def test_other_tasks_are_compared(blobs: Sample, labels: str, task: str, metric: str) -> None:
    """Every task says what was lost, and a coarse recipe loses more than a fine one."""
    groups = np.arange(300) // 6
    quantity = blobs.vectors @ np.arange(12, dtype=np.float32)
    sample = replace(
        blobs, groups=groups, labels=quantity if labels == "quantity" else blobs.labels
    )
    evaluation = evaluate_sample(sample, ["int8", "pca1-binary"], tasks=[task])
    fine, coarse = (result.tasks[task] for result in evaluation.recipes)
    assert fine[metric] > coarse[metric]
    assert fine["ci95"][0] <= fine["delta"] <= fine["ci95"][1]
    assert coarse["verdict"] == "loss"


def test_change_needs_and_uses_two_dates() -> None:
    """Moved vectors are told from others, before and after compression."""
    rng = np.random.default_rng(0)
    before = rng.normal(size=(400, 8)).astype(np.float32)
    changed = np.arange(400) % 4 == 0
    after = before + 0.1 * rng.normal(size=before.shape).astype(np.float32)
    after[changed] = rng.normal(size=(100, 8))
    sample = Sample(before, changed.astype(int), after=after)
    evaluation = evaluate_sample(sample, ["int8", "pca1-binary"])
    fine, coarse = (result.tasks["change"] for result in evaluation.recipes)
    assert fine["auc"] > 0.95
    assert abs(fine["delta"]) < 0.01
    assert coarse["verdict"] == "loss"
    with pytest.raises(InvalidConfigError, match="second date"):
        evaluate_sample(replace(sample, after=None), ["int8"], tasks=["change"])


def test_without_labels_more_bits_are_better() -> None:
    """Fidelity, recall and rank correlation fall with the bits."""
    vectors = np.random.default_rng(0).normal(size=(600, 16)).astype(np.float32)
    evaluation = evaluate_sample(Sample(vectors), ["int8", "int4", "binary"])
    measured = [result.fidelity for result in evaluation.recipes]
    for key in ("spearman",):
        assert measured[0][key] > measured[1][key] > measured[2][key]
    assert measured[0]["recall"]["10"] > measured[1]["recall"]["10"] > measured[2]["recall"]["10"]
    assert measured[2]["binary_balance"]["imbalance"] < 0.1
    assert measured[0]["clipped_share"] < 0.02
    assert evaluation.baseline["fidelity"]["spectrum"]["16"] == pytest.approx(1.0)


def test_unusable_rows_are_counted() -> None:
    """Rows that cannot be used are left out under their reason."""
    vectors = np.ones((10, 3), np.float32)
    vectors[0, 1] = np.nan
    labels = np.array([0, 0, 1, 1, 0, 1, np.nan, 7, 0, 1])
    sample = clean(Sample(vectors, labels))
    assert sample.exclusions == {
        "vector with NaN or infinity": 1,
        "label missing": 1,
        "class with one member": 1,
    }
    assert len(sample) == 7


def test_one_class_is_refused() -> None:
    """One class can be neither learned nor tested."""
    with pytest.raises(InvalidConfigError, match="one class"):
        clean(Sample(np.ones((5, 2), np.float32), np.zeros(5, int)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipes": ["nonsense"]}, "nonsense"),
        ({"recipes": []}, "nothing to judge"),
        ({"recipes": ["pca99-int8"]}, "99"),
        ({"recipes": ["int8"], "tasks": ["dancing"]}, "dancing"),
        ({"recipes": ["int8"], "split": "diagonal"}, "diagonal"),
        ({"recipes": ["int8"], "split": "blocked"}, "places"),
        ({"recipes": ["int8"], "split": "given"}, "is_train"),
    ],
)
def test_wrong_options_are_named(
    blobs: Sample, options: dict[str, list[str]], message: str
) -> None:
    """An impossible option is refused by name."""
    with pytest.raises(InvalidConfigError, match=message):
        evaluate_sample(blobs, **options)


def test_options_are_a_group_or_keywords(blobs: Sample) -> None:
    """`experiment=` and its fields say the same to both functions; contradictions are refused."""
    names = {field.name for field in fields(ExperimentOptions)}
    assert ExperimentKeywords.__annotations__.keys() == names
    group = ExperimentOptions(split="random", seed=3)
    flat = evaluate_sample(blobs, ["int8"], split="random", seed=3).to_json()
    assert evaluate_sample(blobs, ["int8"], experiment=group).to_json() == flat
    mixed = replace(group, seed=0)
    planned = plan(blobs, recipes=["int8"], experiment=mixed, seed=3).to_json()
    assert planned == plan(blobs, recipes=["int8"], split="random", seed=3).to_json()
    with pytest.raises(InvalidConfigError, match=r"seed 4, but experiment.seed is 3; give it once"):
        plan(blobs, experiment=group, seed=4)
    with pytest.raises(TypeError, match=r"evaluate\(\) got an unexpected keyword argument 'sede'"):
        evaluate_sample(blobs, ["int8"], sede=1)
