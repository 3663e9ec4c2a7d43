"""Spectrum, balance, retrieval, regression, segmentation and change against independent numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, jaccard_score, r2_score, roc_auc_score

from geoembz._evaluate.metrics.change import change_distances, roc_auc
from geoembz._evaluate.metrics.regression import fit_ridge, score_regression
from geoembz._evaluate.metrics.retrieval import score_retrieval
from geoembz._evaluate.metrics.segmentation import ConfusionMatrix
from geoembz._evaluate.metrics.spectrum import binary_balance, variance_spectrum
from geoembz.errors import InvalidConfigError


def normal(n: int, dimension: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, dimension))


def test_spectrum_is_that_of_pca() -> None:
    data = normal(300, 20) * np.geomspace(5, 0.1, 20) + 100
    cumulative = np.cumsum(PCA().fit(data).explained_variance_ratio_)
    spectrum = variance_spectrum(data.astype(np.float32))
    assert list(spectrum) == [4, 8, 16, 20]
    np.testing.assert_allclose(list(spectrum.values()), cumulative[[3, 7, 15, 19]], rtol=1e-5)


def test_spectrum_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="all vectors are equal"):
        variance_spectrum(np.ones((5, 4)))
    with pytest.raises(InvalidConfigError, match=r"\(1, 4\)"):
        variance_spectrum(np.ones((1, 4)))


def test_balance_of_known_bits() -> None:
    bits = np.repeat([[1, 1, 1], [0, 1, 0], [0, 1, 1], [1, 1, 1]], 2, axis=0)
    balance = binary_balance(bits)
    np.testing.assert_allclose(balance.imbalance, [0, 0.5, 0.25])
    np.testing.assert_allclose(balance.entropy_bits, [1, 0, 0.811278], atol=1e-6)
    assert balance.summary()["constant_dimensions"] == 1
    assert balance.per_dimension() == {
        "imbalance": [0, 0.5, 0.25],
        "entropy_bits": [1, 0, 0.8113],
    }


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
    scores = score_retrieval(data, labels, ks=[1, 39])
    np.testing.assert_allclose(scores.average_precision, expected, rtol=1e-5)
    assert scores.recall[39] == 1.0
    assert scores.recall[1] == scores.precision[1]


def test_ties_do_not_betray_the_order_of_the_rows() -> None:
    """Constant vectors, rows sorted by class: chance level, where ties by row would give 0.6."""
    labels = np.repeat([0, 1], 200)
    scores = score_retrieval(np.ones((400, 3)), labels, ks=[10])
    assert scores.mean_average_precision == pytest.approx(0.5, abs=0.03)
    assert scores.precision[10] == pytest.approx(0.5, abs=0.35)


def test_queries_alone_in_their_class_are_excluded_and_counted() -> None:
    scores = score_retrieval(normal(5, 3), ["a", "a", "b", "c", "c"])
    assert (scores.n_queries, scores.n_excluded) == (4, 1)
    with pytest.raises(InvalidConfigError, match="no query shares"):
        score_retrieval(normal(3, 3), [1, 2, 3])


def test_ridge_is_that_of_scikit_learn_at_the_chosen_penalty() -> None:
    data = normal(200, 10) * np.geomspace(4, 0.1, 10) + 3
    values = data @ normal(10, 1, 1)[:, 0] + normal(200, 1, 2)[:, 0]
    probe = fit_ridge(data, values)
    scatter = np.trace(np.cov(data.T)) * 199 / 10
    reference = Ridge(alpha=probe.alpha * scatter).fit(data, values)
    np.testing.assert_allclose(probe.predict(data), reference.predict(data), rtol=1e-8)
    assert probe.alpha == min(probe.mse_by_alpha, key=lambda alpha: probe.mse_by_alpha[alpha])


def test_r2_is_that_of_scikit_learn_and_rmse_by_hand() -> None:
    truth, guess = [1.0, 2.0, 4.0], [2.0, 2.0, 2.0]
    scores = score_regression(truth, guess)
    assert scores.r2 == pytest.approx(r2_score(truth, guess))
    assert scores.rmse == pytest.approx(np.sqrt(5 / 3))
    assert np.isnan(score_regression([1.0, 1.0], [1.0, 2.0]).r2)


def test_ridge_refuses_what_it_cannot_fit() -> None:
    with pytest.raises(InvalidConfigError, match="finite"):
        fit_ridge(normal(9, 2), np.full(9, np.nan))
    with pytest.raises(InvalidConfigError, match="cannot fill 5 folds"):
        fit_ridge(normal(9, 2), np.arange(9), groups=np.arange(9) % 3)


@given(seed=st.integers(0, 50))
def test_iou_is_that_of_scikit_learn_and_windows_add_up(seed: int) -> None:
    labels, predicted = np.random.default_rng(seed).integers(1, 5, (2, 12, 10))
    classes = (1, 2, 3, 4)
    whole = ConfusionMatrix.of(labels, predicted, classes, nodata=4)
    halves = [
        ConfusionMatrix.of(labels[rows], predicted[rows], classes, nodata=4)
        for rows in (slice(5), slice(5, None))
    ]
    np.testing.assert_array_equal(halves[0].merge(halves[1]).counts, whole.counts)
    kept = labels != 4
    expected = jaccard_score(labels[kept], predicted[kept], labels=[1, 2, 3], average=None)
    np.testing.assert_allclose(list(whole.iou().values()), expected)
    assert whole.mean_iou() == pytest.approx(expected.mean())


def test_unknown_classes_are_named() -> None:
    with pytest.raises(InvalidConfigError, match=r"\[7\] are not among"):
        ConfusionMatrix.of([1, 7], [1, 1], (1, 2))
    with pytest.raises(InvalidConfigError, match="ascending"):
        ConfusionMatrix.of([1], [1], (2, 1))
    with pytest.raises(InvalidConfigError, match="cannot be merged"):
        ConfusionMatrix.of([1], [1], (1,)).merge(ConfusionMatrix.of([1], [1], (1, 2)))


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
