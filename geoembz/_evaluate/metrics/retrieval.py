"""Score retrieval: does a sample of the query's class come first? mAP, recall@k, precision@k."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics._topk import key_rows, sort_keys
from geoembz._evaluate.metrics.neighbours import unit_rows
from geoembz.errors import InvalidConfigError

_CELLS = 2_000_000
"""Distances held at once: 16 MB of sort keys, and a few arrays of that size."""


@dataclass(frozen=True)
class RetrievalScores:
    """Means over the queries; `average_precision` has one value per query, for paired tests.

    `recall[k]` is the share of queries with a relevant sample among the first k (the recall@k of
    image retrieval), `precision[k]` the share of relevant samples among the first k.
    """

    mean_average_precision: float
    recall: dict[int, float]
    precision: dict[int, float]
    average_precision: NDArray[np.float64]
    n_queries: int
    n_excluded: int


def score_retrieval(
    vectors: ArrayLike,
    labels: ArrayLike,
    *,
    queries: NDArray[np.integer] | None = None,
    ks: Sequence[int] = (1, 10, 100),
    seed: int = 0,
) -> RetrievalScores:
    """Search every sample for those of the query's class, by cosine; the query itself is left out.

    Equal distances are ranked in a seeded random order, so the order of the rows gives nothing
    away. To score codes by Hamming distance, pass the bits as ±1: their cosine ranks alike.

    Parameters
    ----------
    vectors
        Shape ``(n, D)``, finite.
    labels
        Shape ``(n,)``.
    queries
        Row numbers to search for; all by default. Those alone in their class are excluded.
    ks, seed
        Where recall and precision are read, and what breaks ties.

    Raises
    ------
    InvalidConfigError
        If shapes differ or no query has another sample of its class.

    References
    ----------
    Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, section 8.4.

    Examples
    --------
    >>> score_retrieval([[1, 0], [0, 1], [2, 1]], ["a", "b", "a"], ks=[1]).mean_average_precision
    1.0
    """
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    unit = unit_rows(vectors)
    if len(codes) != len(unit):
        raise InvalidConfigError(f"retrieval: got {len(unit)} vectors and {len(codes)} labels")
    asked = np.arange(len(unit)) if queries is None else np.asarray(queries)
    kept = asked[np.bincount(codes)[codes[asked]] > 1]
    if not kept.size:
        raise InvalidConfigError("retrieval: no query shares its class with another sample")
    order = np.random.default_rng(seed).permutation(len(unit))
    shuffled = unit[order]
    step = max(1, _CELLS // len(unit))
    blocks = [
        _score_block(unit, shuffled, codes, kept[start : start + step], order, ks)
        for start in range(0, len(kept), step)
    ]
    precisions, hits = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    found = np.minimum(ks, len(unit) - 1)
    return RetrievalScores(
        mean_average_precision=float(precisions.mean()),
        recall={k: float((hits[:, i] > 0).mean()) for i, k in enumerate(ks)},
        precision={k: float(hits[:, i].mean() / found[i]) for i, k in enumerate(ks)},
        average_precision=precisions,
        n_queries=len(kept),
        n_excluded=len(asked) - len(kept),
    )


def _score_block(
    unit: NDArray[np.float32],
    shuffled: NDArray[np.float32],
    codes: NDArray[np.integer],
    queries: NDArray[np.integer],
    order: NDArray[np.integer],
    ks: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the average precision, and the relevant samples among the first k, of each query."""
    distances = np.clip(np.float32(1) - unit[queries] @ shuffled.T, 0, 2)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    keys = sort_keys(distances)
    keys[np.arange(len(queries)), place[queries]] = np.iinfo(np.uint64).max
    ranked = order[key_rows(np.sort(keys, axis=1)[:, :-1])]
    relevant = codes[ranked] == codes[queries][:, np.newaxis]
    count = np.cumsum(relevant, axis=1)
    precision = count / np.arange(1, relevant.shape[1] + 1)
    average = (precision * relevant).sum(axis=1) / count[:, -1]
    return average, count[:, np.minimum(ks, relevant.shape[1]) - 1]
