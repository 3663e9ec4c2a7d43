"""Parcels of land: fields in blocks, each block at an angle of its own, and stands of a wood."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._demo.fields import Floats, Mask, draw_field, positions, turn

_STIFF = np.float32(0.2)
"""How much of the bend of a block's border its fields follow."""


@dataclass(frozen=True)
class Parcels:
    """Which parcel a pixel belongs to.

    Parameters
    ----------
    number
        int, shape ``(y, x)``: number of the parcel, from 0.
    count
        How many there are.
    tracks, verges
        bool, shape ``(y, x)``: pixels along the borders of some blocks, and of some parcels.
    """

    number: NDArray[np.intp]
    count: int
    tracks: Mask
    verges: Mask

    @classmethod
    def fields(cls, rng: np.random.Generator, size: int, scale: float) -> Self:
        """Divide the land into blocks, a block into strips, and a strip into fields."""
        block, rows, cols = _nearest_seed(rng, size, 62 * scale, bend=7 * scale)
        blocks = int(block.max()) + 1
        angle = rng.normal(0.35, 0.35, blocks) + np.pi / 2 * (rng.random(blocks) < 0.4)
        along, across = turn(rows, cols, angle[block])
        length = rng.uniform(24, 52, blocks) * scale
        strip, strips = _number(block, along / length[block] + rng.random(blocks)[block])
        width = np.exp(rng.normal(np.log(11), 0.4, blocks)).clip(6, 24) * scale
        place = across / (width[block] * rng.uniform(0.7, 1.5, strips)[strip])
        place += rng.random(strips)[strip]
        number, count = _number(strip, place + 0.35 * np.sin(1.9 * place))
        tracks = _border(block) & (rng.random(blocks) < 0.6)[block]
        verges = _border(number) & (rng.random(strips) < 0.25)[strip]
        return cls(number, count, tracks, verges)

    @classmethod
    def stands(cls, rng: np.random.Generator, size: int, scale: float) -> Self:
        """Divide the land into stands of trees."""
        number, _, _ = _nearest_seed(rng, size, 30 * scale, bend=5 * scale)
        nowhere = np.zeros(number.shape, dtype=bool)
        return cls(number, int(number.max()) + 1, nowhere, nowhere)

    def mean(self, field: Floats) -> NDArray[np.float64]:
        """Return a field's mean over every parcel, shape ``(count,)``."""
        flat = self.number.ravel()
        sums = np.bincount(flat, field.ravel(), self.count)
        return np.asarray(sums / np.bincount(flat, minlength=self.count).clip(1))

    def spread(self, draw: Callable[[int], NDArray[np.float64]]) -> Floats:
        """Return a random number of each parcel, on all its pixels."""
        return draw(self.count).astype(np.float32)[self.number]


def _number(outer: NDArray[np.intp], place: NDArray[Any]) -> tuple[NDArray[np.intp], int]:
    """Return the number of the part in which a pixel lies, and how many: a part is one unit."""
    part = np.floor(place).astype(np.int64)
    part -= part.min()
    kinds, number = np.unique(outer * (int(part.max()) + 1) + part, return_inverse=True)
    return number, len(kinds)


def _nearest_seed(
    rng: np.random.Generator, size: int, spacing: float, bend: float
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Return the number of the nearest of some random points, and the rows and columns from it.

    Space is bent by `bend` pixels, so that borders are not quite straight.
    """
    from scipy.ndimage import distance_transform_edt

    count = max(1, round((size / spacing) ** 2))
    seeds = rng.choice(size * size, min(count, size * size), replace=False)
    number = np.full((size, size), -1, dtype=np.intp)
    number.flat[seeds] = np.arange(len(seeds))
    nearest = distance_transform_edt(number < 0, return_distances=False, return_indices=True)
    rows, cols = positions(size)
    down, right = (bend * draw_field(rng, size, 8 * bend, 3.2) for _ in range(2))
    at = tuple(np.rint(x).clip(0, size - 1).astype(int) for x in (rows + down, cols + right))
    row, col = nearest[0][at], nearest[1][at]
    return number[row, col], rows - row + _STIFF * down, cols - col + _STIFF * right


def _border(number: NDArray[np.intp]) -> Mask:
    """Return the pixels of which the lower or the right neighbour has another number."""
    border = np.zeros(number.shape, dtype=bool)
    border[:-1] |= number[:-1] != number[1:]
    border[:, :-1] |= number[:, :-1] != number[:, 1:]
    return border
