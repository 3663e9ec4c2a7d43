"""Spectrum, balance of bits, and order of distances: recall, pairs and rank correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from geoembz._evaluate.metrics.structure import (
    binary_balance,
    cosine_pair_distances,
    hamming_pair_distances,
    random_pairs,
    recall_at,
    spearman,
    variance_spectrum,
)
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
    assert balance["imbalance"] == pytest.approx(0.25)
    assert balance["total_entropy_bits"] == pytest.approx(1.811278, abs=1e-6)
    assert balance["constant_dimensions"] == 1
    assert balance["per_dimension"] == {
        "imbalance": [0, 0.5, 0.25],
        "entropy_bits": [1, 0, 0.8113],
    }


def test_recall_counts_the_share_found_whatever_the_order() -> None:
    expected, found = np.array([[0, 1, 2, 3]]), np.array([[1, 0, 9, 2]])
    assert recall_at(expected, found, ks=(1, 2, 4)) == {1: 0.0, 2: 1.0, 4: 0.75}


def test_recall_needs_as_many_neighbours_as_k() -> None:
    with pytest.raises(InvalidConfigError, match="k=10 needs"):
        recall_at(np.zeros((1, 3), int), np.zeros((1, 10), int), ks=(1, 10))


@given(n=st.integers(2, 9), seed=st.integers(0, 99))
def test_pairs_never_join_a_row_with_itself(n: int, seed: int) -> None:
    pairs = random_pairs(n, 200, seed=seed)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert pairs.min() >= 0
    assert pairs.max() < n


def test_one_row_has_no_pairs() -> None:
    with pytest.raises(InvalidConfigError, match="got 1 rows"):
        random_pairs(1, 5, seed=0)


def test_pair_distances_of_known_vectors() -> None:
    pairs = np.array([[0, 1], [0, 2]])
    vectors = [[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]
    np.testing.assert_allclose(cosine_pair_distances(vectors, pairs), [1.0, 0.0], atol=1e-7)
    bits = np.array([[0b1111, 0], [0b0110, 1], [0b1111, 0]], dtype=np.uint8)
    assert hamming_pair_distances(bits, pairs).tolist() == [3, 0]


@given(seed=st.integers(0, 99))
def test_spearman_is_that_of_scipy_ties_included(seed: int) -> None:
    left, right = np.random.default_rng(seed).integers(0, 6, (2, 40))
    assert spearman(left, right) == pytest.approx(spearmanr(left, right).statistic)


def test_constant_distances_have_no_rank_correlation() -> None:
    assert np.isnan(spearman([1.0, 1.0], [1.0, 2.0]))
