"""What fields and woods of a made-up landscape lie around: water and hills, a town and roads.

A river, the streams that feed it, hills; a town at the river, villages, the roads between them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from geoembz._demo.fields import (
    Floats,
    Mask,
    Points,
    distance_to,
    draw_field,
    draw_meander,
    draw_road,
    positions,
    standardize,
    turn,
    within,
)


@dataclass(frozen=True)
class Terrain:
    """What water made of a square of land; distances in pixels of a scene in full size.

    Parameters
    ----------
    height
        float32, shape ``(y, x)``: about 0 at the water, about 1 on the hills.
    slope, light
        float32, shape ``(y, x)``: steepness, and how directly the sun shines, both standardized.
    to_river, to_stream
        float32, shape ``(y, x)``: distance to the middle of the river, and of any running water.
    to_shore
        float32, shape ``(y, x)``: distance to the shore of the lake, negative in the lake.
    river
        The middle of the river, from west to east.
    """

    height: Floats
    slope: Floats
    light: Floats
    to_river: Floats
    to_stream: Floats
    to_shore: Floats
    river: Points

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int, scale: float) -> Self:
        """Draw the terrain of `size` x `size` pixels, everything `scale` times as large as real."""
        start = np.array([rng.uniform(0.55, 0.75) * size, -0.05 * size])
        river = draw_meander(rng, start, rng.uniform(-0.25, -0.05), 2.3 * size, 120 * scale)
        streams = _draw_streams(rng, within(river, (size, size)), size, scale)
        to_river = distance_to(river, size) / np.float32(scale)
        to_stream = np.minimum(to_river, distance_to(np.hstack(streams), size) / np.float32(scale))
        valley = np.exp(-to_stream / 45) * (0.4 + 0.6 * np.exp(-to_river / 60))
        hills = np.exp(0.55 * draw_field(rng, size, 170 * scale, 2.6))
        height = 0.6 * (1 - valley) * hills + 0.03 * draw_field(rng, size, 30 * scale, 2.2)
        down, right = np.gradient(np.pad(height, (0, 1), mode="edge"))
        slope, light = standardize(np.hypot(down, right)), standardize(-down - right)
        to_shore = _draw_lake(rng, (to_stream < 4) & (to_river > 45), scale)
        cut = slice(None, -1)
        slope, light = slope[cut, cut], light[cut, cut].clip(-3, 3)
        return cls(height, slope, light, to_river, to_stream, to_shore, river)


def _draw_streams(rng: np.random.Generator, river: Points, size: int, scale: float) -> list[Points]:
    """Return streams, upwards from the river, each with a branch."""
    streams: list[Points] = []
    count = 4 + round(size / 512) if river.size else 0
    shares = np.linspace(0.12, 0.9, count) + rng.uniform(-0.04, 0.04, count)
    for number, share in enumerate(shares):
        side = -1 if number % 2 else 1
        mouth = river[:, int(share * (river.shape[1] - 1))]
        heading = np.pi + side * rng.uniform(0.75, 1.5)
        length = rng.uniform(0.5, 0.9) * size
        stream = draw_meander(rng, mouth, heading, length, 55 * scale, swing=0.75)
        fork = stream[:, int(rng.uniform(0.25, 0.5) * (stream.shape[1] - 1))]
        branch = draw_meander(rng, fork, heading - side * 0.9, length / 2, 45 * scale, swing=0.7)
        streams += [stream, branch]
    return streams or [np.empty((2, 0))]


def _draw_lake(rng: np.random.Generator, dammed: Mask, scale: float) -> Floats:
    """Return the distance to the shore of a lake that lies at a place that is `dammed`."""
    size = len(dammed)
    rows, cols = positions(size)
    near_edge = np.maximum(np.abs(rows - size / 2), np.abs(cols - size / 2)) > 0.36 * size
    places = np.flatnonzero(dammed & ~near_edge)
    place = int(rng.choice(places)) if len(places) else size // 2 * (size + 1)
    along, across = turn(rows - place // size, cols - place % size, rng.uniform(0, np.pi))
    shore: Floats = np.hypot(along / 1.7, across) / np.float32(scale) - 17
    return shore + 5 * draw_field(rng, size, 30 * scale, 3.2)


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
