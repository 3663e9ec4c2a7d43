"""Mosaics whose tiles may be offset from each other, in memory and as files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window
from geoembz.sources.base import SourceData
from geoembz.sources.mosaic import MosaicSource
from geoembz.sources.provenance import SourceInfo
from tests import products

type Values = NDArray[np.float32]
type Offsets = Mapping[tuple[int, int], Values]
EDGES = (0, 60, 130, 192)


def scene(seed: int, size: int = 192, dimension: int = 8) -> Values:
    """Return a landscape ``(dimension, size, size)``: smooth, and pixels that differ a little."""
    rng = np.random.default_rng(seed)
    noise = np.fft.rfft2(rng.normal(size=(dimension, size, size)))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) * size
    smooth = np.fft.irfft2(noise / (1 + (frequency / 6) ** 2), s=(size, size))
    smooth /= smooth.std()
    return (smooth + 0.1 * rng.normal(size=smooth.shape)).astype(np.float32)


def step_size(values: Values, windows: int | None = None) -> float:
    """Return the root mean square length of a step between neighbours, but for windows' edges."""
    steps = np.diff(values, axis=2)
    inside = np.ones(steps.shape[2], dtype=np.bool_)
    if windows is not None:
        inside = np.arange(1, values.shape[2]) % windows != 0
    return float(np.sqrt(np.nanmean(np.square(steps[:, :, inside]).sum(axis=0))))


def offset(values: Values, size: float, seed: int, windows: int | None = None) -> Values:
    """Return an offset in a random direction, so many steps long, float32 ``(dimension,)``."""
    direction = np.random.default_rng([seed, 77]).normal(size=len(values))
    direction *= size * step_size(values, windows) / np.linalg.norm(direction)
    return direction.astype(np.float32)


@dataclass
class Tile:
    """A part of a scene in memory, as a source."""

    name: str
    values: Values
    grid: Grid
    dtype: np.dtype[np.generic] = field(default_factory=lambda: np.dtype(np.float32))
    block_shape: tuple[int, int] = (64, 64)

    @property
    def dimension(self) -> int:
        return len(self.values)

    @property
    def info(self) -> tuple[SourceInfo, ...]:
        return (SourceInfo(f"file:{self.name}"),)

    def read(self, window: Window) -> SourceData:
        values = self.values[:, *window.slices]
        return SourceData(values, np.isfinite(values).all(axis=0))


def cut(
    values: Values, rows: Sequence[int], cols: Sequence[int], offsets: Offsets | None = None
) -> dict[tuple[int, int], tuple[Window, Values]]:
    """Cut a scene into tiles, by their row and column."""
    return {
        (i, j): (
            Window(top, left, bottom - top, right - left),
            values[:, top:bottom, left:right]
            + (offsets or {}).get((i, j), np.zeros(len(values), np.float32))[:, None, None],
        )
        for i, (top, bottom) in enumerate(pairwise(rows))
        for j, (left, right) in enumerate(pairwise(cols))
    }


def mosaic(
    values: Values,
    rows: Sequence[int] = EDGES,
    cols: Sequence[int] = EDGES,
    offsets: Offsets | None = None,
) -> MosaicSource:
    """Return tiles ``t00``, ``t01`` … side by side."""
    whole = Grid("EPSG:32632", "EPSG:32632", products.UTM_TRANSFORM, values.shape[1:])
    return MosaicSource(
        [
            Tile(f"t{i}{j}", part, whole.part(window))
            for (i, j), (window, part) in cut(values, rows, cols, offsets).items()
        ]
    )


def write_tiles(
    folder: Path,
    values: Values,
    offsets: Offsets | None = None,
    crs: str = "EPSG:32632",
    edges: Sequence[int] = EDGES,
) -> list[Path]:
    """Write the tiles as files."""
    folder.mkdir(exist_ok=True)
    whole = Grid(crs, crs, products.UTM_TRANSFORM, values.shape[1:])
    paths = []
    for (i, j), (window, part) in cut(values, edges, edges, offsets).items():
        transform = whole.part(window).transform
        path = folder / f"t{i}{j}.tif"
        paths.append(products.write_raster(path, part, crs=crs, transform=transform))
    return paths
