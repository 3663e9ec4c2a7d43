"""Find the regular grid that the centres of chips lie on.

Knows only numbers: places in, rows and columns out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Transform
from geoembz.errors import SourceError

TOLERANCE = 0.05
"""How far a centre may be from its pixel's, in pixels: coordinates of tables are rounded."""

_SAME_PLACE = 0.05
"""Centres less than this share of a chip apart have one coordinate."""

_ROUNDING = 2e-7
"""What float32 leaves of a coordinate, relative to it."""

_FEWEST_FILLED = 1e-3
"""A grid with a smaller share of pixels is a coincidence of scattered points."""


@dataclass(frozen=True)
class Lattice:
    """A regular grid and where on it each place lies.

    Parameters
    ----------
    transform
        Affine coefficients, north-up.
    shape
        Height and width, in pixels.
    cells
        Number of each place's pixel, row by row, int64 ``(n,)``; −1 where the place is unknown.
    residual
        Largest distance of a place from its pixel's centre, in pixels.
    """

    transform: Transform
    shape: tuple[int, int]
    cells: NDArray[np.int64]
    residual: float


@dataclass(frozen=True)
class _Axis:
    """Evenly spaced coordinates: ``origin + step * index``."""

    origin: float
    step: float
    index: NDArray[np.int64]
    residual: float


def find_lattice(
    where: str, places: NDArray[np.float64], chip_size: tuple[float, float]
) -> Lattice:
    """Return the grid whose pixel centres are the places.

    Parameters
    ----------
    where
        The table, for messages.
    places
        x and y of each chip's centre, float64 ``(n, 2)``; NaN where unknown.
    chip_size
        Width and height of a chip, about; zeros where it is unknown.

    Raises
    ------
    SourceError
        If the places lie on no regular grid.

    Examples
    --------
    >>> places = np.array([[5.0, 35.0], [15.0, 35.0], [35.0, 15.0]])
    >>> lattice = find_lattice("chips", places, (10.0, 10.0))
    >>> lattice.transform, lattice.shape, lattice.cells.tolist()
    ((10.0, 0.0, 0.0, 0.0, -20.0, 45.0), (2, 4), [0, 1, 7])
    """
    known = np.isfinite(places).all(axis=1)
    if not known.any():
        raise SourceError(f"{where}: no row has a place; expected centres on a regular grid")
    steps = [_step(places[known, axis], chip_size[axis]) for axis in (0, 1)]
    x, y = (
        _fitted(where, "xy"[axis], places[known, axis], steps[axis] or steps[1 - axis])
        for axis in (0, 1)
    )
    height, width = int(y.index.max()) + 1, int(x.index.max()) + 1
    if known.sum() < _FEWEST_FILLED * height * width:
        raise SourceError(
            f"{where}: {int(known.sum())} places on a grid of {height} x {width} pixels: these are "
            "scattered points, not chips of a regular grid; convert the table without --grid"
        )
    cells = np.full(len(places), -1, np.int64)
    cells[known] = (height - 1 - y.index) * width + x.index
    left, top = x.origin - x.step / 2, y.origin + y.step * (height - 0.5)
    transform = (x.step, 0.0, left, 0.0, -y.step, top)
    return Lattice(transform, (height, width), cells, max(x.residual, y.residual))


def _step(values: NDArray[np.float64], size: float) -> float | None:
    """Return about how far apart neighbouring coordinates are; None where all are the same."""
    gaps = np.diff(np.unique(values))
    gaps = gaps[gaps > max(_SAME_PLACE * size, _ROUNDING * np.abs(values).max())]
    return float(np.mean(gaps[gaps < 1.5 * gaps.min()])) if len(gaps) else None


def _fitted(where: str, axis: str, values: NDArray[np.float64], step: float | None) -> _Axis:
    """Return evenly spaced coordinates from first to last; refuse values that lie off them."""
    if step is None:
        raise SourceError(
            f"{where}: all rows lie in one place; expected chips side by side on a regular grid"
        )
    unique, back = np.unique(values, return_inverse=True)
    index = np.concatenate([[0], np.cumsum(np.rint(np.diff(unique) / step))])
    origin = float(unique[0])
    if index[-1]:
        step = float(f"{(unique[-1] - origin) / index[-1]:.12g}")
        index = np.rint((unique - origin) / step)
    residual = float(np.abs((unique - origin) / step - index).max())
    if residual > TOLERANCE:
        raise SourceError(
            f"{where}: centres are up to {residual:.2f} steps of {step:.6g} off a regular grid "
            f"along {axis}; expected at most {TOLERANCE}; name the grid's CRS with "
            "--grid-crs, or convert the table without --grid"
        )
    return _Axis(origin, step, index.astype(np.int64)[back], residual)
