"""Squared lengths of scaled codes in one pass; NumPy makes four, each over the whole tile."""

import numpy as np
from numpy.typing import NDArray

from geoembz._search.scoring.accelerated.compiled import compiled


@compiled
def squared_lengths(
    numbers: NDArray[np.float32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write ``((numbers * scale + offset) ** 2).sum(axis=0)``, added up in the order of rows.

    Parameters
    ----------
    numbers
        Shape ``(n_components, n_pixels)``.
    scale, offset
        Shape ``(n_components,)``.
    out
        Shape ``(n_pixels,)``.
    """
    out[:] = 0
    for component in range(len(numbers)):
        row, factor, addend = numbers[component], scale[component], offset[component]
        for pixel in range(len(row)):
            value = row[pixel] * factor + addend
            out[pixel] += value * value
