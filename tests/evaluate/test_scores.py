"""Scores per class, of retrieval, regression, segmentation and change: independent numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, roc_auc_score

from geoembz._evaluate.metrics.scores import (
    average_precision,
    change_distances,
    class_drops,
    confusion_counts,
    iou,
    pareto_front,
    r_squared,
    roc_auc,
    score_classes,
)
from geoembz.errors import InvalidConfigError


def normal(n: int, dimension: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, dimension))


@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_scores_are_those_of_scikit_learn_over_the_true_classes(
    rows: list[tuple[int, int]],
) -> None:
    labels, predicted = np.array(rows).T
    scores = score_classes(labels, predicted)
    classes = np.unique(labels)
    expected = f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
    np.testing.assert_allclose(list(scores["f1"].values()), expected)
    assert scores["macro_f1"] == pytest.approx(expected.mean())
    assert scores["accuracy"] == np.mean(labels == predicted)
    assert sum(scores["support"].values()) == len(rows)


def test_the_class_that_lost_most_is_named() -> None:
    labels = ["crop", "crop", "road", "road", "sea", "sea"]
    damaged = ["crop", "road", "crop", "crop", "sea", "sea"]
    drops = class_drops(score_classes(labels, labels)["f1"], score_classes(labels, damaged)["f1"])
    assert list(drops) == ["road", "crop", "sea"]
    assert drops["sea"] == 0.0


def test_scores_of_other_rows_are_not_compared() -> None:
    with pytest.raises(InvalidConfigError, match="same test rows"):
        class_drops(score_classes([1, 2], [1, 2])["f1"], score_classes([1, 1], [1, 1])["f1"])
    with pytest.raises(InvalidConfigError, match=r"\(2,\) labels and \(1,\)"):
        score_classes([1, 2], [1])


@pytest.mark.slow
@given(seed=st.integers(0, 50))
def test_mean_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    data = normal(40, 6, seed)
    labels = np.random.default_rng(seed).integers(0, 4, 40)
    unit = data / np.linalg.norm(data, axis=1, keepdims=True)
    expected = [
        average_precision_score(np.delete(labels == labels[i], i), np.delete(unit @ unit[i], i))
        for i in range(40)
        if np.sum(labels == labels[i]) > 1
    ]
    found = average_precision(data, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_ties_do_not_betray_the_order_of_the_rows() -> None:
    """Constant vectors, rows sorted by class: chance level, where ties by row would give 0.6."""
    labels = np.repeat([0, 1], 200)
    precision = average_precision(np.ones((400, 3)), labels)
    assert precision.mean() == pytest.approx(0.5, abs=0.03)


def test_queries_alone_in_their_class_are_left_out() -> None:
    assert len(average_precision(normal(5, 3), ["a", "a", "b", "c", "c"])) == 4
    with pytest.raises(InvalidConfigError, match="no query shares"):
        average_precision(normal(3, 3), [1, 2, 3])


def test_r2_by_hand() -> None:
    truth, guess = [1.0, 2.0, 4.0], [2.0, 2.0, 2.0]
    assert r_squared(truth, guess) == pytest.approx(1 - 5 / (14 / 3))
    assert np.isnan(r_squared([1.0, 1.0], [1.0, 2.0]))


@given(seed=st.integers(0, 50))
def test_iou_is_that_of_scikit_learn_and_windows_add_up(seed: int) -> None:
    labels, predicted = np.random.default_rng(seed).integers(1, 4, (2, 120))
    classes, windows = np.array([1, 2, 3, 4]), np.arange(120) // 40
    counts = confusion_counts(labels, predicted, classes, windows)
    (whole,) = confusion_counts(labels, predicted, classes, np.zeros(120))
    np.testing.assert_array_equal(counts.sum(axis=0), whole)
    np.testing.assert_array_equal(counts.sum(axis=(1, 2)), 40)
    expected = jaccard_score(labels, predicted, labels=[1, 2, 3], average=None)
    np.testing.assert_allclose(iou(whole), [*expected, np.nan])


@given(seed=st.integers(0, 50), n=st.integers(0, 12))
def test_nothing_as_small_beats_the_pareto_front(seed: int, n: int) -> None:
    sizes, scores = np.random.default_rng(seed).integers(0, 5, (2, n))
    front = pareto_front(sizes, scores)
    for i in range(n):
        as_small = sizes <= sizes[i]
        better = as_small & (scores > scores[i])
        equal = as_small & (scores == scores[i])
        earlier = equal & ((sizes < sizes[i]) | (np.arange(n) < i))
        assert front[i] == (not better.any() and not earlier.any())


@given(seed=st.integers(0, 50))
def test_auc_is_that_of_scikit_learn_ties_included(seed: int) -> None:
    generator = np.random.default_rng(seed)
    changed = np.arange(40) % 3 == 0
    distances = generator.integers(0, 8, 40)
    assert roc_auc(changed, distances) == pytest.approx(roc_auc_score(changed, distances))


def test_change_is_found_where_vectors_moved() -> None:
    before = normal(200, 16)
    changed = np.arange(200) < 40
    after = before + 0.1 * normal(200, 16, 1)
    after[changed] = normal(40, 16, 2)
    assert roc_auc(changed, change_distances(before, after)) > 0.99
    assert np.isnan(roc_auc(np.zeros(3, bool), [1.0, 2.0, 3.0]))
    with pytest.raises(InvalidConfigError, match="same pixels"):
        change_distances(before, after[1:])
