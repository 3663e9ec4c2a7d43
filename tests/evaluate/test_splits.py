"""Splits: nothing on both sides, shares kept, and a planted leak that blocks expose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoembz._evaluate.metrics.neighbours import cosine_neighbours, majority_vote
from geoembz._evaluate.metrics.splits import (
    Fold,
    block_ids,
    fold_ids,
    labelled_split,
    random_split,
    shuffle_training_rows,
    stratified_sample,
)
from geoembz.errors import InvalidConfigError


def all_rows(split: Fold) -> NDArray[np.int64]:
    return np.sort(np.concatenate([split.train, split.test]))


@given(n=st.integers(5, 80), share=st.floats(0.2, 0.8), seed=st.integers(0, 99))
def test_random_split_parts_the_rows(n: int, share: float, seed: int) -> None:
    split = random_split(n, share, seed=seed)
    np.testing.assert_array_equal(all_rows(split), np.arange(n))
    assert len(split.test) == round(n * share)


def test_ties_favour_no_class() -> None:
    """All rows equally near, sorted by class: the first ones are of both classes."""
    fold = Fold(np.arange(100), np.arange(100, 110))
    shuffled = shuffle_training_rows(fold, seed=3)
    assert sorted(shuffled.train) == list(fold.train)
    assert 20 < int((shuffled.train[:50] < 50).sum()) < 30
    np.testing.assert_array_equal(shuffled.test, fold.test)
    np.testing.assert_array_equal(shuffle_training_rows(fold, seed=3).train, shuffled.train)


@given(labels=st.lists(st.integers(0, 3), min_size=6, max_size=80), seed=st.integers(0, 99))
def test_stratified_folds_hold_each_class_evenly(labels: list[int], seed: int) -> None:
    folds = fold_ids(labels, 3, seed=seed)
    for name in set(labels):
        counts = np.bincount(folds[np.array(labels) == name], minlength=3)
        assert counts.max() - counts.min() <= 1


@given(
    groups=st.lists(st.integers(0, 9), min_size=20, max_size=80),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole(groups: list[int], seed: int) -> None:
    if len(set(groups)) < 4:
        groups = [*groups, 10, 11, 12, 13]
    labels = np.random.default_rng(seed).integers(0, 2, len(groups))
    folds = fold_ids(labels, 4, groups=groups, seed=seed)
    assert all(len(set(folds[np.array(groups) == group])) == 1 for group in set(groups))
    assert set(folds.tolist()) == {0, 1, 2, 3}


def test_grouped_folds_balance_the_classes() -> None:
    """40 polygons of one class each, of uneven size."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(5, 60, 40)
    groups, labels = np.repeat(np.arange(40), sizes), np.repeat(np.arange(40) % 4, sizes)
    folds = fold_ids(labels, 5, groups=groups)
    for name in range(4):
        shares = np.bincount(folds[labels == name], minlength=5) / np.sum(labels == name)
        assert 0.1 < shares.min() <= shares.max() < 0.3


def test_a_class_with_one_member_is_trained_on_or_left_out() -> None:
    labels = np.array([0] * 20 + [1] * 20 + [2])
    for seed in range(10):
        split = labelled_split(labels, seed=seed)
        expected = 41 if 40 in split.train else 40
        np.testing.assert_array_equal(all_rows(split), np.arange(expected))


@given(n_rows=st.integers(4, 60), seed=st.integers(0, 99))
def test_a_stratified_sample_keeps_every_class(n_rows: int, seed: int) -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 50, 5, 1])
    rows = stratified_sample(labels, n_rows, seed=seed)
    assert len(set(rows.tolist())) == n_rows
    counts = np.bincount(labels[rows], minlength=4)
    assert counts.min() >= 1
    assert abs(counts[0] - n_rows * 100 / 156) <= 3


def test_blocks_are_squares() -> None:
    assert block_ids([5, 14.9, 15, 5], [0, 0, 0, 10], block_size=10).tolist() == [0, 0, 1, 2]


def knn_accuracy(vectors: NDArray[np.float64], labels: NDArray[np.int64], split: Fold) -> float:
    found = cosine_neighbours(vectors[split.test], vectors[split.train], 5).indices
    return float(np.mean(majority_vote(labels[split.train], found) == labels[split.test]))


def test_a_planted_leak_is_exposed_by_blocks() -> None:
    """The label is written into dimensions of noise, by a code that differs from block to block.

    Test rows then carry their label in a form that only training rows of the same block share: a
    random split finds it, though the vectors say nothing about the label anywhere else.
    """
    generator = np.random.default_rng(7)
    x, y = generator.uniform(0, 100, (2, 2000))
    labels = generator.integers(0, 4, 2000)
    blocks = block_ids(x, y, 20)
    codewords = generator.normal(size=(blocks.max() + 1, 4, 16))
    vectors = codewords[blocks, labels] + 0.2 * generator.normal(size=(2000, 16))
    assert knn_accuracy(vectors, labels, random_split(2000)) > 0.95
    assert knn_accuracy(vectors, labels, labelled_split(labels, groups=block_ids(x, y, 20))) < 0.35


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match="cannot fill 5 folds"):
        labelled_split([0, 1, 0, 1, 0, 1], groups=[0, 0, 1, 1, 2, 2])
    with pytest.raises(InvalidConfigError, match="each class needs two"):
        labelled_split([0, 1], 0.5)
    with pytest.raises(InvalidConfigError, match="test share 1"):
        random_split(10, 1.0)
    with pytest.raises(InvalidConfigError, match="one side empty"):
        random_split(2, 0.1)
    with pytest.raises(InvalidConfigError, match="block size 0"):
        block_ids([0.0], [0.0], 0)
    with pytest.raises(InvalidConfigError, match="NaN"):
        block_ids([np.nan], [0.0], 1)
