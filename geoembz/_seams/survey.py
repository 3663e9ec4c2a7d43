"""What a raster's inside is like, before its borders are looked at.

Strips through the middle of some tiles tell two things: whether a model's windows show, and in
which directions the landscape makes mean steps, and how large. An offset of a tile need not lie in
those directions: measured in units of what is usual in each, it stands out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isqrt

import numpy as np
from numpy.typing import NDArray

from geoembz._seams.borders import Border, Layout
from geoembz._seams.steps import Cuts, Read, contrast, measure
from geoembz._seams.windows import PERIODS, Lattice, find_lattice
from geoembz._util.threads import for_each, single_threaded_blas

REACH = 3 * PERIODS[-1] + 1
_PROBES = 16
_LONGEST = 512
_LEAST_REACH = 32

_SHRINKAGE = 0.05
"""Share of the mean variance that each direction has at least: rarer steps are not seen better."""

type Lattices = dict[bool, Lattice]
"""Windows by whether the cuts between them are vertical."""


@dataclass(frozen=True)
class Survey:
    """What is known of the inside.

    Parameters
    ----------
    lattices
        The model's windows.
    whitening
        Maps a mean step, in units of its strip, to one whose components all have variance 1 in the
        inside, float64 ``(length, length)``.
    """

    lattices: Lattices
    whitening: NDArray[np.float64]

    def reach(self, border: Border) -> int:
        """Return how far to read: three windows, so that each place in one has others like it."""
        return max(_LEAST_REACH, 3 * self.lattices[border.vertical].period + 1)

    @single_threaded_blas()
    def rarities(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sizes of mean steps in units of the inside's, ``(n,)``."""
        return np.asarray(np.sqrt(np.square(vectors @ self.whitening).mean(axis=1)))


def survey(read: Read, length: int, layout: Layout, workers: int) -> Survey:
    """Read strips through the middle of some tiles.

    Parameters
    ----------
    read, length
        As in `measure`.
    layout
        The tiles.
    workers
        Strips at once.
    """
    probes = [probe for vertical in (True, False) for probe in _probes(layout, vertical=vertical)]
    cuts = for_each(probes, lambda probe: measure(read, length, probe, REACH), workers)
    lattices = {vertical: _lattice(probes, cuts, vertical=vertical) for vertical in (True, False)}
    vectors = [
        _residuals(one, probe, lattices[probe.vertical])
        for one, probe in zip(cuts, probes, strict=True)
    ]
    return Survey(lattices, _whiten(np.concatenate([np.zeros((0, length)), *vectors])))


def _lattice(probes: Sequence[Border], cuts: Sequence[Cuts], *, vertical: bool) -> Lattice:
    chosen = [
        (probe, one) for probe, one in zip(probes, cuts, strict=True) if probe.vertical == vertical
    ]
    return find_lattice(
        [probe.line + one.offsets for probe, one in chosen],
        [_plain_sizes(one) for _, one in chosen],
    )


def _plain_sizes(cuts: Cuts) -> NDArray[np.float64]:
    every = np.ones(len(cuts.offsets), dtype=np.bool_)
    return contrast(cuts, np.zeros_like(cuts.offsets), every).sizes


def _residuals(cuts: Cuts, probe: Border, lattice: Lattice) -> NDArray[np.float64]:
    """Return the mean steps of cuts inside windows, in units of their strip, ``(n, length)``."""
    classes = lattice.classes(probe, cuts.offsets)
    between = lattice.between(classes)
    found = contrast(cuts, classes, ~between)
    known = cuts.inside & ~between & np.isfinite(found.sizes)
    return found.vectors[known] / (found.unit or 1.0)


@single_threaded_blas()
def _whiten(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what makes the variance of vectors 1 in all directions."""
    n, length = vectors.shape
    covariance = vectors.T @ vectors / max(n, 1)
    usual = float(np.trace(covariance)) / length
    if not usual > 0:
        return np.eye(length)
    share = min(_SHRINKAGE + length / n, 1.0)
    covariance = (1 - share) * covariance + share * usual * np.eye(length)
    variances, directions = np.linalg.eigh(covariance)
    return np.asarray(directions / np.sqrt(variances))


def _probes(layout: Layout, *, vertical: bool) -> list[Border]:
    """Return lines through some tiles, away from their borders."""
    step = ceil(len(layout.tiles) / _PROBES)
    chosen = layout.tiles[::step]
    per_side = isqrt(max(_PROBES // len(chosen) - 1, 0)) + 1
    return [
        probe
        for tile in chosen
        for probe in _through(
            (tile.window.col, tile.window.width, tile.window.row, tile.window.height)
            if vertical
            else (tile.window.row, tile.window.height, tile.window.col, tile.window.width),
            per_side,
            vertical=vertical,
        )
    ]


def _through(sides: Sequence[int], per_side: int, *, vertical: bool) -> list[Border]:
    """Return lines that cut a tile into parts of equal size, each at most `_LONGEST` long."""
    first, width, top, height = sides
    probes = []
    for part in range(per_side):
        line = first + width * (2 * part + 1) // (2 * per_side)
        before, behind = line - first, first + width - line
        for piece in range(per_side):
            middle = top + height * (2 * piece + 1) // (2 * per_side)
            half = min(_LONGEST, height // per_side) // 2
            if half < 1 or min(before, behind) < 1:
                continue
            start, stop = max(middle - half, top), min(middle + half, top + height)
            reach = min(before, REACH), min(behind, REACH)
            probes.append(Border("source", vertical, line, start, stop, *reach, (0, 0)))
    return probes
