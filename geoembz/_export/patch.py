"""Pixels of one grid, each looked up in whichever grid of a store has an embedding there.

A pixel takes the vector, or the codes, of the store's pixel that its centre lies in: nothing is
interpolated, since codes cannot be, and vectors between two embeddings are none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.blocks import ALONE, read_blocks
from geoembz._export.cog import ExportSummary, describe_bands, number_type, raster_tags
from geoembz._export.geotiff import Raster, write_cog
from geoembz._export.lookup import ViewOptions, look_up
from geoembz._export.region import Region, box_windows, regions_of
from geoembz._export.tiling import window_shape
from geoembz._geo import (
    BBox,
    box_around,
    full_turn,
    metres_per_unit,
    narrowest,
    parse_crs,
    placed_boxes,
    placed_points,
)
from geoembz._geo.geoparquet import CRS84
from geoembz._geo.grid import Grid, Window, split
from geoembz._work.executors import Workers
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from geoembz.store.grids import open_readers
from geoembz.store.reader import MOST_COORDINATES

_BLOCK, _BLOCK_BYTES = (256, 256), 64 * 2**20
"""Pixels, and bytes of their vectors, that are looked up at once; or more pixels of few bytes."""

_SLACK = 1e-6
"""Pixels: edges that are multiples of the resolution are so only up to rounding."""

_DIGITS = 3
"""Significant digits of a resolution that nobody gave."""


@dataclass(frozen=True)
class Patch:
    """A raster that takes each pixel from a store.

    Parameters
    ----------
    grid
        Where its pixels lie.
    regions
        Where they are looked up: of several that cover a pixel, the first that has an embedding.
    view
        How vectors are seen.
    """

    grid: Grid
    regions: tuple[Region, ...]
    view: ViewOptions

    @property
    def reader(self) -> StoreReader:
        """One of the store's grids; all have one encoding."""
        return self.regions[0].reader

    @property
    def length(self) -> int:
        """How many numbers a pixel has."""
        return self.view.length(self.reader)

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Look a window of pixels up.

        Returns
        -------
        vectors
            Shape ``(length, height, width)``, float32 (NaN where there is no embedding) or codes.
        valid
            Which pixels have an embedding, bool, shape ``(height, width)``.
        """
        part = self.grid.part(window)
        x, y = (axis.reshape(-1) for axis in np.meshgrid(part.x, part.y))
        centres = np.column_stack([x, y])
        near = [region for region in self.regions if _meets(region, part)]
        if not near:
            vectors = self.view.missing(self.reader, self.length, *window.shape)
            return vectors, np.zeros(window.shape, np.bool_)

        def place(crs: str, pixels: NDArray[np.intp]) -> NDArray[np.float64]:
            return placed_points(centres[pixels], part.crs_wkt, crs)

        found = look_up(near, self.view, len(centres), place)
        valid = found.valid.reshape(window.shape)
        return found.vectors.T.reshape(-1, *window.shape), valid


def _meets(region: Region, part: Grid) -> bool:
    grid = region.reader.attributes.grid
    return bool(box_windows(grid, part.bbox, part.crs_wkt))


def patch_of_store(
    store: str | Path | StoreReader,
    view: ViewOptions,
    *,
    like: str | Path | Grid | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    level: int | None = None,
) -> Patch:
    """Lay a grid over a store, over all of its grids.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    view
        How vectors are seen.
    like
        The grid, or the raster that has it; None makes one of what follows.
    crs, resolution, bbox, bbox_crs
        As in `grid_over`; without a box the store's whole extent.
    time, level
        As in `open_regions`.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or the grid lies outside the store.
    """
    from geoembz.sources.raster import grid_like

    readers = open_readers(store, level=level)
    if like is None:
        target = grid_over(regions_of(store, readers, time=time), crs, resolution, bbox, bbox_crs)
    elif crs is None and resolution is None and bbox is None:
        target = like if isinstance(like, Grid) else grid_like(like, str(like))
    else:
        raise InvalidConfigError(
            "like: the raster says CRS, resolution and extent already; leave out crs, resolution "
            "and bbox"
        )
    met = regions_of(store, readers, target.bbox, target.crs_wkt, time)
    each = {id(region.reader): region for region in met}.values()  # one side of a seam, or two
    regions = [replace(r, window=r.reader.attributes.grid.window) for r in each]
    return Patch(target, tuple(regions), view)


def grid_over(
    regions: Sequence[Region],
    crs: str | None,
    resolution: float | None = None,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
) -> Grid:
    """Return a grid north up whose edges are multiples of its resolution.

    Parameters
    ----------
    regions
        What it is laid over.
    crs
        Of the grid.
    resolution
        Side of a pixel, in units of `crs`; None for that of the store's pixels in the middle of
        the grid, to three digits; the smaller of the two where a square on the ground is none
        in `crs`.
    bbox
        Box to cover; None for the regions. xmin may be the larger across the antimeridian.
    bbox_crs
        CRS of `bbox`; None for `crs`.

    Raises
    ------
    InvalidConfigError
        If there is no CRS, the box is empty, or the grid would be too large.
    """
    if crs is None:
        raise InvalidConfigError("resolution: of which CRS? expected a CRS as well (--crs)")
    system = parse_crs(crs)
    wkt = system.to_wkt(version="WKT2_2019")
    if bbox is not None:
        boxes = placed_boxes(bbox, bbox_crs or wkt, wkt)
    else:
        boxes = [box for region in regions for box in _boxes(region.grid, wkt)]
    xmin, ymin, xmax, ymax = _around(boxes, wkt)
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        raise InvalidConfigError(f"crs {crs!r}: cannot show what is asked for; give a smaller box")
    step = resolution or _resolution(regions[0].grid, wkt, (xmin + xmax) / 2, (ymin + ymax) / 2)
    if not math.isfinite(step) or step <= 0:
        raise InvalidConfigError(f"resolution {resolution}; expected a number above 0")
    left, bottom = (math.floor(low / step + _SLACK) for low in (xmin, ymin))
    right, top = (math.ceil(high / step - _SLACK) for high in (xmax, ymax))
    shape = max(top - bottom, 1), max(right - left, 1)
    if max(shape) > MOST_COORDINATES:
        raise InvalidConfigError(
            f"resolution {step:g}: makes {shape[0]} x {shape[1]} pixels; expected at most "
            f"{MOST_COORDINATES} each way; it counts units of {crs}"
        )
    code = ":".join(system.to_authority() or ()) or None
    return Grid(wkt, code, (step, 0.0, left * step, 0.0, -step, top * step), shape)


def _boxes(grid: Grid, crs: str) -> list[BBox]:
    """Return the boxes around a grid in another CRS, one on each side of the antimeridian."""
    bbox, own = grid.bbox, grid.crs_wkt
    if full_turn(crs) is not None and full_turn(own) is None:
        bbox, own = box_around(bbox, own, CRS84), CRS84  # which knows sides; UTM does not
    return placed_boxes(bbox, own, crs)


def _around(boxes: Sequence[BBox], crs: str) -> BBox:
    """Return the box around boxes; its xmax is beyond the antimeridian where it lies across."""
    turn = full_turn(crs)
    corners = np.array(boxes)
    if turn is None:
        xmin, xmax = float(corners[:, 0].min()), float(corners[:, 2].max())
    else:
        corners[:, 2] += turn * (corners[:, 0] > corners[:, 2])
        xmin, xmax = narrowest(turn, corners[:, [0, 2]])
    return xmin, float(corners[:, 1].min()), xmax, float(corners[:, 3].max())


def _resolution(source: Grid, crs: str, x: float, y: float) -> float:
    """Return the side of a pixel in another CRS, at a place of that."""
    a, _, _, _, e, _ = source.transform
    xmin, ymin, xmax, ymax = source.bbox
    own = metres_per_unit(source.crs_wkt, (xmin + xmax) / 2, (ymin + ymax) / 2)
    other = metres_per_unit(crs, x, y)
    sides = (abs(a) * own[0] / other[0], abs(e) * own[1] / other[1])
    return float(f"{min(sides):.{_DIGITS}g}")


def export_patch(patch: Patch, target: Path, pool: Workers = ALONE) -> ExportSummary:
    """Write a patch as a cloud-optimized GeoTIFF, block by block.

    Parameters
    ----------
    patch
        What to write.
    target
        ``.tif``; a file that exists is replaced whole.
    pool
        Looks the pixels up.
    """
    import rasterio

    view, reader = patch.view, patch.reader
    dtype, nodata = number_type(reader, view.space)
    raster = Raster(patch.grid, patch.length, dtype, nodata)
    pixel_bytes = patch.length * dtype.itemsize
    shape = window_shape(_BLOCK, patch.grid.shape[1], pixel_bytes, _BLOCK_BYTES)
    blocks, block_bytes = [*split(patch.grid.window, shape)], math.prod(shape) * pixel_bytes

    def fill(draft: Any) -> None:
        describe_bands(draft, reader, view.space)
        draft.update_tags(**raster_tags(patch.regions[0], view.space))
        for block, (vectors, valid) in read_blocks(pool, patch.read, blocks, block_bytes):
            place = rasterio.windows.Window(block.col, block.row, block.width, block.height)
            if valid.any():
                draft.write(vectors, window=place)
            if nodata is None:
                draft.write_mask(valid, window=place)

    write_cog(target, raster, fill)
    return ExportSummary(
        str(target),
        view.space,
        raster.count,
        raster.grid.shape,
        dtype.name,
        nodata,
        target.stat().st_size,
    )
