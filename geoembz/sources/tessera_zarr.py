"""Tessera as Zarr: ``utmNN/embeddings`` int8 (time, band, y, x) and ``utmNN/scales`` (time, y, x).

A scale that is NaN is water, one that is +infinite was never written; others that cannot be right
are corrupt.
"""

import re

import numpy as np
import zarr

from geoembz._geo.grid import Window
from geoembz.sources.base import SourceData
from geoembz.sources.tessera import TRAITS, usable
from geoembz.sources.zarr_cube import ZarrCube

_ZONE = re.compile(r"utm\d{1,2}")
CODES, SCALES = "embeddings", "scales"


def zones(root: zarr.Group) -> list[str]:
    """Return the names of the groups that hold Tessera zones; none where the root is no Tessera."""
    return sorted(
        name
        for name, group in root.groups()
        if _ZONE.fullmatch(name) and {CODES, SCALES} <= set(group.array_keys())
    )


class TesseraZarrSource:
    """One UTM zone of a Tessera Zarr store in one year.

    Parameters
    ----------
    path
        Path or URL of the root group.
    zone
        Name of the zone's group.
    year, crs
        See `ZarrCube`.
    """

    def __init__(
        self, path: str, zone: str, *, year: int | None = None, crs: str | None = None
    ) -> None:
        self._cube = cube = ZarrCube(path, zone, CODES, year=year, crs=crs)
        self.name, self.grid, self.info = cube.name, cube.grid, cube.info
        self.dimension, self.dtype, self.block_shape = cube.dimension, cube.dtype, cube.block_shape
        self.band_names = cube.band_names
        self.traits = TRAITS

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        scales = self._cube.window(SCALES, window).astype(np.float32)
        good = usable(scales)
        corrupt = ~(good | np.isnan(scales) | np.isposinf(scales))
        return SourceData(
            self._cube.window(CODES, window),
            good,
            rejected=int(np.count_nonzero(corrupt)),
            scale=scales,
        )
