"""Order places along a Hilbert curve, so that neighbours in space are neighbours in a file.

Knows only NumPy. The order is part of how a table store is written, not of how it is read.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

ORDER_BITS = 20
"""Cells along each axis: 2**20, about 40 m on the whole Earth."""

_STEP_BITS = 4
"""Bits of each axis that one look-up takes: its two tables of 8 kB stay in the L1 cache."""


def hilbert_order(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the permutation that sorts places along the curve over their bounding box.

    Parameters
    ----------
    x, y
        Shape ``(n,)``, any units; places that are not finite come last. Equal places keep their
        order.

    Returns
    -------
    order
        ``x[order]`` is sorted, shape ``(n,)``.

    References
    ----------
    D. Hilbert, "Über die stetige Abbildung einer Linie auf ein Flächenstück", 1891.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> hilbert_order(corners[:, 0], corners[:, 1]).tolist()
    [0, 2, 3, 1]
    """
    finite = np.isfinite(x) & np.isfinite(y)
    keys = np.full(len(x), np.iinfo(np.int64).max)
    if finite.any():
        keys[finite] = hilbert_keys(_cells(x[finite]), _cells(y[finite]))
    return np.argsort(keys, kind="stable")


def hilbert_keys(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how far along the curve each cell lies, 0 to 4**20 − 1.

    Parameters
    ----------
    x, y
        Cells, 0 to 2**20 − 1.
    """
    digits, following = _tables()
    mask = (1 << _STEP_BITS) - 1
    keys = np.zeros(len(x), np.int64)
    state = np.zeros(len(x), np.int64)
    for shift in range(ORDER_BITS - _STEP_BITS, -1, -_STEP_BITS):
        index = ((state << _STEP_BITS | (x >> shift & mask)) << _STEP_BITS) | (y >> shift & mask)
        keys = keys << 2 * _STEP_BITS | digits[index]
        state = following[index]
    return keys


@cache
def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return key digits and the next state, by state and the next bits of x and of y.

    A state says how the curve lies in a cell: bit 0, axes swapped; bit 1, both mirrored.
    """
    count = 1 << _STEP_BITS
    digits, following = np.zeros((2, 4 * count * count), np.int64)
    for index in range(4 * count * count):
        state, x, y = index // count**2, index // count % count, index % count
        key = 0
        for bit in reversed(range(_STEP_BITS)):
            pair = (x >> bit & 1) ^ (state >> 1), (y >> bit & 1) ^ (state >> 1)
            right, upper = pair[::-1] if state & 1 else pair
            key = key << 2 | (3 * right) ^ upper
            if not upper:
                state ^= 1 | right << 1
        digits[index], following[index] = key, state
    return digits, following


def _cells(values: NDArray[np.float64]) -> NDArray[np.int64]:
    low, high = values.min(), values.max()
    span = high - low if high > low else 1.0
    cells = (values - low) / span * 2**ORDER_BITS
    return np.asarray(np.minimum(cells.astype(np.int64), 2**ORDER_BITS - 1))
