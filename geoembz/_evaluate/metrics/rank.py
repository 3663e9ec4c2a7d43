"""Ask whether compressed vectors keep the order of distances: recall of neighbours, Spearman."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics.neighbours import unit_rows
from geoembz.errors import InvalidConfigError


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
    from scipy.stats import rankdata

    left, right = (rankdata(np.asarray(series)) for series in (expected, found))
    left, right = left - left.mean(), right - right.mean()
    scale = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / scale if scale else float("nan")
