"""A picture of a store: its first three components as red, green and blue.

Pictures of several grids are laid over each other in one CRS.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.geotiff import refuse_cut
from geoembz._export.mosaic import merge
from geoembz._export.region import Region, open_regions, refuse_two_parts
from geoembz._geo import BBox
from geoembz._geo.grid import Grid, Window, split
from geoembz._util.options import check_whole
from geoembz._util.output import output_file
from geoembz._util.progress import counted
from geoembz._util.results import Result
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.sources.features.write import check_output
from geoembz.store import StoreReader

LONGEST_SIDE = 1024
"""Pixels of a picture's longer side, by default."""

STRETCH = (2.0, 98.0)
"""Percentiles of a component that become black and full colour."""

_BLOCK_PIXELS = 1 << 20
"""Pixels decoded at once, before they are thinned: memory does not grow with the store."""


@dataclass(frozen=True)
class PreviewSummary(Result):
    """What a picture shows.

    Parameters
    ----------
    out
        The file.
    shape
        Height and width of the picture, in pixels.
    step
        Pixels of the store to one of the picture, along each axis.
    bands
        Components shown, counted from 1: three in colour, one in grey.
    valid_share
        Share of the picture that holds data, 0 to 1.
    """

    out: str
    shape: tuple[int, int]
    step: int
    bands: tuple[int, ...]
    valid_share: float

    def _rows(self) -> list[tuple[str, ...]]:
        height, width = self.shape
        return [
            ("picture", self.out),
            (
                "size",
                f"{width} x {height} pixels (width x height), one of {self.step} shown",
            ),
            ("shows", f"components {', '.join(map(str, self.bands))}"),
            ("with data", f"{self.valid_share:.1%}"),
        ]


def preview(
    store: str | Path | StoreReader,
    out: str | Path,
    *,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    size: int = LONGEST_SIDE,
    bands: tuple[int, ...] | None = None,
    grid: str | None = None,
    level: int | None = None,
    overwrite: bool = False,
) -> PreviewSummary:
    """Write a picture of a store: north up, transparent where there is no data.

    Every n-th pixel of every n-th row is shown, so memory does not grow with the store. Where the
    store has overviews, the pixels are those of the coarsest level that has so many: means, and
    little to read. Each component is stretched between its 2nd and 98th percentile. A store of
    several grids is shown as one map in Web Mercator.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    out
        ``.png``, or ``.tif`` for a picture that knows where it lies.
    bbox
        ``(xmin, ymin, xmax, ymax)`` to show; None for everything.
    bbox_crs
        CRS of `bbox`; None for the store's.
    time
        Year or date to show, of a store that has several.
    size
        Longest side of the picture, in pixels.
    bands
        One or three components to show, counted from 1; None for the first three, which a
        projection orders by variance.
    grid
        Name of one grid to show, of a store that has several; None for all.
    level
        Number of the level to show instead, 0 being the full resolution; `step` counts its pixels.
    overwrite
        Replace a file that exists.

    Raises
    ------
    InvalidConfigError
        If the options cannot work.
    NoValidPixelsError
        If there is nothing to show.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "preview.zarr", pca=16)
    >>> preview(tmp_path / "preview.zarr", tmp_path / "preview.png").shape
    (64, 64)
    """
    target = check_output(out, (".png", ".tif", ".tiff"), overwrite=overwrite)
    check_whole(size=size)
    if size < 1:
        raise InvalidConfigError(f"size {size}; expected 1 pixel or more")
    regions = open_regions(store, bbox, bbox_crs, time, grid, level)
    refuse_two_parts(regions, bbox)
    shown = _check_bands(bands, regions[0].reader.encoding.n_components)
    steps = [-(-max(region.window.shape) // size) for region in regions]
    pictures = [
        _picture(region, step, [band - 1 for band in shown], is_chosen=level is not None)
        for region, step in zip(regions, steps, strict=True)
    ]
    scores, place = pictures[0] if len(pictures) == 1 else merge(pictures, size)
    valid = ~np.isnan(scores[0])
    if not valid.any():
        where = store.url if isinstance(store, StoreReader) else store
        raise NoValidPixelsError(f"{where}: no pixel there holds an embedding")
    alpha = np.where(valid, 255, 0).astype(np.uint8)
    image = np.stack([*(stretch(component, valid) for component in scores), alpha])
    write_picture(target, image, place)
    shape = image.shape[1], image.shape[2]
    return PreviewSummary(str(target), shape, max(steps), shown, float(valid.mean()))


def _picture(
    region: Region, step: int, components: list[int], *, is_chosen: bool
) -> tuple[NDArray[np.float32], Grid]:
    """Return some components of every n-th pixel, north up, and where they lie."""
    window, reader, factor = region.window, region.reader, 1
    rows = np.arange(window.row, window.row + window.height, step)
    cols = np.arange(window.col, window.col + window.width, step)
    if not is_chosen and reader.level == 0:
        number, factor = _coarsest(reader, step)
        reader = reader.at_level(number)
    scores = _read_at(reader, region.date, rows // factor, cols // factor, components)
    a, _, c, _, e, f = region.grid.transform
    transform = (a * step, 0.0, c, 0.0, e * step, f)
    grid = replace(region.grid, transform=transform, shape=(scores.shape[1], scores.shape[2]))
    return (scores[:, ::-1] if region.runs_north else scores), grid


def level_shown(reader: StoreReader, size: int) -> StoreReader:
    """Return the reader of the level that a picture of the whole grid is made of."""
    number, _ = _coarsest(reader, -(-max(reader.attributes.grid.shape) // size))
    return reader.at_level(number)


def _coarsest(reader: StoreReader, step: int) -> tuple[int, int]:
    """Return number and factor of the coarsest level whose pixels are no larger than a step."""
    levels = reader.attributes.levels
    number = sum(level.factor <= step for level in levels)
    return number, levels[number - 1].factor if number else 1


def _check_bands(bands: tuple[int, ...] | None, n_components: int) -> tuple[int, ...]:
    if bands is None:
        return (1, 2, 3) if n_components >= 3 else (1,)
    if len(bands) not in {1, 3} or not all(1 <= band <= n_components for band in bands):
        raise InvalidConfigError(
            f"bands {bands}; expected one or three components, each from 1 to {n_components}"
        )
    return bands


def _read_at(
    reader: StoreReader,
    date: int,
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
    components: list[int],
) -> NDArray[np.float32]:
    """Return some components where rows and columns meet, both ascending."""
    out = np.full((len(components), len(rows), len(cols)), np.nan, dtype=np.float32)
    wanted = _prefix(reader, components)
    for block in _blocks(reader, rows, cols):
        in_rows = np.arange(*np.searchsorted(rows, (block.row, block.row + block.height)))
        in_cols = np.arange(*np.searchsorted(cols, (block.col, block.col + block.width)))
        if not len(in_rows) or not len(in_cols):
            continue
        pixels = (rows[in_rows] - block.row)[:, np.newaxis] * block.width
        pixels = pixels + (cols[in_cols] - block.col)
        scores = reader.read_pixels(block, pixels.reshape(-1), "reduced", wanted, date=date)
        scores = scores[components].reshape(len(components), *pixels.shape)
        out[np.ix_(range(len(components)), in_rows, in_cols)] = scores
    return out


def _prefix(reader: StoreReader, components: list[int]) -> int | None:
    """Return how many components to read: those that are shown, where they have an order."""
    first = max(components) + 1
    try:
        reader.encoding.prefix_length(first)
    except InvalidConfigError:
        return None
    return first


def _blocks(
    reader: StoreReader, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> Iterator[Window]:
    """Yield blocks of whole chunks around pixels, each at most about a million pixels."""
    height, width = reader.codes.chunks[-2:]
    top, left = int(rows[0]), int(cols[0])
    around = Window(top, left, int(rows[-1]) - top + 1, int(cols[-1]) - left + 1)
    while 2 * height * width <= _BLOCK_PIXELS and width < around.width:
        width *= 2
    while 2 * height * width <= _BLOCK_PIXELS and height < around.height:
        height *= 2
    blocks = [*split(around, (height, width))]
    yield from counted(blocks, len(blocks))


def stretch(component: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    low, high = np.percentile(component[valid], STRETCH)
    span = high - low if high > low else 1.0
    share = np.clip((np.where(valid, component, low) - low) / span, 0.0, 1.0)
    return np.asarray(np.round(share * 255), dtype=np.uint8)


def write_picture(
    path: Path, image: NDArray[np.uint8], grid: Grid, *, replaces: bool = True
) -> None:
    """Write grey + alpha or RGBA; a file that exists is replaced whole, if it may be."""
    import rasterio
    from rasterio.enums import ColorInterp
    from rasterio.errors import NotGeoreferencedWarning

    count, height, width = image.shape
    is_tiff = path.suffix.lower() != ".png"
    profile: dict[str, Any] = {"driver": "PNG"}
    if is_tiff:
        profile = {
            "driver": "GTiff",
            "crs": rasterio.crs.CRS.from_wkt(grid.crs_wkt),
            "transform": rasterio.Affine(*grid.transform),
            "compress": "deflate",
            "tiled": True,
        }
    shape = {"count": count, "height": height, "width": width, "dtype": "uint8"}
    with output_file(path, replaces=replaces) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(partial, "w", **shape, **profile) as raster:
            colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
            shown = colours if count == 4 else [ColorInterp.gray]
            if is_tiff:
                raster.colorinterp = [*shown, ColorInterp.alpha]
            raster.write(image)
        if is_tiff:
            refuse_cut(partial, path)
