"""Find the windows in which a model looked at a scene: steps at equal distances inside tiles.

A model that runs over a scene in windows of 12 pixels leaves a step every 12 pixels, and each place
in a window has a bias of its own. Both drown the border of two tiles: so a border is compared with
cuts at the same place in a window. What is found is also told, since it is a seam, if not a border.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz._seams.borders import Border

PERIODS = range(4, 33)
"""Sides of windows that are looked for, in pixels."""

_POSITIONS = 5
"""Different places at which a step must be found before it is called periodic."""

_LOWEST, _HIGHEST, _RATIO = 10, 95, 1.5
"""The 10th percentile between windows must be 1.5 times the 95th inside: no landscape does that."""


@dataclass(frozen=True)
class Lattice:
    """Where one window ends and the next begins, along one axis.

    Parameters
    ----------
    period
        Side of a window, in pixels; 1 where there are none.
    phase
        First edge of a window, in pixels from the grid's corner.
    step
        Mean step between windows, in root mean square steps of the inside.
    """

    period: int = 1
    phase: int = 0
    step: float = 0.0

    def classes(self, border: Border, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of each cut in a window, 0 between two windows."""
        places: NDArray[np.int64] = (border.line + offsets - self.phase) % self.period
        return places

    def between(self, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which cuts lie between two windows."""
        return np.asarray((classes == 0) & (self.period > 1))


def find_lattice(
    places: Sequence[NDArray[np.int64]], sizes: Sequence[NDArray[np.float64]]
) -> Lattice:
    """Look for steps at equal distances.

    Parameters
    ----------
    places
        Columns (or rows) of the cuts in each strip, ``(n,)``.
    sizes
        How large the mean step across each is, in any unit; NaN where it is not known.
    """
    if not places:
        return Lattice()
    strengths, counted = np.concatenate(sizes), np.concatenate(places)
    known = np.isfinite(strengths)
    found = _fold(counted[known], strengths[known])
    return Lattice() if found is None else Lattice(*found)


def _fold(
    places: NDArray[np.int64], strengths: NDArray[np.float64]
) -> tuple[int, int, float] | None:
    """Return the shortest period at whose multiples steps are large; None where there is none."""
    for period in PERIODS:
        rest = places % period
        for phase in range(period):
            between = rest == phase
            if len(np.unique(places[between])) < _POSITIONS or between.all():
                continue
            inside = np.percentile(strengths[~between], _HIGHEST)
            if np.percentile(strengths[between], _LOWEST) > _RATIO * inside:
                return period, phase, float(np.median(strengths[between]))
    return None
