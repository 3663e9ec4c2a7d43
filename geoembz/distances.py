"""Distances between queries and codes, without decoding the codes.

Knows only NumPy. Codes are component first, queries are rows. A *reduced* vector is
``value + projection @ mean``; the mean's part outside the subspace has one length, `residual`, and
appending it to every reduced vector makes cosines equal those of reconstructed vectors. It is exact
for orthonormal projections with or without a rotation; after soft whitening pass norms taken from
decoded blocks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError

_BLOCK_PIXELS = 4096


@dataclass(frozen=True)
class FoldedQueries:
    """Float queries that act on integer codes: ``dot = weights @ codes + bias``.

    Parameters
    ----------
    weights
        Queries times the codes' scale, float32, shape ``(n_queries, n_components)``.
    bias
        Product with what all vectors share, float32, shape ``(n_queries,)``.
    norm
        Length of the whole query, float32, shape ``(n_queries,)``.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    norm: NDArray[np.float32]


def fold_queries(
    queries: NDArray[np.float32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    residual: float = 0.0,
) -> FoldedQueries:
    """Fold scale and offset of linear codes into reduced queries.

    Parameters
    ----------
    queries
        Reduced vectors, float32, shape ``(n_queries, n_components)``.
    scale
        Step of one code, float32, shape ``(n_components,)``.
    offset
        Value of code 0 in reduced space, the quantizer's plus ``projection @ mean``; float32, shape
        ``(n_components,)``.
    residual
        Length of the mean's part outside the subspace.

    Returns
    -------
    folded
        For `cosine_distances`.

    References
    ----------
    DESIGN.md §2, "reduced" and "codes".

    Examples
    --------
    >>> one = np.ones(2, dtype=np.float32)
    >>> fold_queries(np.array([[3.0, 4.0]], dtype=np.float32), 2 * one, one).weights
    array([[6., 8.]], dtype=float32)
    """
    wide = queries.astype(np.float64)
    return FoldedQueries(
        (wide * scale).astype(np.float32),
        (wide @ offset.astype(np.float64) + residual**2).astype(np.float32),
        np.sqrt(np.square(wide).sum(axis=1) + residual**2).astype(np.float32),
    )


def linear_norms(
    codes: NDArray[np.integer],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    residual: float = 0.0,
) -> NDArray[np.float32]:
    """Return the lengths of the vectors that linear codes stand for, the residual included.

    Parameters
    ----------
    codes
        int8 or uint8, shape ``(n_components, n_pixels)``.
    scale, offset, residual
        As in `fold_queries`.

    Returns
    -------
    norms
        float32, shape ``(n_pixels,)``.

    Examples
    --------
    >>> one = np.ones(2, dtype=np.float32)
    >>> linear_norms(np.array([[1], [2]], dtype=np.int8), 2 * one, -one, residual=0.0)
    array([3.1622777], dtype=float32)
    """
    norms = np.empty(codes.shape[1], dtype=np.float32)
    for start in range(0, codes.shape[1], _BLOCK_PIXELS):
        block = slice(start, start + _BLOCK_PIXELS)
        values = codes[:, block].astype(np.float32)
        values *= scale[:, np.newaxis]
        values += offset[:, np.newaxis]
        norms[block] = np.sqrt(np.square(values).sum(axis=0) + np.float32(residual**2))
    return norms


def cosine_distances(
    queries: FoldedQueries, codes: NDArray[np.integer], norms: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return ``1 - cosine`` between queries and the vectors that linear codes stand for.

    Parameters
    ----------
    queries
        From `fold_queries`.
    codes
        int8 or uint8, shape ``(n_components, n_pixels)``.
    norms
        From `linear_norms`, shape ``(n_pixels,)``.

    Returns
    -------
    distances
        float32, shape ``(n_queries, n_pixels)``; 1 where either vector is zero.

    Examples
    --------
    >>> one, codes = np.ones(2, dtype=np.float32), np.array([[0, 2], [5, 0]], dtype=np.int8)
    >>> queries = fold_queries(np.array([[1.0, 0.0]], dtype=np.float32), one, 0 * one)
    >>> cosine_distances(queries, codes, linear_norms(codes, one, 0 * one))
    array([[1., 0.]], dtype=float32)
    """
    products = queries.weights @ codes.astype(np.float32)
    products += queries.bias[:, np.newaxis]
    return _one_minus_cosine(products, queries.norm, norms)


def table_products(tables: NDArray[np.float32], codes: NDArray[np.integer]) -> NDArray[np.float32]:
    """Add up table entries: the product of a query and a coded vector (asymmetric distance).

    Parameters
    ----------
    tables
        A quantizer's `lookup_tables`, float32, shape ``(n_queries, n_codes, n_codewords)``, or its
        `norm_table` with one leading axis.
    codes
        Indices into the tables, shape ``(n_codes, n_pixels)``; int8 codes plus 127.

    Returns
    -------
    products
        float32, shape ``(n_queries, n_pixels)``.

    References
    ----------
    H. Jégou et al., "Product quantization for nearest neighbor search", IEEE TPAMI 33 (2011).

    Examples
    --------
    >>> tables = np.array([[[0.0, 1.0], [10.0, 20.0]]], dtype=np.float32)
    >>> table_products(tables, np.array([[0, 1], [1, 1]], dtype=np.uint8))
    array([[20., 21.]], dtype=float32)
    """
    products = np.zeros((tables.shape[0], codes.shape[1]), dtype=np.float32)
    for number, indices in enumerate(codes):
        products += np.take(tables[:, number], indices, axis=1, mode="clip")
    return products


def table_cosine_distances(
    tables: NDArray[np.float32],
    codes: NDArray[np.integer],
    *,
    bias: NDArray[np.float32],
    query_norms: NDArray[np.float32],
    norms: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return ``1 - cosine`` by table look-up.

    Parameters
    ----------
    tables, codes
        As in `table_products`.
    bias
        ``queries @ (projection @ mean) + residual**2``, shape ``(n_queries,)``.
    query_norms
        Lengths of the whole queries, shape ``(n_queries,)``.
    norms
        Lengths of the coded vectors: ``sqrt(table_products(norm_table, codes) + residual**2)``.

    Returns
    -------
    distances
        float32, shape ``(n_queries, n_pixels)``; 1 where either vector is zero.

    Examples
    --------
    >>> tables, one = np.array([[[3.0, -3.0]]], dtype=np.float32), np.ones(1, dtype=np.float32)
    >>> codes = np.array([[0, 1]], dtype=np.uint8)
    >>> table_cosine_distances(tables, codes, bias=0 * one, query_norms=3 * one, norms=one)
    array([[0., 2.]], dtype=float32)
    """
    products = table_products(tables, codes)
    products += bias[:, np.newaxis]
    return _one_minus_cosine(products, query_norms, norms)


def as_words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Regroup packed bits into 64-bit words, which `hamming_distances` compares.

    Parameters
    ----------
    packed
        uint8, shape ``(n_bytes, n_pixels)``.

    Returns
    -------
    words
        Padded with zero bits, uint64, shape ``(ceil(n_bytes / 8), n_pixels)``.

    Examples
    --------
    >>> as_words(np.full((9, 2), 255, dtype=np.uint8)).shape
    (2, 2)
    """
    n_bytes, n_pixels = packed.shape
    padded = np.zeros((n_pixels, -(-n_bytes // 8) * 8), dtype=np.uint8)
    padded[:, :n_bytes] = packed.T
    return np.ascontiguousarray(padded.view(np.uint64).T)


def hamming_distances(queries: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Count the bits in which queries and pixels differ.

    Parameters
    ----------
    queries
        From `as_words`, shape ``(n_words, n_queries)``.
    words
        From `as_words`, shape ``(n_words, n_pixels)``.

    Returns
    -------
    distances
        In bits, uint32, shape ``(n_queries, n_pixels)``.

    Raises
    ------
    InvalidConfigError
        If the two have different numbers of words.

    Examples
    --------
    >>> bits = as_words(np.array([[0b1011, 0b0001]], dtype=np.uint8))
    >>> hamming_distances(bits[:, :1], bits)
    array([[0, 2]], dtype=uint32)
    """
    if len(queries) != len(words):
        raise InvalidConfigError(
            f"hamming: queries of {len(queries)} words and codes of {len(words)}; "
            "both must come from one encoding"
        )
    distances = np.zeros((queries.shape[1], words.shape[1]), dtype=np.uint32)
    for query_word, word in zip(queries, words, strict=True):
        distances += np.bitwise_count(query_word[:, np.newaxis] ^ word)
    return distances


def _one_minus_cosine(
    products: NDArray[np.float32], query_norms: NDArray[np.float32], norms: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Divide by both lengths, in place; a vector of length 0 is at distance 1 from all."""
    products *= np.where(query_norms > 0, 1 / np.where(query_norms > 0, query_norms, 1), 0)[
        :, np.newaxis
    ].astype(np.float32)
    products *= np.where(norms > 0, 1 / np.where(norms > 0, norms, 1), 0).astype(np.float32)
    return np.subtract(1, products, out=products)
