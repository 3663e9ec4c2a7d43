"""Scores per class, and the probe: scikit-learn's numbers, training rows only, rotation-proof."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from geoembz._evaluate.metrics.classification import class_drops, score_classes
from geoembz._evaluate.metrics.probe import fit_probe
from geoembz.errors import InvalidConfigError


def blobs(
    n: int, dimension: int, n_classes: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Overlapping Gaussian classes, on anisotropic axes and far from the origin."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, n_classes, n)
    centres = generator.normal(0, 1.5, (n_classes, dimension))
    vectors = (centres[labels] + generator.normal(size=(n, dimension))) * np.geomspace(
        3, 0.3, dimension
    )
    return (vectors + 5).astype(np.float32), labels


@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_scores_are_those_of_scikit_learn_over_the_true_classes(
    rows: list[tuple[int, int]],
) -> None:
    labels, predicted = np.array(rows).T
    scores = score_classes(labels, predicted)
    classes = np.unique(labels)
    expected = f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
    np.testing.assert_allclose(list(scores.f1.values()), expected)
    assert scores.macro_f1 == pytest.approx(expected.mean())
    assert scores.accuracy == np.mean(labels == predicted)
    assert sum(scores.support.values()) == len(rows)


def test_the_class_that_lost_most_is_named() -> None:
    labels = ["crop", "crop", "road", "road", "sea", "sea"]
    damaged = ["crop", "road", "crop", "crop", "sea", "sea"]
    drops = class_drops(score_classes(labels, labels), score_classes(labels, damaged))
    assert drops.worst_class == "road"
    assert list(drops.drops) == ["road", "crop", "sea"]
    assert drops.drops["sea"] == 0.0


def test_scores_of_other_rows_are_not_compared() -> None:
    with pytest.raises(InvalidConfigError, match="same test rows"):
        class_drops(score_classes([1, 2], [1, 2]), score_classes([1, 1], [1, 1]))
    with pytest.raises(InvalidConfigError, match=r"\(2,\) labels and \(1,\)"):
        score_classes([1, 2], [1])


def test_the_probe_separates_what_can_be_separated() -> None:
    vectors, labels = blobs(900, 8, 3, seed=0)
    probe = fit_probe(vectors[:600], labels[:600])
    assert probe.converged
    assert np.mean(probe.predict(vectors[600:]) == labels[600:]) > 0.85
    assert probe.c == min(probe.loss_by_c, key=lambda c: probe.loss_by_c[c])


def test_a_rotation_and_a_unit_change_nothing_for_the_probe() -> None:
    """PCA scores and their reconstruction must score alike, so must other units."""
    vectors, labels = blobs(500, 6, 3, seed=1)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    moved = (1000 * (vectors - vectors.mean(0)) @ rotation).astype(np.float32)
    first, second = fit_probe(vectors[:300], labels[:300]), fit_probe(moved[:300], labels[:300])
    assert first.c == second.c
    agreement = np.mean(first.predict(vectors[300:]) == second.predict(moved[300:]))
    assert agreement > 0.985


def test_a_label_copied_into_test_rows_only_is_of_no_use() -> None:
    """Everything is fitted on training rows, where the planted dimension is constant."""
    vectors, labels = blobs(600, 5, 2, seed=3)
    planted = np.concatenate([vectors, np.zeros((600, 1), np.float32)], axis=1)
    planted[400:, -1] = 100 * labels[400:]
    honest = fit_probe(vectors[:400], labels[:400]).predict(vectors[400:])
    leaking = fit_probe(planted[:400], labels[:400]).predict(planted[400:])
    assert np.mean(honest == leaking) > 0.985


def test_string_labels_groups_and_large_training_sets_work() -> None:
    vectors, labels = blobs(700, 4, 3, seed=4)
    names = np.array(["crop", "road", "sea"])[labels]
    groups = np.arange(700) // 20
    probe = fit_probe(vectors, names, groups=groups, tuning_rows=200)
    assert set(probe.predict(vectors).tolist()) <= {"crop", "road", "sea"}


def test_one_class_cannot_be_probed() -> None:
    with pytest.raises(InvalidConfigError, match="one class"):
        fit_probe(np.ones((9, 2)), np.zeros(9))
