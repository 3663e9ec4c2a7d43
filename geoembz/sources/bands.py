"""Several files of one or a few bands each that together form one embedding.

Earth Engine exports come so: ``A00_A01_A02.tif``, ``A01_A02_A03.tif`` … A band that several files
hold is read from the first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources.alignment import best_named, describe_grid, same_pixels
from geoembz.sources.band_names import natural_order
from geoembz.sources.base import SourceData, SourceInfo, SourceTraits, traits_of
from geoembz.sources.nodata import Nodata, settled
from geoembz.sources.parts import notes_on, part_names
from geoembz.sources.raster import RasterSource
from geoembz.sources.scaling import Scaling


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
            if not same_pixels(part.grid, first.grid):
                raise SourceError(
                    f"{part.name}: {describe_grid(part.grid)}, but {first.name}: "
                    f"{describe_grid(first.grid)}; parts of one embedding must have one grid"
                )
        ordered = sorted(parts, key=lambda part: natural_order(part.name))
        names = _names(ordered)
        found: dict[str, tuple[int, int]] = {}
        for index, bands in enumerate(names):
            for band, name in enumerate(bands):
                found.setdefault(name, (index, band))
        used = sorted({index for index, _ in found.values()})
        self._parts = [ordered[index] for index in used]
        self.band_names = tuple(sorted(found, key=natural_order))
        self._order = [(used.index(found[name][0]), found[name][1]) for name in self.band_names]
        self.name = f"{first.name} and {len(self._parts) - 1} more"
        self.grid, self.block_shape = best_named([part.grid for part in parts]), first.block_shape
        self.dimension = len(self.band_names)
        self.stored_dtype = np.result_type(*(part.stored_dtype for part in self._parts))
        self._nodata = self._joined_nodata()
        self._scaling = self._joined_scaling()
        self.dtype: np.dtype[np.generic] = (
            self.stored_dtype if self._scaling is None else np.dtype(np.float32)
        )
        self.info: tuple[SourceInfo, ...] = tuple(
            info for part in self._parts for info in part.info
        )
        traits = traits_of(first)
        self.traits: SourceTraits = replace(traits, notes=(*traits.notes, *notes_on(names)))

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        raw = np.empty((self.dimension, *window.shape), self.stored_dtype)
        read = [part.read_stored(window) for part in self._parts]
        masks = [mask for _, mask in read if mask is not None]
        known = np.logical_and.reduce(masks) if masks else None
        for row, (part, band) in enumerate(self._order):
            raw[row] = read[part][0][band]
        data = settled(raw, known, self._nodata)
        return data if self._scaling is None else replace(data, values=self._scaling.apply(raw))

    def unmasked(self) -> Self:
        """Return the same with the nodata values of the files read as numbers like others."""
        return type(self)([part.unmasked() for part in self._parts])

    def _joined_nodata(self) -> Nodata | None:
        """Return the nodata values of all bands: a pixel is invalid where all of them have it."""
        declared: list[list[float] | None] = []
        for part, band in self._order:
            nodata = self._parts[part].nodata
            column: list[float] = [] if nodata is None else nodata.values[:, band].tolist()
            declared.append([value for value in column if not np.isnan(value)] or None)
        return Nodata.of(declared)

    def _joined_scaling(self) -> Scaling | None:
        scalings = [(self._parts[part].scaling, band) for part, band in self._order]
        return Scaling.of(
            [1.0 if scaling is None else float(scaling.scales[band]) for scaling, band in scalings],
            [
                0.0 if scaling is None else float(scaling.offsets[band])
                for scaling, band in scalings
            ],
        )


def _names(parts: Sequence[RasterSource]) -> list[tuple[str, ...]]:
    """Return the names of the bands of each part, after the file and its number where unknown."""
    return [
        names or tuple(f"{part.info[0].uri}:{band}" for band in range(1, part.dimension + 1))
        for part, names in zip(parts, part_names(parts), strict=True)
    ]
