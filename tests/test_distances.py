"""Distances on codes equal distances between decoded vectors; neighbours equal a full sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.distances import (
    as_words,
    cosine_distances,
    fold_queries,
    hamming_distances,
    linear_norms,
    table_cosine_distances,
    table_products,
)
from geoembz.errors import InvalidConfigError
from geoembz.neighbours import nearest
from geoembz.projection.maps import random_projection
from geoembz.quantization.codebook import CodebookQuantizer
from geoembz.quantization.linear import LinearQuantizer
from geoembz.quantization.product import ProductQuantizer

DIMENSION, K, N, Q = 12, 4, 300, 5


def cosine_between(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 − cosine of columns, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=0)[:, np.newaxis] * np.linalg.norm(b, axis=0)
    return np.asarray(1 - (a.T @ b) / lengths)


@pytest.fixture(scope="module")
def case() -> dict[str, NDArray[np.float32]]:
    """Vectors off centre, their components, and what reduced space needs."""
    rng = np.random.default_rng(0)
    matrix = random_projection(DIMENSION, K, 1)
    mean = rng.normal(size=DIMENSION).astype(np.float32)
    inside = matrix @ mean
    return {
        "matrix": matrix,
        "mean": mean,
        "inside": inside,
        "residual": np.asarray(np.linalg.norm(mean - matrix.T @ inside)),
        "z": rng.normal(size=(K, N)).astype(np.float32),
    }


@pytest.mark.parametrize("bits", [8, 4])
def test_cosine_on_linear_codes_is_that_of_reconstructions(
    case: dict[str, NDArray[np.float32]], bits: int
) -> None:
    """Scale, offset and the mean's part outside the subspace are all accounted for."""
    quantizer = LinearQuantizer.fit(case["z"], bits=bits)
    codes = quantizer.quantize(case["z"])
    assert codes.dtype.kind in "iu"
    integers: NDArray[np.int64] = codes.astype(np.int64)
    decoded = quantizer.dequantize(codes)
    full = case["matrix"].T @ decoded + case["mean"][:, np.newaxis]
    reduced = (decoded + case["inside"][:, np.newaxis]).T
    law = (quantizer.scale, quantizer.offset + case["inside"], float(case["residual"]))
    found = cosine_distances(
        fold_queries(reduced[:Q], *law), integers, linear_norms(integers, *law)
    )
    np.testing.assert_allclose(found, cosine_between(full[:, :Q], full), atol=3e-6)


@pytest.mark.parametrize("kind", ["pq", "lloyd"])
def test_cosine_by_table_is_that_of_reconstructions(
    case: dict[str, NDArray[np.float32]], kind: str
) -> None:
    """The same for product codes and scalar codebooks."""
    quantizer: ProductQuantizer | CodebookQuantizer = (
        ProductQuantizer.fit(case["z"], n_subquantizers=2)
        if kind == "pq"
        else CodebookQuantizer.fit(case["z"], bits=4)
    )
    codes = quantizer.quantize(case["z"]).astype(np.int64)
    decoded = quantizer.dequantize(codes.astype(np.uint8))
    full = case["matrix"].T @ decoded + case["mean"][:, np.newaxis]
    reduced = (decoded + case["inside"][:, np.newaxis]).T[:Q]
    outside = np.float32(float(case["residual"]) ** 2)
    norm_table = quantizer.norm_table(case["inside"][:, np.newaxis])[np.newaxis]
    found = table_cosine_distances(
        quantizer.lookup_tables(reduced),
        codes,
        bias=(reduced @ case["inside"] + outside).astype(np.float32),
        query_norms=np.sqrt(np.square(reduced).sum(axis=1) + outside),
        norms=np.sqrt(table_products(norm_table, codes)[0] + outside),
    )
    np.testing.assert_allclose(found, cosine_between(full[:, :Q], full), atol=3e-6)


def test_zero_vectors_are_at_distance_one() -> None:
    """No division by zero, on either side."""
    one, codes = np.ones(2, np.float32), np.array([[0, 3], [0, 4]], np.int8)
    queries = fold_queries(np.array([[0, 0], [3, 4]], np.float32), one, 0 * one)
    found = cosine_distances(queries, codes, linear_norms(codes, one, 0 * one))
    np.testing.assert_allclose(found, [[1, 1], [1, 0]], atol=1e-6)


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_hamming_counts_differing_bits(n_bytes: int, n_pixels: int, seed: int) -> None:
    """As counted bit by bit, for every number of bytes."""
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, size=(n_bytes, n_pixels), dtype=np.uint8)
    bits = np.unpackbits(packed, axis=0)
    words = as_words(packed)
    expected = (bits[:, :, np.newaxis] != bits[:, np.newaxis]).sum(axis=0)
    np.testing.assert_array_equal(hamming_distances(words, words), expected)


def test_hamming_refuses_codes_of_another_length() -> None:
    """Codes of two encodings are not comparable."""
    with pytest.raises(InvalidConfigError, match="words"):
        hamming_distances(np.zeros((1, 2), np.uint64), np.zeros((2, 2), np.uint64))


@settings(deadline=None)
@given(
    st.one_of(
        hnp.arrays(np.float32, (3, 50), elements=st.floats(-2, 2, width=32)),
        hnp.arrays(np.uint32, (3, 50), elements=st.integers(0, 5)),
    ),
    st.integers(1, 50),
    st.sampled_from([1, 1 << 17, 1 << 26]),
)
def test_neighbours_are_those_of_a_stable_sort(
    table: NDArray[np.float32] | NDArray[np.uint32], k: int, max_bytes: int
) -> None:
    """Ties go to the lower index, negative distances and every block size included."""

    def look_up(queries: slice, pixels: slice) -> NDArray[np.float32] | NDArray[np.uint32]:
        return table[queries, pixels]

    found = nearest(look_up, 3, 50, k, max_bytes)
    order = np.argsort(table, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_array_equal(found.distance, np.take_along_axis(table, order, axis=1))
    assert found.distance.dtype == table.dtype


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from([1 << 17, 1 << 26]))
def test_many_pixels_are_ruled_out_in_groups_without_loss(
    seed: int, k: int, max_bytes: int
) -> None:
    """Long rows with many ties, a tail that fills no group included."""
    table = np.random.default_rng(seed).integers(0, 40, size=(4, 1234), dtype=np.uint32)
    found = nearest(lambda queries, pixels: table[queries, pixels], 4, 1234, k, max_bytes)
    order = np.argsort(table, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.index, order)


def test_neighbours_ask_for_bounded_blocks() -> None:
    """No call covers more than the memory allows."""
    largest = 0

    def zeros(queries: slice, pixels: slice) -> NDArray[np.float32]:
        nonlocal largest
        shape = (queries.stop - queries.start, pixels.stop - pixels.start)
        largest = max(largest, shape[0] * shape[1])
        return np.zeros(shape, dtype=np.float32)

    found = nearest(zeros, 300, 5000, 3, max_bytes=1 << 20)
    assert largest * 32 <= 1 << 20
    np.testing.assert_array_equal(found.index, np.tile([0, 1, 2], (300, 1)))


def test_impossible_numbers_of_neighbours_are_refused() -> None:
    """None, more than there are, or more pixels than an index holds."""
    for k, n_pixels in ((0, 5), (6, 5), (1, 2**33)):
        with pytest.raises(InvalidConfigError):
            nearest(lambda _q, _p: np.zeros((1, 1), np.float32), 1, n_pixels, k)
