"""Gather the pixels of a window from several tiles, by a rule for overlaps."""

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.sources.base import SourceData


class PickBuffer:
    """Every pixel is that of the first tile added that has a valid one there.

    Parameters
    ----------
    dimension
        Length of a vector.
    shape
        Height and width of the window.
    dtype
        Type of the values.
    """

    def __init__(self, dimension: int, shape: tuple[int, int], dtype: np.dtype[np.generic]) -> None:
        self._values = np.zeros((dimension, *shape), dtype)
        self._filled = np.zeros(shape, dtype=np.bool_)

    def add(self, place: Window, data: SourceData) -> None:
        """Add what a tile holds of a part of the window."""
        rows, cols = place.slices
        values, filled = self._values[:, rows, cols], self._filled[rows, cols]
        fresh = known(data)
        if filled.any():
            fresh &= ~filled
            np.copyto(values, data.values, where=fresh, casting="same_kind")
        else:
            values[:] = data.values
        filled |= fresh

    def result(self) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return values and validity."""
        return self._values, self._filled


class MeanBuffer:
    """Every pixel is the mean of the valid ones there; parameters as in `PickBuffer`."""

    def __init__(self, dimension: int, shape: tuple[int, int], dtype: np.dtype[np.generic]) -> None:
        self._dtype = dtype
        self._sums = np.zeros((dimension, *shape))
        self._counts = np.zeros(shape, dtype=np.int32)

    def add(self, place: Window, data: SourceData) -> None:
        """Add what a tile holds of a part of the window."""
        rows, cols = place.slices
        fresh = known(data)
        np.add(self._sums[:, rows, cols], data.values, out=self._sums[:, rows, cols], where=fresh)
        self._counts[rows, cols] += fresh

    def result(self) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return values and validity."""
        self._sums /= np.maximum(self._counts, 1)
        return self._sums.astype(self._dtype), self._counts > 0


def known(data: SourceData) -> NDArray[np.bool_]:
    """Return which pixels are valid and finite, bool ``(height, width)``."""
    finite: NDArray[np.bool_] = np.isfinite(data.values).all(axis=0)
    return finite if data.valid is None else finite & data.valid
