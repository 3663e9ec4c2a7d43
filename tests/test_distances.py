"""Distances on codes equal distances between decoded vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from geoembz.encoding.projection.maps import random_projection
from geoembz.encoding.quantization.codebook import CodebookQuantizer
from geoembz.encoding.quantization.linear import LinearQuantizer
from geoembz.encoding.quantization.product import ProductQuantizer
from geoembz.errors import InvalidConfigError

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
