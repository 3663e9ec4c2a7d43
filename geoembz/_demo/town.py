"""A town at the river, villages, and the roads between them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from geoembz._demo.fields import (
    Floats,
    Mask,
    Points,
    draw_field,
    draw_road,
    positions,
    turn,
    within,
)
from geoembz._demo.terrain import Terrain

_MARGIN = 100
"""Distance between the middles of two settlements, in pixels of a scene in full size."""


@dataclass(frozen=True)
class Town:
    """Where people live.

    Parameters
    ----------
    density
        float32, shape ``(y, x)``: how near a centre a pixel is; settled above 0, at most 1.
    streets
        bool, shape ``(y, x)``: streets between the blocks of houses.
    use
        float32, shape ``(y, x)``: a random number of 0 to 1 of each block of houses.
    roads
        Roads between settlements, and a highway of two lanes.
    """

    density: Floats
    streets: Mask
    use: Floats
    roads: tuple[Points, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, terrain: Terrain, scale: float) -> Self:
        """Draw a town, villages and their roads."""
        size = len(terrain.height)
        centres = _draw_centres(rng, terrain, scale)
        radii = [44.0, *rng.uniform(9, 15, len(centres) - 1)]
        near = np.full((size, size), -np.inf, dtype=np.float32)
        rows, cols = positions(size)
        for (row, col), radius in zip(centres, radii, strict=True):
            away = np.hypot(rows - np.float32(row), cols - np.float32(col))
            np.maximum(near, 1 - away / np.float32(radius * scale), out=near)
        density = (near + 0.33 * draw_field(rng, size, 60 * scale, 1.8)).clip(-1.5, 1)
        streets, use = _draw_blocks(rng, size)
        return cls(density, streets, use, _draw_roads(rng, centres, size))


def _draw_centres(rng: np.random.Generator, terrain: Terrain, scale: float) -> list[Points]:
    """Return the middle of the town, beside the river, and those of villages in the low land."""
    size = len(terrain.height)
    river = within(terrain.river, (size, size))
    ford = river[:, int(rng.uniform(0.5, 0.65) * river.shape[1])] if river.size else size / 2
    side = rng.choice([-1, 1])
    centres: list[Points] = [(ford + side * 34 * scale * np.ones(2)).clip(0.2 * size, 0.8 * size)]
    low = np.median(terrain.height)
    for place in rng.uniform(0.08, 0.92, (40, 2)) * size:
        at = tuple(place.astype(int))
        dry = terrain.to_stream[at] > 12 and terrain.to_shore[at] > 20 and terrain.height[at] < low
        apart = min(np.hypot(*(place - other)) for other in centres)
        if dry and apart > _MARGIN * scale and len(centres) < 4 + round(size / 512):
            centres.append(place)
    return centres


def _draw_blocks(rng: np.random.Generator, size: int) -> tuple[Mask, Floats]:
    """Return where streets are, and a random number of each block between them."""
    bend = np.float32(4) * draw_field(rng, size, 80, 2.0)
    rows, cols = positions(size)
    along, across = turn(rows + bend, cols + bend, rng.uniform(0.2, 1.3))
    along, across = along / np.float32(8), across / np.float32(12)
    streets = (np.abs(along - np.rint(along)) < 0.07) | (np.abs(across - np.rint(across)) < 0.05)
    block = np.floor(along).astype(int) * 7919 + np.floor(across).astype(int) * 104729
    return streets, rng.random(4096, dtype=np.float32)[block % 4096]


def _draw_roads(rng: np.random.Generator, centres: list[Points], size: int) -> tuple[Points, ...]:
    """Return roads from the town to the villages and out of the picture, and a highway past it."""
    ends = np.array([[0.3, -0.02], [0.0, 0.7], [1.02, 0.4], [0.6, 1.02]]) * size
    roads = [draw_road(rng, centres[0], end) for end in (*centres[1:], *ends)]
    south, north = rng.uniform(0.75, 0.95, 2) * size
    highway = draw_road(rng, np.array([1.02 * size, south]), np.array([-0.02 * size, north]))
    return *roads, highway, highway + np.array([[0], [1]])
