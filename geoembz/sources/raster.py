"""Any multi-band raster that GDAL reads: one band per component of the embedding."""

import copy
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError

from geoembz._geo.grid import Grid, Window
from geoembz._objects.identity import Subdataset, display_name, refuse_several
from geoembz._util.memory import allocate
from geoembz.errors import SourceError
from geoembz.sources.band_names import BandNames, clean_names
from geoembz.sources.gdal import gdal_environment, new_token, open_gdal, open_handle
from geoembz.sources.georeference import make_grid, refuse_unplaced
from geoembz.sources.mapped_tiles import MappedTiles
from geoembz.sources.nodata import Nodata, Scaling, StoredNumbers, apply_nodata
from geoembz.sources.options import AS_DECLARED, ReadOptions, parse_transform
from geoembz.sources.provenance import identify
from geoembz.sources.tiff import Directory, PresentBlocks, read_complete


class RasterSource(StoredNumbers):
    """A raster file, local or remote, with one band per component.

    A pixel is invalid where all its components are nodata (see `geoembz.sources.nodata`), where a
    mask band or an alpha band says so, and where a component is not finite (found while encoding).

    Parameters
    ----------
    path
        Path or URL that GDAL opens.
    options
        What replaces the nodata value and the georeference that the file declares.

    Raises
    ------
    SourceError
        If the file is missing, no raster, complex, not georeferenced, or rotated.
    InvalidConfigError
        If the nodata value is no number or the CRS none.
    """

    def __init__(self, path: str | Path, options: ReadOptions = AS_DECLARED) -> None:
        self.path = str(path)
        self.name = display_name(self.path)
        self._token = new_token()
        part = Subdataset.of(self.path)
        file = self.path if part is None else part.file
        _refuse_missing(file)
        directory = read_complete(self.name, file)
        with gdal_environment(self.path):  # masks and metadata beside the file are looked for late
            self._describe(self._dataset(), directory if part is None else None, options)
            files = _read_from(file, self._dataset())
        self.info = (identify(self.path, files),)

    def _describe(self, dataset: Any, directory: Directory | None, options: ReadOptions) -> None:
        """Take down what the open file declares."""
        refuse_several(self.name, dataset)
        self._bands = _component_bands(dataset)
        chosen = [band - 1 for band in self._bands]
        self.band_names = _shared(clean_names(_names(dataset, chosen)))
        nodata, scales, offsets = dataset.nodatavals, dataset.scales, dataset.offsets  # asked once
        self.nodata = Nodata.of([nodata[index] for index in chosen], options.nodata)
        declared = (nodata[index] for index in chosen)
        self._fill = [0.0 if value is None else float(value) for value in declared]
        self._masks = _masks(dataset, self._bands)
        self._alpha: int | None = min(set(dataset.indexes) - set(self._bands), default=None)
        self.scaling = Scaling.of(
            [scales[index] for index in chosen],
            [offsets[index] for index in chosen],
        )
        self.grid = _grid(self.name, dataset, options)
        self.dimension = len(self._bands)
        self.stored_dtype = _real_dtype(self.name, dataset)
        self.block_shape = dataset.block_shapes[0]
        self._present = PresentBlocks.of(dataset, directory)
        self._tiles: MappedTiles | None = None
        if self._alpha is None:
            self._tiles = MappedTiles.of(dataset, self.path, directory)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore without open files: every thread and process opens its own."""
        self.__dict__.update(state)
        self._token = new_token()

    def read_stored(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window's numbers as they are stored, and what a mask says; None without one."""
        try:
            raw = None if self._tiles is None else self._tiles.read(window)
            with gdal_environment(self.path):
                if raw is None:
                    raw = allocate((self.dimension, *window.shape), self.stored_dtype)
                    self._dataset().read(self._bands, window=_region(window), out=raw)
                mask = self._read_mask(window)
        except (RasterioError, OSError) as error:
            raise SourceError(
                f"{self.name}: rows {window.row} to {window.row + window.height}, columns "
                f"{window.col} to {window.col + window.width} cannot be read ({_reason(error)}); "
                "the file is truncated or damaged: fetch it again"
            ) from error
        return raw, None if mask is None else mask != 0

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel: blocks that a sparse GeoTIFF lacks cannot."""
        return not self._absent_is_nodata or self._present is None or self._present.touches(window)

    @cached_property
    def _absent_is_nodata(self) -> bool:
        """Whether what GDAL puts for absent blocks is invalid: the declared nodata, or else 0."""
        fill = np.array(self._fill).reshape(-1, 1, 1)
        known = apply_nodata(fill, None, self.nodata).valid
        return not np.isfinite(fill).all() or (known is not None and not known.any())

    def unmasked(self) -> Self:
        """Return the same raster with its nodata value read as a number like others."""
        other = super().unmasked()
        vars(other).pop("_absent_is_nodata", None)  # follows from it
        return other

    @property
    def is_masked(self) -> bool:
        """Whether a mask or an alpha band says which pixels are valid."""
        return self._masks is not None or self._alpha is not None

    def only(self, position: int) -> tuple[Self, dict[str, str]]:
        """Return the same raster with one of its components, and what the file says of it.

        Parameters
        ----------
        position
            Of the component, from 0.

        Returns
        -------
        raster, attributes
            The attributes are CF's: `units` and `long_name`, where the file has them.
        """
        other, chosen = copy.copy(self), [position]
        other._token = new_token()  # noqa: SLF001 - a copy
        other._bands, other._fill = [self._bands[position]], [self._fill[position]]  # noqa: SLF001
        other._tiles = None  # noqa: SLF001 - which holds all bands
        vars(other).pop("_absent_is_nodata", None)
        other.dimension, other.band_names = 1, (self.band_names[position],)
        if self.nodata is not None:
            other.nodata = Nodata.of([self.nodata.values[:, position].tolist()])
        if self.scaling is not None:
            scales, offsets = self.scaling.scales[chosen], self.scaling.offsets[chosen]
            other.scaling = Scaling.of(scales.tolist(), offsets.tolist())
        with gdal_environment(self.path):
            units = self._dataset().units[self._bands[position] - 1]
        found = {"units": units, "long_name": self.band_names[position]}
        return other, {name: value for name, value in found.items() if value}

    def _read_mask(self, window: Window) -> NDArray[Any] | None:
        """Read what is zero at invalid pixels: a mask, or else an alpha band.

        GDAL takes an alpha band for a mask only where one or three bands stand beside it. Where
        bands have masks of their own a vector needs all of them.
        """
        if self._masks == "dataset":
            return np.asarray(self._dataset().dataset_mask(window=_region(window)))
        if self._masks == "bands":
            return np.asarray(
                self._dataset().read_masks(self._bands, window=_region(window)).min(axis=0)
            )
        if self._alpha is None:
            return None
        return np.asarray(self._dataset().read(self._alpha, window=_region(window)))

    def _dataset(self) -> Any:
        return open_handle(self._token, self._open)

    def _open(self) -> Any:
        try:
            with gdal_environment(self.path):
                return open_gdal(self.path)
        except (RasterioError, OSError) as error:
            raise SourceError(
                f"{self.name}: not a raster that GDAL can open ({_reason(error)}); expected a "
                "multi-band raster such as a GeoTIFF"
            ) from error


def grid_like(like: str | Path, name: str, shape: tuple[int, int] | None = None) -> Grid:
    """Return the grid of a raster that another input is said to be like.

    Parameters
    ----------
    like
        The raster.
    name
        What lies there, for messages.
    shape
        Rows and columns that it must have; None for any.

    Raises
    ------
    SourceError
        If it cannot be read, lies nowhere, or has other pixels.
    """
    grid = RasterSource(like, ReadOptions(nodata="none")).grid
    if shape is not None and shape != grid.shape:
        raise SourceError(
            f"{name}: {shape[0]} rows and {shape[1]} columns, but {like} has "
            f"{grid.shape[0]} and {grid.shape[1]}; expected the same pixels"
        )
    return grid


def _grid(name: str, dataset: Any, options: ReadOptions) -> Grid:
    """Return where the pixels lie: where the file says, or what replaces that."""
    if options.like is not None:
        return grid_like(options.like, name, dataset.shape)
    transform = parse_transform(options.transform)
    if transform is None:
        refuse_unplaced(name, dataset)
        a, b, c, d, e, f = (float(value) for value in dataset.transform[:6])
        transform = (a, b, c, d, e, f)
    return make_grid(name, dataset.crs, transform, dataset.shape, options.crs)


def _read_from(path: str, dataset: Any) -> list[str]:
    """Return what a raster is read from: members, and theirs; masks, metadata beside it."""
    if dataset.driver != "VRT" and ("://" in path or path.startswith("/vsi")):
        return []  # to ask for what may lie beside it costs requests
    found = dict.fromkeys(dataset.files)
    waiting = [name for name in found if _is_virtual(name)][1:]  # the first is the raster itself
    while waiting:
        with suppress(RasterioError), open_gdal(waiting.pop()) as member:  # or reading says why not
            new = [name for name in member.files if name not in found]
            found |= dict.fromkeys(new)
            waiting += filter(_is_virtual, new)
    return [name for name in found if name.startswith("/vsi") or Path(name).is_file()]


def _is_virtual(name: str) -> bool:
    return name.lower().endswith(".vrt")


@lru_cache(maxsize=64)
def _shared(names: BandNames) -> BandNames:
    """Return one copy of the band names that the tiles of a mosaic have in common."""
    return names


def _region(window: Window) -> Any:
    return rasterio.windows.Window(window.col, window.row, window.width, window.height)


def _reason(error: Exception) -> str:
    """Return GDAL's own words, which rasterio keeps as the cause."""
    return str(error.__cause__ or error)


def _refuse_missing(path: str) -> None:
    if "://" in path or path.startswith("/vsi"):
        return
    if not Path(path).exists():
        raise SourceError(f"{path}: no such file; expected a multi-band raster such as a GeoTIFF")


def _names(dataset: Any, chosen: list[int]) -> list[str | None]:
    """Return the names of bands: what describes them, or of one band the netCDF variable."""
    described = dataset.descriptions
    if dataset.count == 1 and not described[0]:
        return [dataset.tags(1).get("NETCDF_VARNAME") for _ in chosen]
    return [described[index] for index in chosen]


def _component_bands(dataset: Any) -> list[int]:
    """Return the numbers of the bands that hold components: all but an alpha band."""
    return [
        number
        for number, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if meaning is not ColorInterp.alpha
    ]


def _masks(dataset: Any, bands: list[int]) -> Literal["dataset", "bands"] | None:
    """Return whether one mask holds for all bands, or bands have masks of their own; else None."""
    every = dataset.mask_flag_enums  # rasterio asks GDAL for all bands each time
    flags = [set(every[band - 1]) for band in bands]
    if any(MaskFlags.per_dataset in flag for flag in flags):
        return "dataset"
    return "bands" if not all(flags) else None  # all valid, alpha or nodata: no mask


def _real_dtype(name: str, dataset: Any) -> np.dtype[np.generic]:
    names = set(dataset.dtypes)
    if any("complex" in name for name in names):
        raise SourceError(
            f"{name}: bands of type {', '.join(sorted(names))}; expected real numbers (complex "
            "embeddings have no encoding here)"
        )
    return np.result_type(*(np.dtype(name) for name in names))
