"""Water and height of a made-up landscape: a river, the streams that feed it, and hills."""

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
