"""Any multi-band raster that GDAL reads: one band per component of the embedding."""

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError

from geoembz.errors import InvalidConfigError, SourceError
from geoembz.grid import Grid, Transform, Window
from geoembz.memory import recycled
from geoembz.sources.band_names import BandNames, cleaned
from geoembz.sources.base import SourceData, SourceInfo
from geoembz.sources.georeference import make_grid
from geoembz.sources.handles import new_token, open_handle
from geoembz.sources.identity import display_name
from geoembz.sources.integrity import refuse_cut_off, refuse_truncated
from geoembz.sources.mapped_tiles import MappedTiles
from geoembz.sources.provenance import identify
from geoembz.sources.remote import gdal_s3_options

BLOCK_CACHE_BYTES = 64 * 2**20
"""GDAL's cache of raw blocks. Windows are aligned to blocks, so none is needed twice; GDAL's own
default, 5 % of the machine's memory, would only grow the process."""


class RasterSource:
    """A raster file, local or remote, with one band per component.

    A pixel is invalid where any of its components is the declared nodata value, where a mask band
    or an alpha band says so, and where a component is not finite (found while encoding).

    Parameters
    ----------
    path
        Path or URL that GDAL opens.
    nodata
        Replaces the declared nodata value; ``"none"`` says that there is none.
    crs
        Replaces the file's CRS, in any form that PROJ knows.

    Raises
    ------
    SourceError
        If the file is missing, no raster, complex, not georeferenced, or rotated.
    InvalidConfigError
        If `nodata` is no number or `crs` no CRS.
    """

    def __init__(
        self, path: str | Path, *, nodata: float | str | None = None, crs: str | None = None
    ) -> None:
        self.path = str(path)
        self.name = display_name(self.path)
        self._token = new_token()
        _refuse_missing(self.path)
        refuse_cut_off(self.name, self.path)
        dataset = self._dataset()
        refuse_truncated(self.name, dataset, self.path)
        self._bands = _component_bands(dataset)
        names = dataset.descriptions
        self.band_names = _shared(cleaned([names[band - 1] for band in self._bands]))
        self._nodata = _nodata_values(dataset, self._bands, nodata)
        self._has_mask = _has_mask(dataset)
        self._alpha: int | None = min(set(dataset.indexes) - set(self._bands), default=None)
        self._affine = _band_scaling(dataset, self._bands)
        a, b, c, d, e, f = (float(value) for value in dataset.transform[:6])
        transform: Transform = (a, b, c, d, e, f)
        self.grid: Grid = make_grid(self.name, dataset.crs, transform, dataset.shape, crs)
        self.dimension: int = len(self._bands)
        self.dtype: np.dtype[np.generic] = _real_dtype(self.name, dataset)
        self.block_shape: tuple[int, int] = tuple(dataset.block_shapes[0])
        self.info: tuple[SourceInfo, ...] = (identify(self.path),)
        self._tiles = MappedTiles.of(dataset, self.path) if self._alpha is None else None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore without open files: every thread and process opens its own."""
        self.__dict__.update(state)
        self._token = new_token()

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        try:
            raw = None if self._tiles is None else self._tiles.read(window)
            with _environment(self.path):
                if raw is None:
                    raw = recycled((self.dimension, *window.shape), self.dtype)
                    self._dataset().read(self._bands, window=_region(window), out=raw)
                mask = self._read_mask(window)
        except (RasterioError, OSError) as error:
            raise SourceError(
                f"{self.name}: rows {window.row} to {window.row + window.height}, columns "
                f"{window.col} to {window.col + window.width} cannot be read ({_reason(error)}); "
                "the file is truncated or damaged: fetch it again"
            ) from error
        valid = None if mask is None else mask != 0
        if self._nodata is not None:
            known = _differs(raw, self._nodata)
            valid = known if valid is None else valid & known
        return SourceData(self._scaled(raw), valid)

    def unmasked(self) -> Self:
        """Return the same raster with its nodata value read as a number like others."""
        other = copy.copy(self)
        vars(other)["_nodata"] = None
        return other

    def _read_mask(self, window: Window) -> NDArray[Any] | None:
        """Read what is zero at invalid pixels: a mask, or else an alpha band.

        GDAL takes an alpha band for a mask only where one or three bands stand beside it.
        """
        if self._has_mask:
            return np.asarray(self._dataset().dataset_mask(window=_region(window)))
        if self._alpha is None:
            return None
        return np.asarray(self._dataset().read(self._alpha, window=_region(window)))

    def _scaled(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Apply the bands' declared scale and offset, if any."""
        if self._affine is None:
            return raw
        scales, offsets = self._affine
        return raw.astype(np.float32) * scales + offsets

    def _dataset(self) -> Any:
        return open_handle(self._token, self._open)

    def _open(self) -> Any:
        try:
            with _environment(self.path):
                return rasterio.open(self.path)
        except (RasterioError, OSError) as error:
            raise SourceError(
                f"{self.name}: not a raster that GDAL can open ({_reason(error)}); expected a "
                "multi-band raster such as a GeoTIFF"
            ) from error


@lru_cache(maxsize=64)
def _shared(names: BandNames) -> BandNames:
    """Return one copy of the band names that the tiles of a mosaic have in common."""
    return names


def _region(window: Window) -> Any:
    return rasterio.windows.Window(window.col, window.row, window.width, window.height)


def _environment(path: str) -> Any:
    """Return the GDAL settings that every open and read of a path runs under.

    READDIR is TRUE: directories are not listed, but a mask file beside the raster is looked for.
    """
    on_s3 = path.startswith(("s3://", "/vsis3/"))
    return rasterio.Env(
        GDAL_CACHEMAX=BLOCK_CACHE_BYTES,
        GDAL_DISABLE_READDIR_ON_OPEN="TRUE",
        **(gdal_s3_options() if on_s3 else {}),
    )


def _reason(error: Exception) -> str:
    """Return GDAL's own words, which rasterio keeps as the cause."""
    return str(error.__cause__ or error)


def _refuse_missing(path: str) -> None:
    if "://" in path or path.startswith("/vsi"):
        return
    if not Path(path).exists():
        raise SourceError(f"{path}: no such file; expected a multi-band raster such as a GeoTIFF")


def _component_bands(dataset: Any) -> list[int]:
    """Return the numbers of the bands that hold components: all but an alpha band."""
    return [
        number
        for number, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if meaning is not ColorInterp.alpha
    ]


def _nodata_values(
    dataset: Any, bands: list[int], nodata: float | str | None
) -> NDArray[np.float64] | None:
    """Return the nodata value of each band, shape ``(dimension, 1, 1)``; None where none is needed.

    NaN needs no comparison: components that are not finite are found while encoding.
    """
    if isinstance(nodata, str) and nodata.lower() == "none":
        return None
    if nodata is not None:
        try:
            value = float(nodata)
        except ValueError as error:
            raise InvalidConfigError(
                f"nodata {nodata!r}; expected a number, nan or none"
            ) from error
        values = np.full(len(bands), value)
    else:
        declared = [dataset.nodatavals[band - 1] for band in bands]
        values = np.array([np.nan if value is None else value for value in declared])
    return None if np.isnan(values).all() else values[:, np.newaxis, np.newaxis]


def _differs(raw: NDArray[Any], nodata: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where no component is nodata, compared in the type that the values are stored in."""
    if raw.dtype.kind in "iu":
        info = np.iinfo(raw.dtype)
        possible = (nodata >= info.min) & (nodata <= info.max) & (nodata == np.trunc(nodata))
        stored = np.where(possible, nodata, 0).astype(raw.dtype)
        hit = (raw == stored) & possible
    else:
        with np.errstate(over="ignore"):
            hit = raw == nodata.astype(raw.dtype)
    return ~np.asarray(hit.any(axis=0), dtype=np.bool_)


def _has_mask(dataset: Any) -> bool:
    """Whether a mask band or a mask file stands beside the data."""
    return any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)


def _band_scaling(
    dataset: Any, bands: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return declared scales and offsets ``(dimension, 1, 1)``; None where they do nothing."""
    chosen = np.array(bands) - 1
    scales = np.array(dataset.scales, dtype=np.float32)[chosen, np.newaxis, np.newaxis]
    offsets = np.array(dataset.offsets, dtype=np.float32)[chosen, np.newaxis, np.newaxis]
    return None if (scales == 1).all() and (offsets == 0).all() else (scales, offsets)


def _real_dtype(name: str, dataset: Any) -> np.dtype[np.generic]:
    names = set(dataset.dtypes)
    if any("complex" in name for name in names):
        raise SourceError(
            f"{name}: bands of type {', '.join(sorted(names))}; expected real numbers (complex "
            "embeddings have no encoding here)"
        )
    return np.result_type(*(np.dtype(name) for name in names))
