"""Decode codes by table, and into arrays that exist."""

import numpy as np
from numpy.typing import NDArray


def destination(out: NDArray[np.float32] | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return `out`, or a new float32 array of a shape where there is none."""
    return np.empty(shape, dtype=np.float32) if out is None else out


def look_up(
    table: NDArray[np.float32], codes: NDArray[np.uint8], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return ``table[component, code]`` for every code.

    Parameters
    ----------
    table
        float32, shape ``(n_components, n_codewords)``.
    codes
        uint8, shape ``(n_components, n_pixels)``; a code beyond the table takes its last entry.
    out
        Where the values go; None for a new array.

    Returns
    -------
    values
        float32, shape ``(n_components, n_pixels)``.

    Examples
    --------
    >>> look_up(np.array([[0.5, 7.0]], dtype=np.float32), np.array([[1, 0]], dtype=np.uint8))
    array([[7. , 0.5]], dtype=float32)
    """
    values = destination(out, codes.shape)
    for row in range(len(table)):
        np.take(table[row], codes[row], out=values[row], mode="clip")
    return values
