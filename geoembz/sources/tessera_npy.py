"""Tessera NPY tiles: int8 codes, a file of scales, and a land mask that says where they lie.

``grid_LON_LAT.npy`` (H, W, 128) times ``grid_LON_LAT_scales.npy`` (H, W) or (H, W, 128). Scales
that cannot be right were published; their pixels are rejected one by one, and counted.
"""

from pathlib import PurePosixPath

import numpy as np

from geoembz._geo.grid import Window
from geoembz._objects.identity import display_name, split_query
from geoembz._objects.reading import exists
from geoembz.errors import SourceError
from geoembz.sources.base import SourceData, SourceInfo
from geoembz.sources.npy import NpyArray
from geoembz.sources.options import ReadOptions
from geoembz.sources.provenance import identify
from geoembz.sources.raster import RasterSource
from geoembz.sources.tessera import TRAITS, check_place, tile_name, usable

SCALES_SUFFIX = "_scales.npy"
MASK_FOLDERS = ("landmasks", "global_0.1_degree_tiff_all")
"""Where published archives keep the land masks, beside the tiles or above them."""

_BLOCK_ROWS = 128


class TesseraNpySource:
    """One Tessera tile; water and pixels with a corrupt scale are invalid.

    Parameters
    ----------
    path
        The ``.npy`` file of the codes: path or fsspec URL.
    crs
        Replaces the land mask's CRS.

    Raises
    ------
    SourceError
        If the scales or the land mask are missing, or do not belong to the codes.
    """

    def __init__(self, path: str, *, crs: str | None = None) -> None:
        self.path, self.name = path, display_name(path)
        place, query = split_query(path)
        scales = f"{place.removesuffix('.npy')}{SCALES_SUFFIX}{query}"
        _require(scales, path, "its scales: codes mean nothing without")
        self._codes, self._scales = NpyArray(path), NpyArray(scales)
        mask = _land_mask(path)
        self._land = RasterSource(mask, ReadOptions(nodata="none", crs=crs))
        self.grid = self._land.grid
        self._check_shapes()
        tile = tile_name(path)
        if tile is not None and crs is None:
            check_place(self.name, tile, self.grid)
        self.dimension, self.dtype = self._codes.shape[2], self._codes.dtype
        self.block_shape = (min(_BLOCK_ROWS, self.grid.shape[0]), self.grid.shape[1])
        self.info: tuple[SourceInfo, ...] = tuple(map(identify, (path, scales, mask)))
        self.traits = TRAITS

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        rows, cols = window.slices
        codes = self._codes.rows(rows.start, rows.stop)[:, cols]
        scales = self._scales.rows(rows.start, rows.stop)[:, cols].astype(np.float32)
        land = self._land.read(window).values[0] != 0
        good = usable(scales)
        if scales.ndim == 3:
            good, scales = good.all(axis=2), np.ascontiguousarray(scales.transpose(2, 0, 1))
        return SourceData(
            np.ascontiguousarray(codes.transpose(2, 0, 1)),
            land & good,
            rejected=int(np.count_nonzero(land & ~good)),
            scale=np.ascontiguousarray(scales),
        )

    def _check_shapes(self) -> None:
        codes, scales = self._codes, self._scales
        if len(codes.shape) != 3 or codes.dtype != np.int8:
            raise SourceError(
                f"{self.name}: {codes.dtype} {codes.shape}; expected int8 (height, width, 128)"
            )
        if scales.shape not in {codes.shape, codes.shape[:2]} or scales.dtype.kind != "f":
            raise SourceError(
                f"{scales.name}: {scales.dtype} {scales.shape}; expected floats of shape "
                f"{codes.shape[:2]} or {codes.shape}, as the codes have; fetch the tile again"
            )
        if self.grid.shape != codes.shape[:2]:
            raise SourceError(
                f"{self._land.name}: land mask of {self.grid.shape} pixels; the tile has "
                f"{codes.shape[:2]}; fetch the land mask of this tile again"
            )


def _require(path: str, tile: str, what: str) -> None:
    if not exists(path):
        raise SourceError(
            f"{display_name(tile)}: {display_name(path)} is missing, {what}; fetch it"
        )


def _land_mask(path: str) -> str:
    """Return the tile's land mask: beside it, or in an archive's folder of masks above it."""
    tile, query = split_query(path)
    stem, folder = PurePosixPath(tile).stem, tile.rpartition("/")[0] or "."
    places = [folder, *(f"{above}/{name}" for above in _above(folder) for name in MASK_FOLDERS)]
    for place in places:
        for suffix in (".tiff", ".tif"):
            candidate = f"{place}/{stem}{suffix}{query}"
            if exists(candidate):
                return candidate
    raise SourceError(
        f"{display_name(path)}: no land mask {stem}.tiff beside it or in "
        f"{' or '.join(MASK_FOLDERS)} above; it gives CRS and transform; fetch it into the folder"
    )


def _above(folder: str) -> list[str]:
    """Return a folder and the three above it."""
    scheme, separator, place = folder.rpartition("://")
    path = PurePosixPath(place)
    return [f"{scheme}{separator}{parent}" for parent in (path, *list(path.parents)[:3])]
