"""Codewords by table: find the nearest one of many values, and return those of many codes.

In one dimension the nearest codeword is the cell that a value falls in: cells meet half-way between
neighbouring codewords. Few boundaries are counted one by one; many are reached through a table of
equal steps, which says where to start, and a few comparisons. Both are exact, in float32.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import destination

_FEW = 15
"""Up to here one comparison per boundary is the fastest (1.4 ns a value against 2.4)."""
_STEPS = 4096
"""Entries of a component's start table; 4 KiB stay in the first-level cache."""
_MAX_COMPARISONS = 12
"""More boundaries than this within one step: bisection is faster."""


@dataclass(frozen=True)
class CellIndex:
    """Boundaries of the cells of each component, with tables that find a cell quickly.

    Parameters
    ----------
    boundaries
        Ascending, float32, shape ``(n_components, n_codewords - 1)``; a value equal to a boundary
        belongs to the cell below.
    start
        Boundaries that lie before each step, uint8, shape ``(n_components, 4096)``; empty where
        there are few boundaries.
    factor
        Steps per unit of value, float32, shape ``(n_components,)``.
    comparisons
        Most boundaries that share a step, shape ``(n_components,)``.
    """

    boundaries: NDArray[np.float32]
    start: NDArray[np.uint8]
    factor: NDArray[np.float32]
    comparisons: NDArray[np.intp]

    @classmethod
    def of(cls, codebook: NDArray[np.float32]) -> Self:
        """Build the index of ascending codewords, float32 ``(n_components, n_codewords)``.

        Examples
        --------
        >>> index = CellIndex.of(np.array([[0.0, 1.0, 4.0]], dtype=np.float32))
        >>> index.boundaries
        array([[0.5, 2.5]], dtype=float32)
        """
        boundaries = (codebook[:, :-1].astype(np.float64) + codebook[:, 1:]) / 2
        return cls.between(boundaries.astype(np.float32))

    @classmethod
    def between(cls, boundaries: NDArray[np.float32]) -> Self:
        """Build the index of given `boundaries`, float32 ``(n_components, n_cells - 1)``."""
        n_components, n_boundaries = boundaries.shape
        if n_boundaries <= _FEW:
            none = np.zeros(n_components, dtype=np.intp)
            return cls(boundaries, np.empty((0, 0), np.uint8), np.empty(0, np.float32), none)
        span = boundaries[:, -1].astype(np.float64) - boundaries[:, 0]
        usable = (span > np.finfo(np.float32).tiny * _STEPS) & (span < np.finfo(np.float32).max)
        factor = np.where(usable, (_STEPS - 1) / np.where(usable, span, 1.0), 0.0)
        factor = factor.astype(np.float32)
        start = np.empty((n_components, _STEPS), dtype=np.uint8)
        comparisons = np.empty(n_components, dtype=np.intp)
        for row, bounds in enumerate(boundaries):
            per_step = np.bincount(_steps(bounds, bounds, factor[row]), minlength=_STEPS)
            start[row] = np.cumsum(per_step) - per_step
            comparisons[row] = per_step.max()
        return cls(boundaries, start, factor, comparisons)

    def find(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the cell of each value.

        Parameters
        ----------
        values
            Finite float32, shape ``(n_components, n_pixels)``.

        Returns
        -------
        cells
            uint8, same shape: how many boundaries lie below the value.

        Examples
        --------
        >>> index = CellIndex.of(np.array([[0.0, 1.0, 4.0]], dtype=np.float32))
        >>> index.find(np.array([[-9.0, 0.6, 2.5, 2.6]], dtype=np.float32))
        array([[0, 1, 1, 2]], dtype=uint8)
        """
        cells = np.empty(values.shape, dtype=np.uint8)
        for row, bounds in enumerate(self.boundaries):
            if not self.start.size:
                _count(values[row], bounds, cells[row])
            elif self.comparisons[row] > _MAX_COMPARISONS:
                cells[row] = np.searchsorted(bounds, values[row])
            else:
                self._walk(values[row], row, cells[row])
        return cells

    def _walk(self, values: NDArray[np.float32], row: int, cells: NDArray[np.uint8]) -> None:
        """Start where the table says, then step over the boundaries that share the step."""
        bounds = np.append(self.boundaries[row], np.float32(np.inf))
        step = _steps(values, bounds[:-1], self.factor[row])
        np.take(self.start[row], step, out=cells, mode="clip")
        for _ in range(int(self.comparisons[row])):
            cells += (values > bounds.take(cells)).view(np.uint8)


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


def _steps(
    values: NDArray[np.float32], bounds: NDArray[np.float32], factor: np.float32
) -> NDArray[np.int32]:
    """Map values to table entries; never decreasing in the value, which makes the walk exact."""
    scaled = np.clip(values, bounds[0], bounds[-1])
    if factor == 0:  # the span is 0, or beyond float32
        return np.zeros(values.shape, dtype=np.int32)
    scaled -= bounds[0]
    scaled *= factor
    return scaled.astype(np.int32)


def _count(
    values: NDArray[np.float32], bounds: NDArray[np.float32], cells: NDArray[np.uint8]
) -> None:
    """Count the boundaries below each value, into `cells`."""
    above = np.empty(values.shape, dtype=np.bool_)
    cells.fill(0)
    for bound in bounds:
        np.greater(values, bound, out=above)
        cells += above.view(np.uint8)
