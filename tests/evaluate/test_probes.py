"""Linear probe and ridge: scikit-learn's numbers, training rows only, rotation-proof."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from geoembz._evaluate.metrics.probes import fit_probe, fit_ridge
from geoembz.errors import InvalidConfigError


def normal(n: int, dimension: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, dimension))


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


def test_ridge_is_that_of_scikit_learn_at_the_chosen_penalty() -> None:
    data = normal(200, 10) * np.geomspace(4, 0.1, 10) + 3
    values = data @ normal(10, 1, 1)[:, 0] + normal(200, 1, 2)[:, 0]
    probe = fit_ridge(data, values)
    scatter = np.trace(np.cov(data.T)) * 199 / 10
    reference = Ridge(alpha=probe.alpha * scatter).fit(data, values)
    np.testing.assert_allclose(probe.predict(data), reference.predict(data), rtol=1e-8)
    assert probe.alpha == min(probe.mse_by_alpha, key=lambda alpha: probe.mse_by_alpha[alpha])


def test_ridge_refuses_what_it_cannot_fit() -> None:
    with pytest.raises(InvalidConfigError, match="finite"):
        fit_ridge(normal(9, 2), np.full(9, np.nan))
    with pytest.raises(InvalidConfigError, match="cannot fill 5 folds"):
        fit_ridge(normal(9, 2), np.arange(9), groups=np.arange(9) % 3)
