"""Write rasters as cloud-optimized GeoTIFF: a draft is filled block by block, then copied."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoembz._export.tiling import draft_side, tile_side
from geoembz._geo.grid import Grid
from geoembz._util.output import output_file
from geoembz.errors import OutputError, SourceError
from geoembz.sources.gdal import open_gdal
from geoembz.sources.tiff import read_complete

_DRAFT_TILE_BYTES = 4 * 2**20
"""Of one tile of the draft with all its bands."""

_CACHE_BYTES = 256 * 2**20
"""Of GDAL's cache, which would take 5 % of the machine's memory."""

_SETTINGS = {
    "GDAL_CACHEMAX": _CACHE_BYTES,
    "GDAL_PAM_ENABLED": True,  # a table of classes beside the draft goes into the file
    "GDAL_TIFF_INTERNAL_MASK": True,
    "GDAL_VALIDATE_CREATION_OPTIONS": False,  # it would warn of tiles below 128 pixels
}


@dataclass(frozen=True)
class Raster:
    """What a GeoTIFF holds.

    Parameters
    ----------
    grid
        Where its pixels lie, the first row in the north.
    count
        Number of bands.
    dtype
        Type of the numbers.
    nodata
        Number of pixels without one; None where a mask says it, or all have one.
    """

    grid: Grid
    count: int
    dtype: np.dtype[Any]
    nodata: float | None

    def profile(self) -> dict[str, Any]:
        """Return the options that rasterio opens a draft with."""
        import rasterio

        grid = self.grid
        side = draft_side(grid.shape, self.count * self.dtype.itemsize, _DRAFT_TILE_BYTES)
        return {
            "driver": "GTiff",
            "count": self.count,
            "height": grid.shape[0],
            "width": grid.shape[1],
            "dtype": self.dtype.name,
            "nodata": self.nodata,
            "crs": rasterio.crs.CRS.from_wkt(grid.crs_wkt),
            "transform": rasterio.Affine(*grid.transform),
            "tiled": True,
            "blockxsize": side,
            "blockysize": side,
            "interleave": "band",
            "BIGTIFF": "IF_SAFER",
            "SPARSE_OK": True,
        }


def write_cog(target: Path, raster: Raster, fill: Callable[[Any], None]) -> None:
    """Write a cloud-optimized GeoTIFF with overviews; a file that exists is replaced whole.

    Disk space for the uncompressed raster is needed meanwhile, beside `target`.

    Parameters
    ----------
    target
        The file.
    raster
        What it holds.
    fill
        Given the draft, open for writing: writes its pixels, names, tags and colours.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import rasterio

    with output_file(target) as finished, rasterio.Env(**_SETTINGS):
        plain = finished.with_name(f"{finished.name}.plain.tif")
        with rasterio.open(plain, "w", **raster.profile()) as draft:
            fill(draft)
        refuse_cut(plain, target)
        _optimize(plain, finished, raster)
        refuse_cut(finished, target)


def _optimize(plain: Path, finished: Path, raster: Raster) -> None:
    """Copy a GeoTIFF to a cloud-optimized one, with overviews."""
    from rasterio.shutil import copy

    dtype, side = raster.dtype, tile_side(raster.grid.shape)
    is_float = dtype.kind == "f"
    options = {}
    if dtype == np.float16:  # GDAL 3.12 makes overviews of float16 one band at a time only
        _add_overviews(plain, side)
        options["OVERVIEWS"] = "FORCE_USE_EXISTING"
    copy(
        plain,
        finished,
        driver="COG",
        COMPRESS="ZSTD" if is_float else "DEFLATE",
        PREDICTOR="FLOATING_POINT" if dtype == np.float32 else "STANDARD",
        BLOCKSIZE=side,
        INTERLEAVE="BAND" if raster.count > 1 else "PIXEL",
        OVERVIEW_RESAMPLING="AVERAGE" if is_float else "NEAREST",
        BIGTIFF="IF_SAFER",
        NUM_THREADS="ALL_CPUS",
        **options,
    )


def _add_overviews(path: Path, side: int) -> None:
    """Add overviews to a GeoTIFF of bands, halved until one tile holds all."""
    import rasterio
    from rasterio.enums import Resampling

    with rasterio.open(path, "r+") as raster:
        longest = max(raster.shape)
        factors = [2**power for power in range(1, 32) if longest > side * 2 ** (power - 1)]
        if factors:
            raster.build_overviews(factors, Resampling.average)


def refuse_cut(written: Path, target: Path) -> None:
    """Refuse a GeoTIFF that ends before its tiles do.

    Parameters
    ----------
    written
        The file.
    target
        Its name for messages.

    Raises
    ------
    OutputError
        If it is cut.
    """
    try:
        read_complete(str(target), str(written))
        open_gdal(str(written)).close()
    except (SourceError, OSError) as error:
        raise OutputError(
            f"{target}: cannot be written (the file ends too early: the disk is full, or files may "
            "not be as large there); make room, or choose another place"
        ) from error
