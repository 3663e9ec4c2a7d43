"""Fit one-dimensional codebooks to a sorted sample: equal shares, or least squared error.

Every step works on the sorted values and their running sum, so a Lloyd iteration costs a bisection
per codeword and not a pass over the sample.
"""

import numpy as np
from numpy.typing import NDArray

_DENSITY_POINTS = 4096
"""Order statistics that describe the density from which Lloyd's iteration starts."""
_MAX_ITERATIONS = 100
_MAX_REPAIRS = 8
"""Rounds in which codewords of empty cells are given to the worst ones."""
_TOLERANCE = 1e-4
"""Stop when no codeword moved by more than this share of the mean distance between codewords."""


def quantile_codebook(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float32]:
    """Return the means of `n_codewords` groups that hold equal shares of the sample.

    Parameters
    ----------
    ordered
        Finite, ascending, float32, shape ``(n_samples,)`` with ``n_samples >= n_codewords``.
    n_codewords
        How many codewords, at least 2.

    Returns
    -------
    codewords
        Ascending (equal where the sample repeats a value), float32, shape ``(n_codewords,)``.

    References
    ----------
    spec/codecs/int8, "Codebooks".

    Examples
    --------
    >>> quantile_codebook(np.array([0, 1, 2, 9], dtype=np.float32), 2)
    array([0.5, 5.5], dtype=float32)
    """
    few = _distinct(ordered, n_codewords)
    if few is not None:
        return few
    edges = np.arange(1, n_codewords) * len(ordered) // n_codewords
    centre, running = _running_sum(ordered)
    means, _ = _group_means(running, edges)
    return _ascending(means + centre, ordered)


def lloyd_codebook(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float32]:
    """Return codewords of (locally) least mean squared error.

    Starts at equal steps of the cube root of the density, which is the optimum for many
    codewords, and iterates means and mid-points from there.

    Parameters
    ----------
    ordered
        Finite, ascending, float32, shape ``(n_samples,)`` with ``n_samples >= n_codewords``.
    n_codewords
        How many codewords, at least 2.

    Returns
    -------
    codewords
        Ascending, float32, shape ``(n_codewords,)``.

    References
    ----------
    S. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982); P. Panter and
    W. Dite, "Quantization distortion in pulse-count modulation", Proc. IRE 39 (1951): the start.

    Examples
    --------
    >>> lloyd_codebook(np.array([0, 1, 2, 9, 9, 9], dtype=np.float32), 2)
    array([1., 9.], dtype=float32)
    """
    few = _distinct(ordered, n_codewords)
    if few is not None:
        return few
    codewords = _density_start(ordered, n_codewords)
    codewords, occupied = _iterate(ordered, codewords)
    for _ in range(_MAX_REPAIRS):
        if occupied.all():
            break
        codewords, occupied = _iterate(ordered, _split_worst(ordered, codewords, occupied))
    return _ascending(codewords, ordered)


def _iterate(
    ordered: NDArray[np.float32], codewords: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Alternate cells and their means until they settle; also tell which cells hold any value."""
    centre, running = _running_sum(ordered)
    tolerance = _TOLERANCE * (codewords[-1] - codewords[0]) / len(codewords)
    for _ in range(_MAX_ITERATIONS):
        means, occupied = _group_means(running, _edges(ordered, codewords))
        moved = np.where(occupied, means + centre, codewords)
        change = np.abs(moved - codewords).max()
        codewords = moved
        if change <= tolerance:
            break
    return codewords, occupied


def _split_worst(
    ordered: NDArray[np.float32], codewords: NDArray[np.float64], occupied: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Move the codewords of empty cells next to those with the largest squared error."""
    ends = np.concatenate([[0], _edges(ordered, codewords), [len(ordered)]])
    counts, used = np.diff(ends)[occupied], codewords[occupied]
    error = np.square(ordered - np.repeat(used, counts))
    sums = np.add.reduceat(error, ends[:-1][occupied])
    worst = np.argsort(-sums, kind="stable")[: len(codewords) - len(used)]
    spread = np.sqrt(sums[worst] / counts[worst])
    halves = [used[worst] - spread, used[worst] + spread]
    split = np.sort(np.concatenate([np.delete(used, worst), *halves]))
    left_over = len(codewords) - len(split)  # more empty cells than others: next round
    return np.concatenate([split, np.repeat(split[-1:], left_over)])


def _distinct(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float32] | None:
    """Return the sample's distinct values, the last one repeated, if they all fit; else None."""
    changes = np.flatnonzero(ordered[1:] != ordered[:-1])
    if len(changes) >= n_codewords:
        return None
    values = ordered[np.concatenate([[0], changes + 1])]
    return np.concatenate([values, np.repeat(values[-1:], n_codewords - len(values))])


def _edges(ordered: NDArray[np.float32], codewords: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where the sample passes from one codeword's cell to the next."""
    middles = ((codewords[1:] + codewords[:-1]) / 2).astype(np.float32)
    return np.searchsorted(ordered, middles, side="right")


def _running_sum(ordered: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
    """Return the mean, and the sums of the first 0, 1, 2 … values minus it."""
    centre = float(ordered.mean(dtype=np.float64))
    running = np.zeros(len(ordered) + 1)
    np.cumsum(ordered - centre, out=running[1:])
    return centre, running


def _group_means(
    running: NDArray[np.float64], edges: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean of each group of consecutive values (0 where empty), and which groups hold any."""
    ends = np.concatenate([[0], edges, [len(running) - 1]])
    counts = np.diff(ends)
    means: NDArray[np.float64] = np.diff(running[ends]) / np.maximum(counts, 1)
    return means, counts > 0


def _density_start(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float64]:
    """Codewords at equal steps of the integral of ``density ** (1 / 3)``.

    Between two of m order statistics the density is ``1 / (m * gap)``, so the integral over the gap
    goes with ``gap ** (2 / 3)``.
    """
    points = min(len(ordered), _DENSITY_POINTS)
    places = np.arange(points) * (len(ordered) - 1) // (points - 1)
    values = ordered[places].astype(np.float64)
    integral = np.concatenate([[0.0], np.cumsum(np.cbrt(np.diff(values)) ** 2)])
    wanted = (np.arange(n_codewords) + 0.5) / n_codewords * integral[-1]
    start: NDArray[np.float64] = np.interp(wanted, integral, values)
    return start


def _ascending(codewords: NDArray[np.float64], ordered: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to float32 inside the sample's range, in order whatever the rounding did."""
    rounded = np.clip(codewords.astype(np.float32), ordered[0], ordered[-1])
    ascending: NDArray[np.float32] = np.maximum.accumulate(rounded)
    return ascending
