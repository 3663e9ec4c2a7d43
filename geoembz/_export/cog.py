"""A store, or a part of it, as a cloud-optimized GeoTIFF."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.blocks import ALONE, read_blocks
from geoembz._export.geotiff import Raster, write_cog
from geoembz._export.lookup import ViewOptions, chunk_shape
from geoembz._export.region import Region, open_region
from geoembz._export.tiling import window_shape
from geoembz._geo import BBox
from geoembz._geo.grid import Window, split
from geoembz._util.results import Result
from geoembz._work.executors import Workers
from geoembz.encoding._quantization import LinearQuantizer
from geoembz.errors import InvalidConfigError
from geoembz.sources.features.write import check_output
from geoembz.store import StoreReader, View
from geoembz.store.documents import StorePlan

_BLOCK_BYTES = 64 * 2**20
"""Decoded at once: tiles of the draft that a block leaves half filled wait in GDAL's cache."""

_PLAIN_LAWS = ("identity", "power")
"""Of codes that another reader knows: numbers as they are, or AlphaEarth's own codes."""


@dataclass(frozen=True)
class ExportSummary(Result):
    """What was written.

    Parameters
    ----------
    out
        The file.
    space
        ``original``, ``reduced``, ``codes``, or ``layer NAME``.
    bands
        Bands of the GeoTIFF.
    shape
        Height and width, in pixels.
    dtype
        Type of the numbers.
    nodata
        Value of pixels without an embedding, or number; None where a mask says it, or none does.
    bytes_written
        Size of the file.
    """

    out: str
    space: str
    bands: int
    shape: tuple[int, int]
    dtype: str
    nodata: float | None
    bytes_written: int

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values; NaN as text, which JSON has no number for."""
        nodata = "nan" if self.nodata is not None and np.isnan(self.nodata) else self.nodata
        return {**super().to_json(), "nodata": nodata}

    def _rows(self) -> list[tuple[str, ...]]:
        height, width = self.shape
        what = f"{self.bands} bands, {self.dtype}, space {self.space}"
        return [
            ("written", self.out),
            ("holds", f"{self.space}, {self.dtype}" if self._is_layer else what),
            (
                "size",
                f"{width} x {height} pixels (width x height), {self.bytes_written:,} bytes",
            ),
            ("nodata", self._missing()),
        ]

    @property
    def _is_layer(self) -> bool:
        return self.space.startswith("layer ")

    def _missing(self) -> str:
        if self.nodata is not None:
            return f"{self.nodata:g}"
        return "none" if self._is_layer else "a mask"


def export_cog(
    store: str | Path | StoreReader,
    out: str | Path,
    *,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    grid: str | None = None,
    level: int | None = None,
    overwrite: bool = False,
    pool: Workers = ALONE,
) -> ExportSummary:
    """Write a store as a cloud-optimized GeoTIFF, north up, one band per component.

    Blocks are decoded one by one into a temporary file beside `out`, so memory does not grow with
    the store; disk space for the uncompressed raster is needed meanwhile.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    out
        ``.tif``.
    bbox, bbox_crs, time, space, components, whiten, grid, level, overwrite
        As in `geoembz.export`.
    pool
        Reads and decodes the blocks.

    Raises
    ------
    InvalidConfigError
        If the options cannot work.
    StoreError
        If the store cannot be read.
    """
    target = check_output(out, (".tif", ".tiff"), overwrite=overwrite)
    if space not in {"original", "reduced", "codes"}:
        raise InvalidConfigError(f"space {space!r}; expected 'original', 'reduced' or 'codes'")
    region = open_region(store, bbox, bbox_crs, time, grid, level)
    view = ViewOptions(space, components, whiten)
    bands = view.length(region.reader)
    raster = Raster(region.grid, bands, *number_type(region.reader, space))

    def fill(draft: Any) -> None:
        describe_bands(draft, region.reader, space)
        _fill(draft, _BlockReader(region, view), pool)
        draft.update_tags(**raster_tags(region, space))

    write_cog(target, raster, fill)
    return ExportSummary(
        str(target),
        space,
        bands,
        region.window.shape,
        raster.dtype.name,
        raster.nodata,
        target.stat().st_size,
    )


def export_layer(
    store: str | Path | StoreReader,
    out: str | Path,
    name: str,
    *,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    grid: str | None = None,
    level: int | None = None,
    overwrite: bool = False,
    pool: Workers = ALONE,
) -> ExportSummary:
    """Write a layer of a store as a cloud-optimized GeoTIFF: its stored numbers, in one band.

    Parameters
    ----------
    store, out
        As in `export_cog`.
    name
        Of the layer.
    bbox, bbox_crs, time, grid, level, overwrite
        As in `geoembz.export`; levels of overviews have no layers.
    pool
        Reads the blocks.

    Raises
    ------
    InvalidConfigError
        If the store has no such layer.
    StoreError
        If the store cannot be read.
    """
    target = check_output(out, (".tif", ".tiff"), overwrite=overwrite)
    region = open_region(store, bbox, bbox_crs, time, grid, level)
    reader = region.reader
    reader.read_layer(name, Window(0, 0, 0, 0))  # refuses what is none
    layer = next(one for one in reader.attributes.layers if one.name == name)
    nodata = math.nan if layer.is_float else layer.nodata
    raster = Raster(region.grid, 1, np.dtype(layer.dtype), nodata)

    def fill(draft: Any) -> None:
        draft.descriptions = (layer.description or name,)
        draft.scales, draft.offsets = (layer.scale or 1.0,), (layer.offset or 0.0,)
        draft.units = (layer.units or "",)
        _fill_layer(draft, region, name, pool)
        draft.update_tags(**raster_tags(region, f"layer {name}"))

    write_cog(target, raster, fill)
    size = target.stat().st_size
    return ExportSummary(
        str(target), f"layer {name}", 1, region.window.shape, layer.dtype, nodata, size
    )


def _fill_layer(raster: Any, region: Region, name: str, pool: Workers) -> None:
    """Write a layer's numbers block by block into an open raster."""
    import rasterio

    turn = slice(None, None, -1 if region.runs_north else 1)
    blocks = [*split(region.window, region.reader.stored_chunk)]
    block_bytes = math.prod(region.reader.stored_chunk) * np.dtype(raster.dtypes[0]).itemsize
    read = partial(region.reader.read_layer, name, date=region.date)
    for block, values in read_blocks(pool, read, blocks, block_bytes):
        place = region.turned(block)
        target = rasterio.windows.Window(place.col, place.row, place.width, place.height)
        raster.write(values[turn], 1, window=target)


def number_type(reader: StoreReader, space: View) -> tuple[np.dtype[Any], float | None]:
    """Return the type of the numbers of a space, and what pixels without an embedding hold.

    The latter is None where a mask says it.
    """
    encoding = reader.encoding
    if space != "codes":
        return np.dtype(np.float32), np.nan
    return encoding.code_dtype, None if encoding.nodata is None else encoding.fill_value


@dataclass(frozen=True)
class _BlockReader:
    """Reads a block of a region, and decodes it; returns its mask where that is none of NaN."""

    region: Region
    view: ViewOptions

    def __call__(self, block: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        reader, view, date = self.region.reader, self.view, self.region.date
        if view.space == "codes":
            return reader.read_stored(block, date)
        return reader.read(block, view.space, view.components, view.whiten, date), None


def _fill(raster: Any, read: _BlockReader, pool: Workers) -> None:
    """Decode block by block into an open raster."""
    import rasterio

    region = read.region
    pixel_bytes = raster.count * np.dtype(raster.dtypes[0]).itemsize
    chunk = chunk_shape(region)
    shape = window_shape(chunk, region.window.width, pixel_bytes, _BLOCK_BYTES)
    blocks = [*split(region.window, shape)]
    turn = slice(None, None, -1 if region.runs_north else 1)
    for block, (values, mask) in read_blocks(pool, read, blocks, math.prod(shape) * pixel_bytes):
        place = region.turned(block)
        target = rasterio.windows.Window(place.col, place.row, place.width, place.height)
        raster.write(values[:, turn], window=target)
        if mask is not None:
            raster.write_mask(mask[turn], window=target)


def raster_tags(region: Region, space: str) -> dict[str, str]:
    """Return what a written raster says about where its numbers come from."""
    reader, attributes = region.reader, region.reader.attributes
    tags = {
        "geoembz_space": space,
        "geoembz_recipe": str(reader.encoding.recipe),
        "geoembz_encoding_hash": attributes.encoding_hash,
        "geoemb_model": attributes.model,
    }
    if reader.dates:
        tags["date"] = reader.dates[region.date]
    return tags if attributes.license is None else {**tags, "license": attributes.license}


def describe_bands(raster: Any, reader: StoreReader, space: View) -> None:
    """Name the bands of an open raster, and say how codes of 8 bits become components.

    GDAL's scale and offset of a band are those of a component: QGIS shows components, and what
    heeds them reads these. Other codes have no such law, or share a band.
    """
    count = raster.count
    raster.descriptions = band_labels(reader, space, count)
    quantizer = reader.encoding.quantizer
    if space == "codes" and isinstance(quantizer, LinearQuantizer) and quantizer.bits == 8:
        raster.scales = quantizer.scale[:count].tolist()
        raster.offsets = quantizer.offset[:count].tolist()


def band_labels(reader: StoreReader, space: View, length: int) -> tuple[str, ...]:
    """Return a text for each of the numbers that a view holds of a pixel.

    Components of original vectors have the store's own names. So have reduced components and codes
    where each stands for one such component, no projection between; others are counted from 0.

    Parameters
    ----------
    reader
        The store.
    space
        ``original``, ``reduced`` or ``codes``.
    length
        Numbers of a pixel.
    """
    encoding, names = reader.encoding, reader.attributes.band_names
    axis = "dimension" if space == "original" else "component"
    if space == "codes":
        axis = StorePlan.axis_of(encoding)
    labels = [f"{axis} {number}" for number in range(length)]
    is_projected = space != "original" and encoding.projection.law != "identity"
    if not any(names) or is_projected or axis not in {"dimension", "component"}:
        return tuple(labels)
    is_plain = space != "codes" or encoding.quantizer.config()["law"] in _PLAIN_LAWS
    of = "" if is_plain else "code of "
    named = zip(names[:length], labels, strict=True)
    return tuple(f"{of}{name}" if name else label for name, label in named)
