"""A store, or a part of it, as a cloud-optimized GeoTIFF."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoembz._export.region import Region, open_region
from geoembz._export.tiling import draft_side, tile_side, window_shape
from geoembz._geo import BBox
from geoembz._geo.grid import split
from geoembz._util.output import output_file
from geoembz._util.results import Result
from geoembz.errors import InvalidConfigError, OutputError, SourceError
from geoembz.sources.features.write import check_output
from geoembz.sources.gdal import open_gdal
from geoembz.sources.tiff import read_complete
from geoembz.store import StoreReader, View
from geoembz.store.documents import StorePlan

_BLOCK_BYTES, _DRAFT_TILE_BYTES = 64 * 2**20, 4 * 2**20
"""Decoded at once, and of one tile of the draft with all its bands: tiles that a block leaves half
filled wait in GDAL's cache."""

_CACHE_BYTES = 256 * 2**20
"""Of GDAL's cache, which would take 5 % of the machine's memory."""

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
        ``original``, ``reduced`` or ``codes``.
    bands
        Bands of the GeoTIFF.
    shape
        Height and width, in pixels.
    dtype
        Type of the numbers.
    nodata
        Value of pixels without an embedding; None where a mask says it.
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
        return [
            ("written", self.out),
            ("holds", f"{self.bands} bands, {self.dtype}, space {self.space}"),
            (
                "size",
                f"{width} x {height} pixels (width x height), {self.bytes_written:,} bytes",
            ),
            ("nodata", "a mask" if self.nodata is None else f"{self.nodata:g}"),
        ]


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

    Raises
    ------
    InvalidConfigError
        If the options cannot work.
    StoreError
        If the store cannot be read.
    """
    import rasterio

    target = check_output(out, (".tif", ".tiff"), overwrite=overwrite)
    if space not in {"original", "reduced", "codes"}:
        raise InvalidConfigError(f"space {space!r}; expected 'original', 'reduced' or 'codes'")
    region = open_region(store, bbox, bbox_crs, time, grid, level)
    bands = region.reader.length(space, components, whiten)
    profile = _profile(region, space, bands)
    settings = {
        "GDAL_CACHEMAX": _CACHE_BYTES,
        "GDAL_TIFF_INTERNAL_MASK": True,
        "GDAL_VALIDATE_CREATION_OPTIONS": False,  # it would warn of tiles below 128 pixels
    }
    with output_file(target) as finished, rasterio.Env(**settings):
        plain = finished.with_name(f"{finished.name}.plain.tif")
        with rasterio.open(plain, "w", **profile) as raster:
            raster.descriptions = band_labels(region.reader, space, bands)
            _fill(raster, region, space, components, whiten)
            raster.update_tags(**_tags(region, space))
        refuse_cut(plain, target)
        _optimize(plain, finished, profile)
        refuse_cut(finished, target)
    return ExportSummary(
        str(target),
        space,
        bands,
        region.window.shape,
        profile["dtype"],
        profile["nodata"],
        target.stat().st_size,
    )


def _profile(region: Region, space: View, bands: int) -> dict[str, Any]:
    import rasterio

    encoding, grid = region.reader.encoding, region.grid
    dtype: np.dtype[Any] = np.dtype(np.float32)
    nodata: float | None = np.nan
    if space == "codes":
        dtype = encoding.code_dtype
        nodata = None if encoding.nodata is None else encoding.fill_value
    side = draft_side(grid.shape, bands * dtype.itemsize, _DRAFT_TILE_BYTES)
    return {
        "driver": "GTiff",
        "count": bands,
        "height": grid.shape[0],
        "width": grid.shape[1],
        "dtype": dtype.name,
        "nodata": nodata,
        "crs": rasterio.crs.CRS.from_wkt(grid.crs_wkt),
        "transform": rasterio.Affine(*grid.transform),
        "tiled": True,
        "blockxsize": side,
        "blockysize": side,
        "interleave": "band",
        "BIGTIFF": "IF_SAFER",
        "SPARSE_OK": True,
    }


def _fill(raster: Any, region: Region, space: View, components: int | None, whiten: float) -> None:
    """Decode block by block into an open raster."""
    import rasterio

    reader = region.reader
    has_mask = space == "codes" and reader.mask is not None
    chunk, pixel_bytes = reader.codes.chunks, raster.count * np.dtype(raster.dtypes[0]).itemsize
    shape = window_shape((chunk[-2], chunk[-1]), region.window.width, pixel_bytes, _BLOCK_BYTES)
    for block in split(region.window, shape):
        if space == "codes":
            values = reader.read_codes(block, region.date)
        else:
            values = np.asarray(reader.read(block, space, components, whiten, region.date))
        place = region.turned(block)
        target = rasterio.windows.Window(place.col, place.row, place.width, place.height)
        turn = slice(None, None, -1 if region.runs_north else 1)
        raster.write(values[:, turn], window=target)
        if has_mask and (mask := reader.read_mask(block, region.date)) is not None:
            raster.write_mask(mask[turn], window=target)


def _tags(region: Region, space: View) -> dict[str, str]:
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


def _optimize(plain: Path, finished: Path, profile: dict[str, Any]) -> None:
    """Copy a GeoTIFF to a cloud-optimized one, with overviews."""
    from rasterio.shutil import copy

    dtype, side = np.dtype(profile["dtype"]), tile_side((profile["height"], profile["width"]))
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
        INTERLEAVE="BAND" if profile["count"] > 1 else "PIXEL",
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
