"""What can be measured without labels: spectrum, balance of bits, and the order of distances."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics.neighbours import unit_rows
from geoembz.errors import InvalidConfigError

_BLOCK_ROWS = 4096
"""Rows added up at once: memory does not grow with the sample."""


def variance_spectrum(vectors: ArrayLike) -> dict[int, float]:
    """Return the share of the variance in the first 4, 8, 16 … D principal components.

    Parameters
    ----------
    vectors
        Shape ``(n, D)``, finite; summed in float64, block by block.

    Raises
    ------
    InvalidConfigError
        If there are fewer than two rows, or no variance.

    Examples
    --------
    >>> variance_spectrum(np.diag([3.0, 1.0, 1.0, 1.0, 1.0, 1.0])[:, :5] * 2)[4] > 0.9
    True
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise InvalidConfigError(f"variance_spectrum: got {vectors.shape}; expected (n > 1, D)")
    variances = np.maximum(np.linalg.eigvalsh(_scatter(vectors))[::-1], 0)
    if not variances.sum() > 0:
        raise InvalidConfigError("variance_spectrum: all vectors are equal, or a value is NaN")
    cumulative = np.cumsum(variances) / variances.sum()
    return {k: float(cumulative[k - 1]) for k in _doublings(vectors.shape[1])}


def binary_balance(bits: ArrayLike) -> dict[str, Any]:
    """Return how balanced thresholded dimensions are.

    Parameters
    ----------
    bits
        Bool (or 0 and 1), shape ``(n, D)``, n > 0: one bit per element, not packed.

    Returns
    -------
    balance
        Means over the dimensions of `imbalance`, the distance of the share of ones from one half
        (0 balanced, 0.5 constant), and of `entropy_bits` (1 balanced, 0 constant); the sum of the
        entropies; the number of constant dimensions; both figures `per_dimension`, to four places.

    References
    ----------
    Robinson and Corley (2026), "Compressing Earth Embeddings", section on binary quantization.

    Examples
    --------
    >>> binary_balance([[1, 0], [0, 0], [1, 0], [0, 0]])["imbalance"]
    0.25
    """
    bits = np.asarray(bits, dtype=bool)
    if bits.ndim != 2 or not len(bits):
        raise InvalidConfigError(f"binary_balance: got {bits.shape}; expected (n > 0, D)")
    ones = bits.mean(axis=0, dtype=np.float64)
    shares = np.stack([ones, 1 - ones])
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    imbalance, entropy = np.abs(ones - 0.5), np.abs((shares * logs).sum(axis=0))
    return {
        "imbalance": float(imbalance.mean()),
        "entropy_bits": float(entropy.mean()),
        "total_entropy_bits": float(entropy.sum()),
        "constant_dimensions": int((entropy == 0).sum()),
        "per_dimension": {
            "imbalance": np.round(imbalance, 4).tolist(),
            "entropy_bits": np.round(entropy, 4).tolist(),
        },
    }


def recall_at(
    expected: NDArray[np.integer],
    found: NDArray[np.integer],
    ks: Sequence[int] = (1, 10, 100),
) -> dict[int, float]:
    """Return which share of the true k nearest neighbours is among the k found, for each k.

    Parameters
    ----------
    expected, found
        Shape ``(n, max(ks))`` or wider, nearest first, no repetitions within a row.

    Raises
    ------
    InvalidConfigError
        If either array holds fewer neighbours than the largest k.
    """
    if (width := min(expected.shape[1], found.shape[1])) < max(ks):
        raise InvalidConfigError(
            f"recall_at: k={max(ks)} needs as many neighbours, got {width}; search with that k"
        )
    recall = {}
    for k in ks:
        both = np.sort(np.concatenate([expected[:, :k], found[:, :k]], axis=1), axis=1)
        recall[k] = float((both[:, 1:] == both[:, :-1]).sum() / (len(both) * k))
    return recall


def random_pairs(n: int, n_pairs: int, *, seed: int) -> NDArray[np.int64]:
    """Return `n_pairs` seeded pairs of different rows out of `n`, shape ``(n_pairs, 2)``.

    Raises
    ------
    InvalidConfigError
        If there are fewer than two rows.
    """
    if n < 2:
        raise InvalidConfigError(f"random_pairs: got {n} rows; a pair needs 2")
    generator = np.random.default_rng(seed)
    first = generator.integers(0, n, n_pairs)
    # a step of 1 to n - 1 around the circle of rows never ends where it began
    return np.stack([first, (first + generator.integers(1, n, n_pairs)) % n], axis=1)


def cosine_pair_distances(vectors: ArrayLike, pairs: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the cosine distance of each pair of rows, shape ``(n_pairs,)``."""
    unit = unit_rows(vectors)
    similarity = np.empty(len(pairs))
    for start in range(0, len(pairs), 4096):
        left, right = pairs[start : start + 4096].T
        similarity[start : start + 4096] = np.einsum(
            "ij,ij->i", unit[left], unit[right], dtype=np.float64
        )
    return np.asarray(1.0 - similarity)


def hamming_pair_distances(
    bits: NDArray[np.uint8], pairs: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return the number of differing bits of each pair of packed rows, shape ``(n_pairs,)``."""
    differing = np.bitwise_count(bits[pairs[:, 0]] ^ bits[pairs[:, 1]])
    return np.asarray(differing.sum(axis=1), dtype=np.int64)


def spearman(expected: ArrayLike, found: ArrayLike) -> float:
    """Return the rank correlation of two series of distances; nan where one is constant.

    Examples
    --------
    >>> round(spearman([0.1, 0.2, 0.5, 0.9], [10, 20, 90, 50]), 6)
    0.8
    """
    from scipy.stats import spearmanr

    left, right = np.asarray(expected), np.asarray(found)
    if not np.ptp(left) or not np.ptp(right):  # of which SciPy would warn
        return float("nan")
    return float(spearmanr(left, right).statistic)


def _scatter(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the sum of centred outer products, shape ``(D, D)``."""
    dimension = vectors.shape[1]
    mean = vectors.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((dimension, dimension))
    for start in range(0, len(vectors), _BLOCK_ROWS):
        centred = vectors[start : start + _BLOCK_ROWS] - mean
        scatter += centred.T @ centred
    return scatter


def _doublings(dimension: int) -> list[int]:
    """Return 4, 8, 16 … below `dimension`, then `dimension`."""
    steps = [2**power for power in range(2, dimension.bit_length()) if 2**power < dimension]
    return [*steps, dimension]
