"""Steps between neighbouring pixels along a border, and along the cuts parallel to it.

A cut is what a border would be if it lay some pixels further: the line between two neighbouring
columns, over the same rows. Of each, two numbers are kept. The *mean step* is the mean of the
difference vectors of all pixel pairs across it: what the landscape does along a border cancels, an
offset does not. The *energy* is the mean squared length of these differences: it also grows where
a border's steps have no direction in common. Long steps are cut to three medians first, so that
a few pixels (a road, a cloud) do not make a cut.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._seams.borders import Border

type Read = Callable[[Window], NDArray[np.float32]]
"""A window to vectors ``(length, height, width)``, invalid pixels NaN. Called from threads."""

GAP = 3
"""Cuts nearer to a border than this many pixels are no part of the inside: models blur there."""

_CLIP, _OWN_CLIP = 3.0, 1.5
"""Longest step, in medians of all steps of a block, or of those across the same cut if larger."""

_BLOCK_NUMBERS = 2**21
"""Components read at once along a border: 8 MB of float32."""


@dataclass(frozen=True)
class Cuts:
    """What was measured along parallel cuts, the border's among them.

    Parameters
    ----------
    offsets
        Pixels from the border, shape ``(n,)``; the border itself is 0.
    means
        Mean step across each, float64 ``(n, length)``.
    energies
        Mean squared length of a step, ``(n,)``.
    counts
        Pairs of valid pixels, ``(n,)``.
    """

    offsets: NDArray[np.int64]
    means: NDArray[np.float64]
    energies: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def border(self) -> int:
        """Index of the border."""
        return int(np.flatnonzero(self.offsets == 0)[0])

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which cuts may stand for a border: inside, with at least half as many pairs."""
        enough = self.counts * 2 >= max(int(self.counts[self.border]), 1)
        return (np.abs(self.offsets) >= GAP) & enough


def measure(read: Read, length: int, border: Border, reach: int) -> Cuts:
    """Read the strip along a border, block by block, and add up its steps.

    Parameters
    ----------
    read
        Reads a window.
    length
        Components of a vector.
    border
        Where.
    reach
        Pixels to read on each side, at most.
    """
    before, behind = min(border.before, reach), min(border.behind, reach)
    n_cuts = before + behind - 1
    sums, energies = np.zeros((length, n_cuts)), np.zeros(n_cuts)
    counts = np.zeros(n_cuts, dtype=np.int64)
    step = max(_BLOCK_NUMBERS // (length * (before + behind)), 1)
    for start in range(border.start, border.stop, step):
        stop = min(start + step, border.stop)
        values = read(border.strip(start, stop, before, behind))
        differences = np.diff(values if border.vertical else values.transpose(0, 2, 1), axis=2)
        valid = np.isfinite(differences).all(axis=0)
        differences[:, ~valid] = 0.0
        _clip(differences, valid)
        sums += differences.sum(axis=1, dtype=np.float64)
        energies += np.square(differences, dtype=np.float64).sum(axis=(0, 1))
        counts += valid.sum(axis=0)
    n = np.maximum(counts, 1)
    return Cuts(np.arange(n_cuts) - (before - 1), (sums / n).T, energies / n, counts)


def _clip(differences: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
    """Shorten long steps in place.

    Parameters
    ----------
    differences
        Steps, shape ``(length, pairs, cuts)``; 0 where they are not `valid`.
    valid
        Shape ``(pairs, cuts)``.
    """
    lengths = np.sqrt(np.square(differences).sum(axis=0))
    if not valid.any():
        return
    known = np.sort(np.where(valid, lengths, np.inf), axis=0)
    middle = np.maximum(valid.sum(axis=0) - 1, 0) // 2
    own = np.take_along_axis(known, middle[np.newaxis], axis=0)
    # Where two windows or two tiles meet most steps are long, and none of them is to be cut.
    most = np.maximum(_CLIP * np.median(lengths[valid]), _OWN_CLIP * own)
    shares = np.ones_like(lengths)
    np.divide(most, lengths, out=shares, where=valid & (lengths > most) & (most > 0))
    differences *= shares


@dataclass(frozen=True)
class Contrast:
    """How much each cut differs from others like it.

    Parameters
    ----------
    vectors
        Mean step less that of like cuts, times `scales`, float64 ``(n, length)``; NaN where there
        are none.
    scales
        What gives all cuts the same variance, whatever the number of like cuts, ``(n,)``.
    excesses
        Logarithm of the energy over that of like cuts, ``(n,)``.
    unit
        Root mean square step of the inside, in units of the vectors.
    """

    vectors: NDArray[np.float64]
    scales: NDArray[np.float64]
    excesses: NDArray[np.float64]
    unit: float

    @property
    def sizes(self) -> NDArray[np.float64]:
        """Lengths of `vectors` in units of the inside's steps, ``(n,)``."""
        lengths: NDArray[np.float64] = np.sqrt(np.square(self.vectors).sum(axis=1))
        return lengths / self.unit if self.unit else np.full_like(lengths, np.nan)


def contrast(cuts: Cuts, classes: NDArray[np.int64], plain: NDArray[np.bool_]) -> Contrast:
    """Compare each cut with the mean of the others of its class that lie inside.

    Parameters
    ----------
    cuts
        What was measured.
    classes
        Number of the class of each cut: its place in a model's window; all equal where there are
        no windows.
    plain
        Which cuts may give the unit: those not between two windows.
    """
    usable = cuts.inside
    like = (classes[:, np.newaxis] == classes) & usable
    np.fill_diagonal(like, val=False)
    n = like.sum(axis=1)
    shares = like / np.maximum(n, 1)[:, np.newaxis]
    # The mean of n others has 1/n of a cut's own variance.
    scale = np.where(n > 0, np.sqrt(n / (n + 1)), np.nan)
    others = np.einsum("ij,jk->ik", shares, cuts.means)  # no BLAS: the same on every machine
    with np.errstate(divide="ignore", invalid="ignore"):
        excesses = np.log(cuts.energies / (shares * cuts.energies).sum(axis=1))
    chosen = cuts.energies[usable & plain]
    return Contrast(
        (cuts.means - others) * scale[:, np.newaxis],
        scale,
        np.where(np.isfinite(excesses) & (n > 0), excesses, np.nan),
        float(np.sqrt(np.median(chosen))) if chosen.size else 0.0,
    )
