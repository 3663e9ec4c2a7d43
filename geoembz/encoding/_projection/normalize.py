"""Scale vectors to length 1, where only their direction counts (the cosine metric)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalized(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale columns to length 1; columns of length 0 stay, those not finite become NaN.

    Examples
    --------
    >>> normalized(np.array([[3.0, 0.0], [4.0, 0.0]], dtype=np.float32))
    array([[0.6, 0. ],
           [0.8, 0. ]], dtype=float32)
    """
    wide = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(_sum_of_rows(np.square(wide)))
        length[length == 0] = 1.0
        length[np.isinf(length)] = np.nan
        wide /= length
    return wide.astype(np.float32)


def _sum_of_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up rows, in place, in an order that neither their width nor their layout changes.

    NumPy's own sums have another order for one column than for many.
    """
    count = len(rows)
    while count > 1:
        half = count // 2
        rows[:half] += rows[half : 2 * half]
        if count % 2:
            rows[0] += rows[count - 1]
        count = half
    return np.asarray(rows[0])
