"""Neighbours: the same as scikit-learn's brute force, ties by row number, memory bounded."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from geoembz._evaluate.metrics.neighbours import (
    cosine_neighbours,
    hamming_neighbours,
    majority_vote,
    unit_rows,
)
from geoembz._evaluate.metrics.topk import REFERENCE_BLOCK, key_rows, nearest
from geoembz.errors import InvalidConfigError


def vectors(n: int, dimension: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 300), m=st.integers(1, 2100), dimension=st.integers(1, 24), seed=st.integers(0)
)
def test_cosine_neighbours_are_those_of_brute_force(
    n: int, m: int, dimension: int, seed: int
) -> None:
    """Wherever neighbouring distances differ by more than float32 rounding."""
    k = min(m, 7)
    queries, references = vectors(n, dimension, seed), vectors(m, dimension, seed + 1)
    ours = cosine_neighbours(queries, references, k)
    search = NearestNeighbors(n_neighbors=m, metric="cosine", algorithm="brute").fit(references)
    distances, indices = search.kneighbors(queries)
    np.testing.assert_allclose(ours.distances, distances[:, :k], atol=2e-6)
    gaps = np.diff(distances, axis=1, append=np.inf, prepend=-np.inf)
    clear = ((gaps[:, 1:] > 4e-6) & (gaps[:, :-1] > 4e-6))[:, :k]
    np.testing.assert_array_equal(ours.indices[clear], indices[:, :k][clear])


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 300), m=st.integers(1, 2100), n_bytes=st.integers(1, 20), seed=st.integers(0)
)
def test_hamming_neighbours_count_the_differing_bits(
    n: int, m: int, n_bytes: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    queries, references = (
        generator.integers(0, 256, (rows, n_bytes)).astype(np.uint8) for rows in (n, m)
    )
    differing = np.bitwise_count(queries[:, None] ^ references[None]).sum(axis=2)
    expected = np.argsort(differing, axis=1, kind="stable")[:, : min(m, 9)]
    found = hamming_neighbours(queries, references, min(m, 9))
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_array_equal(found.distances, np.take_along_axis(differing, expected, 1))


@given(copies=st.integers(2, 12), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_equal_references_are_ranked_by_row_number(copies: int, seed: int) -> None:
    """Across block borders too: the last copies lie in another block than the first."""
    base = vectors(400, 19, seed)
    references = np.tile(base, (copies, 1))
    found = cosine_neighbours(base[:5], references, copies)
    expected = np.arange(5)[:, None] + 400 * np.arange(copies)
    np.testing.assert_array_equal(found.indices, expected)


@given(
    different=st.integers(1, 30),
    n=st.integers(3, 300),
    k=st.integers(1, 40),
    leave_out=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_copies_of_few_vectors_are_ranked_by_distance_then_row(
    different: int, n: int, k: int, leave_out: bool, seed: int
) -> None:
    """Any number of copies, on all sides of the k-th neighbour, with and without the own row."""
    k = min(k, n - 1)
    rng = np.random.default_rng(seed)
    angles = rng.permutation(different) * 3.0 / different
    base = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    chosen = rng.integers(0, different, n)
    own = rng.integers(0, n, 5)
    found = cosine_neighbours(
        base[chosen[own]], base[chosen], k, own_row=own if leave_out else None
    )
    apart = np.abs(angles[chosen[own]][:, np.newaxis] - angles[chosen])
    if leave_out:
        apart[np.arange(5), own] = np.inf
    expected = np.argsort(np.round(apart, 6), axis=1, kind="stable")[:, :k]
    reached, nearest_ones = (np.take_along_axis(apart, r, 1) for r in (found.indices, expected))
    np.testing.assert_allclose(reached, nearest_ones, atol=1e-5)
    for row, indices in enumerate(found.indices):
        for vector in np.unique(chosen[indices]):
            copies = np.flatnonzero(chosen == vector)
            copies = copies[copies != own[row]] if leave_out else copies
            taken = np.sort(indices[chosen[indices] == vector])
            np.testing.assert_array_equal(taken, copies[: len(taken)])


def test_own_row_is_left_out_and_nothing_else() -> None:
    data = vectors(50, 6, 0)
    rows = np.array([3, 49, 0])
    with_self = cosine_neighbours(data[rows], data, 50).indices
    without = cosine_neighbours(data[rows], data, 49, own_row=rows).indices
    np.testing.assert_array_equal(with_self[:, 0], rows)
    np.testing.assert_array_equal(with_self[:, 1:], without)


@given(k=st.integers(1, 40), levels=st.sampled_from([2, 40, 100_000]), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_later_blocks_change_nothing_but_the_nearest(k: int, levels: int, seed: int) -> None:
    """Ties within and between blocks, references that come nearer and nearer, hidden rows."""
    count = 2 * REFERENCE_BLOCK + 77
    generator = np.random.default_rng(seed)
    table = generator.integers(0, levels, (3, count)).astype(np.uint32)
    table[2] = np.arange(count, 0, -1)
    own_row = generator.integers(0, count, 3)
    keys = nearest(lambda rows, columns: table[rows, columns].copy(), 3, count, k, own_row)
    hidden = table.astype(np.int64)
    hidden[np.arange(3), own_row] = levels + count
    expected = np.argsort(hidden, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(key_rows(keys), expected)


@given(seed=st.integers(0, 1000), k=st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_votes_are_those_of_scikit_learn(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    data, queries = vectors(40, 5, seed), vectors(30, 5, seed + 1)
    labels = generator.choice([7, 2, 5], 40)
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(data, labels)
    votes = majority_vote(labels, model.kneighbors(queries, return_distance=False))
    np.testing.assert_array_equal(votes, model.predict(queries))


def test_zero_vectors_are_at_distance_one() -> None:
    assert cosine_neighbours([[0.0, 0.0]], [[1.0, 0.0]], 1).distances.tolist() == [[1.0]]
    assert unit_rows([[0.0, 0.0], [3.0, 4.0]]).tolist() == [[0.0, 0.0], pytest.approx([0.6, 0.8])]


def test_memory_does_not_grow_with_the_product_of_both_sides() -> None:
    """20,000 × 20,000 distances would be 1.6 GB."""
    bits = np.random.default_rng(0).integers(0, 256, (20_000, 2)).astype(np.uint8)
    tracemalloc.start()
    try:
        hamming_neighbours(bits[:4000], bits, 3)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 200e6


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_references_is_refused(k: int) -> None:
    with pytest.raises(InvalidConfigError, match=f"k={k} with 3 references"):
        cosine_neighbours(vectors(2, 3, 0), vectors(3, 3, 1), k)


def test_unfit_arrays_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"\(2, 3\).*\(3, 4\)"):
        cosine_neighbours(vectors(2, 3, 0), vectors(3, 4, 1), 1)
    with pytest.raises(InvalidConfigError, match="NaN"):
        cosine_neighbours([[np.nan, 1.0]], [[1.0, 1.0]], 1)
    with pytest.raises(InvalidConfigError, match="packed bits"):
        hamming_neighbours(np.ones((1, 2), bool), np.ones((1, 2), bool), 1)
