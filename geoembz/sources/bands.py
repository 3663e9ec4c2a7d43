"""Several files of one or a few bands each that together form one embedding.

Earth Engine exports come so: ``A00_A01_A02.tif``, ``A01_A02_A03.tif`` … A band that several files
hold is read from the first.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Self

import numpy as np

from geoembz.errors import SourceError
from geoembz.grid import Window
from geoembz.sources.base import SourceData, SourceInfo, SourceTraits, traits_of
from geoembz.sources.raster import RasterSource

MOST_BANDS = 16
"""Files with more bands are taken for embeddings of their own, unless they are said to be parts."""


def form_one_embedding(parts: Sequence[RasterSource]) -> bool:
    """Whether files are parts of one embedding: one grid, few bands each, with other names."""
    names = [known_names(part) for part in parts]
    return (
        len(parts) > 1
        and () not in names
        and all(part.grid == parts[0].grid for part in parts)
        and all(part.dimension <= MOST_BANDS for part in parts)
        and len(set(names)) == len(names)
    )


def known_names(raster: RasterSource) -> tuple[str, ...]:
    """Return the names of a part's bands: its own, or the file name's; else ()."""
    own = [name for name in raster.band_names if name]
    if len(own) == raster.dimension:
        return tuple(own)
    stem = PurePosixPath(raster.path.partition("?")[0]).stem
    pieces = stem.split("_")
    if len(pieces) >= raster.dimension > 1:
        return tuple(pieces[-raster.dimension :])
    return (stem,) if raster.dimension == 1 else ()


def part_names(raster: RasterSource) -> tuple[str, ...]:
    """Return the names of a part's bands, after the file and its number where there are none."""
    numbered = (f"{raster.name}:{band}" for band in range(1, raster.dimension + 1))
    return known_names(raster) or tuple(numbered)


class BandsSource:
    """Bands of several files, in the order of their names (numbers by value).

    Parameters
    ----------
    parts
        Files on one grid.

    Raises
    ------
    SourceError
        If they lie on several grids.
    """

    def __init__(self, parts: Sequence[RasterSource]) -> None:
        first = parts[0]
        for part in parts:
            if part.grid != first.grid:
                raise SourceError(
                    f"{part.name}: {part.grid.shape} pixels, {part.grid.transform}, but "
                    f"{first.name}: {first.grid.shape} pixels, {first.grid.transform}; parts of "
                    "one embedding must have one grid"
                )
        ordered = sorted(parts, key=lambda part: natural_order(part.name))
        first_with = _first_with(ordered)
        self._parts = [part for part in ordered if part in first_with.values()]
        self._places = {
            name: (self._parts.index(part), part_names(part).index(name))
            for name, part in first_with.items()
        }
        self.band_names = tuple(sorted(self._places, key=natural_order))
        self.name = f"{first.name} and {len(self._parts) - 1} more"
        self.grid, self.block_shape = first.grid, first.block_shape
        self.dimension = len(self.band_names)
        self.dtype: np.dtype[np.generic] = np.result_type(*(part.dtype for part in parts))
        self.info: tuple[SourceInfo, ...] = tuple(
            info for part in self._parts for info in part.info
        )
        self.traits: SourceTraits = traits_of(first)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        values = np.empty((self.dimension, *window.shape), self.dtype)
        valid = np.ones(window.shape, dtype=np.bool_)
        read = [part.read(window) for part in self._parts]
        for data in read:
            if data.valid is not None:
                valid &= data.valid
        for row, name in enumerate(self.band_names):
            part, band = self._places[name]
            values[row] = read[part].values[band]
        return SourceData(values, valid)

    def unmasked(self) -> Self:
        """Return the same with the nodata values of the files read as numbers like others."""
        return type(self)([part.unmasked() for part in self._parts])


def natural_order(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sorting key that orders numbers by value: ``X_9`` before ``X_10``."""
    pieces = re.split(r"(\d+)", name)
    return tuple((0, int(piece)) if piece.isdigit() else (1, piece) for piece in pieces if piece)


def _first_with(parts: Sequence[RasterSource]) -> dict[str, RasterSource]:
    """Return the first file that holds each band."""
    found: dict[str, RasterSource] = {}
    for part in parts:
        for name in part_names(part):
            found.setdefault(name, part)
    return found
