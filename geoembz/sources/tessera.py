"""Tessera: int8 codes times scales, as tiles in ``.npy`` files or as Zarr.

Tiles are 0.1° wide and named by their centre, longitude first; their pixels are 10 m UTM.
``grid_LON_LAT.npy`` (H, W, 128) times ``grid_LON_LAT_scales.npy`` (H, W) or (H, W, 128), and a land
mask that says where they lie. In Zarr they are ``utmNN/embeddings`` int8 (time, band, y, x) and
``utmNN/scales`` (time, y, x): a scale that is NaN is water, one that is +infinite was never
written. Others that cannot be right were published; their pixels are rejected, and counted.
"""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window
from geoembz._objects.identity import display_name, split_query
from geoembz._objects.reading import exists
from geoembz.errors import SourceError
from geoembz.sources.arrays import NpyArray
from geoembz.sources.base import SourceData, SourceTraits
from geoembz.sources.options import TESSERA, ReadOptions
from geoembz.sources.provenance import SourceInfo, identify
from geoembz.sources.raster import RasterSource
from geoembz.sources.zarr_cube import ZarrCube

N_BANDS = 128
TRAITS = SourceTraits(TESSERA, model="https://github.com/ucam-eo/tessera", license="CC0-1.0")

LARGEST_SCALE = 1.0
"""Scales from here up are corrupt: published ones stay far below."""

_NAME = re.compile(r"grid_(-?\d+(?:\.\d+)?)_(-?\d+(?:\.\d+)?)(?:_(\d{4}))?")
_TOLERANCE_DEGREES = 0.1
"""The width of a tile: in UTM its middle is not quite the one that it is named by."""


@dataclass(frozen=True)
class TileName:
    """What a tile's file name says.

    Parameters
    ----------
    longitude, latitude
        Centre, in degrees.
    year
        Year of the embedding; None where the name has none.
    """

    longitude: float
    latitude: float
    year: int | None = None


def tile_name(path: str) -> TileName | None:
    """Read a tile's file name; None where it is not Tessera's.

    Examples
    --------
    >>> tile_name("2024/grid_0.15_52.05_2024.tiff")
    TileName(longitude=0.15, latitude=52.05, year=2024)
    """
    match = _NAME.fullmatch(PurePosixPath(path.partition("?")[0]).stem)
    if match is None:
        return None
    return TileName(float(match[1]), float(match[2]), int(match[3]) if match[3] else None)


def is_usable(scale: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where a scale can be right: finite, above 0 and below 1."""
    with np.errstate(invalid="ignore"):
        return np.asarray((scale > 0) & (scale < LARGEST_SCALE), dtype=np.bool_)


def check_place(path: str, tile: TileName, grid: Grid) -> None:
    """Refuse a tile whose georeference lies elsewhere than its name says.

    Raises
    ------
    SourceError
        If it does; the message tells swapped coordinates from a wrong land mask.
    """
    from rasterio.warp import transform

    xmin, ymin, xmax, ymax = grid.bbox
    (longitude,), (latitude,) = transform(
        grid.crs_wkt, "EPSG:4326", [(xmin + xmax) / 2], [(ymin + ymax) / 2]
    )
    if _near((longitude, latitude), (tile.longitude, tile.latitude)):
        return
    swapped = _near((latitude, longitude), (tile.longitude, tile.latitude))
    cause = "longitude and latitude are swapped" if swapped else "it is another tile's"
    raise SourceError(
        f"{path}: named after longitude {tile.longitude}, latitude {tile.latitude}, but its "
        f"georeference lies at longitude {longitude:.4f}, latitude {latitude:.4f}: {cause}; fetch "
        "the tile and its land mask again"
    )


def _near(place: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= _TOLERANCE_DEGREES for a, b in zip(place, other, strict=True))


SCALES_SUFFIX = "_scales.npy"
MASK_FOLDERS = ("landmasks", "global_0.1_degree_tiff_all")
"""Where published archives keep the land masks, beside the tiles or above them."""

_BLOCK_ROWS = 128
"""Rows are read whole, since they lie one after the other: 128 of a tile take about 10 to 20 MB."""


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
        good = is_usable(scales)
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


_ZONE = re.compile(r"utm\d{1,2}")
CODES, SCALES = "embeddings", "scales"


def zones(root: zarr.Group) -> list[str]:
    """Return the names of the groups that hold Tessera zones; none where the root is no Tessera."""
    return sorted(
        name
        for name, group in root.groups()
        if _ZONE.fullmatch(name) and {CODES, SCALES} <= set(group.array_keys())
    )


class TesseraZarrSource(ZarrCube):
    """One UTM zone of a Tessera Zarr store in one year.

    Parameters
    ----------
    path
        Path or URL of the root group.
    zone
        Name of the zone's group.
    options
        See `ZarrCube`.
    """

    traits = TRAITS

    def __init__(self, path: str, zone: str, options: ReadOptions) -> None:
        super().__init__(path, zone, CODES, options)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        scales = self.window(SCALES, window).astype(np.float32)
        good = is_usable(scales)
        corrupt = ~(good | np.isnan(scales) | np.isposinf(scales))
        return replace(
            super().read(window),
            valid=good,
            rejected=int(np.count_nonzero(corrupt)),
            scale=scales,
        )
