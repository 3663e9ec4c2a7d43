"""AlphaEarth's mosaic Zarr: one array (time, 64, y, x) of int8 codes, fill −128."""

import numpy as np
import zarr

from geoembz._geo.grid import Window
from geoembz.sources.aef import N_BANDS, decode_codes
from geoembz.sources.base import Source, SourceData
from geoembz.sources.zarr_cube import ZarrCube


def codes_array(root: zarr.Group) -> str | None:
    """Return the name of the array of AEF codes; None where the root is no AEF mosaic."""
    found = [
        name
        for name, array in root.arrays()
        if array.ndim == 4 and array.shape[1] == N_BANDS and array.dtype == np.int8
    ]
    return found[0] if len(found) == 1 else None


def open_mosaic(
    path: str, array: str, *, year: int | None = None, crs: str | None = None
) -> Source:
    """Open one year of an AEF mosaic Zarr store."""
    return decode_codes(_CodesSource(path, array, year=year, crs=crs))


class _CodesSource:
    """The int8 codes, as they are stored."""

    def __init__(self, path: str, array: str, *, year: int | None, crs: str | None) -> None:
        self._cube = cube = ZarrCube(path, "", array, year=year, crs=crs)
        self.name, self.grid, self.info = cube.name, cube.grid, cube.info
        self.dimension, self.dtype, self.block_shape = cube.dimension, cube.dtype, cube.block_shape
        self.band_names = cube.band_names

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        return SourceData(self._cube.window(self._cube.array_name, window), None)
