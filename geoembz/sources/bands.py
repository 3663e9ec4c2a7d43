"""Several files of one or a few bands each that together form one embedding.

Earth Engine exports come so: ``A00_A01_A02.tif``, ``A01_A02_A03.tif`` … A band that several files
hold is read from the first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from geoembz.errors import SourceError
from geoembz.grid import Window
from geoembz.sources.band_names import natural_order
from geoembz.sources.base import SourceData, SourceInfo, SourceTraits, traits_of
from geoembz.sources.parts import notes_on, part_names
from geoembz.sources.raster import RasterSource


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
        names = _names(ordered)
        found: dict[str, tuple[int, int]] = {}
        for index, bands in enumerate(names):
            for band, name in enumerate(bands):
                found.setdefault(name, (index, band))
        used = sorted({index for index, _ in found.values()})
        self._parts = [ordered[index] for index in used]
        self._places = {name: (used.index(index), band) for name, (index, band) in found.items()}
        self.band_names = tuple(sorted(found, key=natural_order))
        self.name = f"{first.name} and {len(self._parts) - 1} more"
        self.grid, self.block_shape = first.grid, first.block_shape
        self.dimension = len(self.band_names)
        self.dtype: np.dtype[np.generic] = np.result_type(*(part.dtype for part in parts))
        self.info: tuple[SourceInfo, ...] = tuple(
            info for part in self._parts for info in part.info
        )
        traits = traits_of(first)
        self.traits: SourceTraits = replace(traits, notes=(*traits.notes, *notes_on(names)))

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


def _names(parts: Sequence[RasterSource]) -> list[tuple[str, ...]]:
    """Return the names of the bands of each part, after the file and its number where unknown."""
    return [
        names or tuple(f"{part.info[0].uri}:{band}" for band in range(1, part.dimension + 1))
        for part, names in zip(parts, part_names(parts), strict=True)
    ]
