"""Find nearest neighbours exactly, by cosine or by Hamming distance, and vote with them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics.topk import (
    QUERY_BLOCK,
    REFERENCE_BLOCK,
    Copies,
    Neighbours,
    expand_copies,
    nearest,
    require_enough,
)
from geoembz.errors import InvalidConfigError


def cosine_neighbours(
    queries: ArrayLike,
    references: ArrayLike,
    k: int,
    *,
    own_row: NDArray[np.integer] | None = None,
) -> Neighbours:
    """Return the k references with the smallest cosine distance to each query.

    Vectors are scaled to unit length and multiplied in float32, as scikit-learn's brute force
    does. Equal references are multiplied once, so they get equal distances to the last bit on any
    processor, and ties go to the lower row number.

    Parameters
    ----------
    queries, references
        Shapes ``(n, D)`` and ``(m, D)``, finite. A zero vector has distance 1 from everything.
    k
        Neighbours per query.
    own_row
        Shape ``(n,)``: the row of each query among the references, which is left out.

    Raises
    ------
    InvalidConfigError
        If dimensions differ, a value is not finite, or `k` exceeds the number of references.

    Notes
    -----
    Where many distances tie (few bits), rows sorted by label favour the first label: shuffle them.

    Examples
    --------
    >>> cosine_neighbours([[1.0, 0.1]], [[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]], k=2).indices
    array([[1, 2]])
    """
    left, right = np.asarray(queries), np.asarray(references)
    _require_same_width("cosine_neighbours", left, right)
    right = unit_rows(right)
    require_enough(k, len(right), own_row)
    copies = Copies.among(right)
    alone = len(copies.first) == len(right)
    n, m = len(left), len(copies.first)
    # BLAS chooses its kernel, and so its rounding, by the shape: all blocks get one shape
    left = _pad(unit_rows(left), QUERY_BLOCK)
    right = _pad(right if alone else right[copies.first], REFERENCE_BLOCK)

    def distances(rows: slice, columns: slice) -> NDArray[np.float32]:
        wide_rows = slice(rows.start, rows.start + QUERY_BLOCK)
        wide_columns = slice(columns.start, columns.start + REFERENCE_BLOCK)
        similarity = left[wide_rows] @ right[wide_columns].T
        kept = similarity[: rows.stop - rows.start, : columns.stop - columns.start]
        return np.asarray(np.clip(np.float32(1) - kept, 0, 2), dtype=np.float32)

    if alone:
        return Neighbours.from_keys(nearest(distances, n, m, k, own_row), np.float32)
    keys = nearest(distances, n, m, min(k + 1, m), None)
    return Neighbours.from_keys(expand_copies(keys, copies, k, own_row), np.float32)


def hamming_neighbours(
    queries: NDArray[np.uint8],
    references: NDArray[np.uint8],
    k: int,
    *,
    own_row: NDArray[np.integer] | None = None,
) -> Neighbours:
    """Return the k references that differ from each query in the fewest bits.

    Parameters
    ----------
    queries, references
        Packed bits, shapes ``(n, n_bytes)`` and ``(m, n_bytes)``; the bit order does not matter.
    k, own_row
        As in `cosine_neighbours`, whose note on ties applies all the more.

    Raises
    ------
    InvalidConfigError
        If the arrays are not uint8 of one width, or `k` exceeds the number of references.

    Examples
    --------
    >>> bits = np.array([[0b0000], [0b0111], [0b0001]], dtype=np.uint8)
    >>> hamming_neighbours(bits[:1], bits, k=3).indices
    array([[0, 2, 1]])
    """
    _require_same_width("hamming_neighbours", queries, references)
    if queries.dtype != np.uint8 or references.dtype != np.uint8:
        raise InvalidConfigError(
            f"hamming_neighbours: got {queries.dtype} and {references.dtype}; expected packed "
            "bits, uint8"
        )
    left, right = _as_words(queries), _as_words(references)

    def distances(rows: slice, columns: slice) -> NDArray[np.uint32]:
        count = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint32)
        for word in range(len(left)):
            count += np.bitwise_count(left[word, rows, np.newaxis] ^ right[word, columns])
        return count

    keys = nearest(distances, len(queries), len(references), k, own_row)
    return Neighbours.from_keys(keys, np.uint32)


def majority_vote(labels: ArrayLike, indices: NDArray[np.integer]) -> NDArray[np.generic]:
    """Return the most frequent label among each query's neighbours; a tie goes to the smallest.

    That is scikit-learn's rule for uniform weights.

    Parameters
    ----------
    labels
        Shape ``(m,)``, of the references.
    indices
        Shape ``(n, k)``, rows of `labels`.

    Examples
    --------
    >>> majority_vote(["b", "a", "b", "a"], np.array([[0, 1, 2], [0, 1, 3], [2, 1, 0]]))
    array(['b', 'a', 'b'], dtype='<U1')
    """
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    votes = np.zeros((len(indices), len(classes)), np.int32)
    rows = np.arange(len(indices))
    for column in indices.T:
        votes[rows, codes[column]] += 1
    return np.asarray(classes[votes.argmax(axis=1)])


def unit_rows(vectors: ArrayLike) -> NDArray[np.float32]:
    """Return the rows scaled to unit length, float32; zero rows stay zero.

    Raises
    ------
    InvalidConfigError
        If a value is not finite.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    if not np.isfinite(norms).all():
        raise InvalidConfigError("neighbours: a vector holds NaN or infinity; leave such rows out")
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return np.asarray(vectors * scale[:, np.newaxis].astype(np.float32))


def _require_same_width(where: str, left: NDArray[np.generic], right: NDArray[np.generic]) -> None:
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise InvalidConfigError(
            f"{where}: got queries {left.shape} and references {right.shape}; expected (n, D) and "
            "(m, D)"
        )


def _pad(vectors: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    return np.pad(vectors, ((0, -len(vectors) % block), (0, 0)))


def _as_words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return packed bits as 64-bit words, word first: shape ``(n_as_words, n)``."""
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(padded.view(np.uint64).T)
