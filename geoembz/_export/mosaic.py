"""Pictures of several grids, laid over each other on one map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid
from geoembz.errors import InvalidConfigError

MERGED_CRS = "EPSG:3857"
"""Web Mercator: keeps shapes, covers every UTM zone, and is what web maps show."""

type Picture = tuple[NDArray[np.float32], Grid]
"""Components ``(n, height, width)``, NaN where nothing is, and where they lie."""


def merge(pictures: Sequence[Picture], size: int) -> Picture:
    """Lay pictures of several CRSs over each other, the first on top.

    Parameters
    ----------
    pictures
        Each of as many components.
    size
        Longest side of the result, in pixels.

    Returns
    -------
    merged
        In Web Mercator.

    Raises
    ------
    InvalidConfigError
        If a picture cannot be drawn in Web Mercator: it lies at a pole.
    """
    grid = _grid_around([grid for _, grid in pictures], size)
    merged = np.full((len(pictures[0][0]), *grid.shape), np.nan, dtype=np.float32)
    for picture in pictures:
        np.copyto(merged, _reproject(picture, grid), where=np.isnan(merged))
    return merged, grid


def _grid_around(grids: Sequence[Grid], size: int) -> Grid:
    """Return a grid in Web Mercator around grids, its longer side of so many pixels."""
    from rasterio.warp import transform_bounds

    target = _system(MERGED_CRS)
    boxes = np.array([transform_bounds(_system(g.crs_wkt), target, *g.bbox) for g in grids])
    (left, bottom), (right, top) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    if not np.isfinite([left, bottom, right, top]).all():
        raise InvalidConfigError(
            "preview: the grids cannot be drawn on one map (Web Mercator has no poles); name "
            "one grid"
        )
    step = max(right - left, top - bottom) / size
    height, width = (max(int(np.ceil(side / step)), 1) for side in (top - bottom, right - left))
    transform = (step, 0.0, left, 0.0, -step, top)
    return Grid(target.to_wkt(version="WKT2_2019"), MERGED_CRS, transform, (height, width))


def _reproject(picture: Picture, grid: Grid) -> NDArray[np.float32]:
    """Return a picture's components on another grid, nearest, NaN where it has none.

    A picture with data shows one pixel at the least: between grids far apart it may be smaller than
    that, and the centre of no pixel of the map.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    components, source = picture
    moved = np.full((len(components), *grid.shape), np.nan, dtype=np.float32)
    reproject(
        components,
        moved,
        src_transform=rasterio.Affine(*source.transform),
        src_crs=_system(source.crs_wkt),
        src_nodata=np.nan,
        dst_transform=rasterio.Affine(*grid.transform),
        dst_crs=_system(grid.crs_wkt),
        dst_nodata=np.nan,
        resampling=Resampling.nearest,
    )
    valid = np.argwhere(~np.isnan(components[0]))
    if len(valid) and np.isnan(moved[0]).all():
        row, col = valid[len(valid) // 2]
        moved[:, *_pixel_at(source, row, col, grid)] = components[:, row, col]
    return moved


def _pixel_at(source: Grid, row: int, col: int, grid: Grid) -> tuple[int, int]:
    """Return row and column of another grid where the centre of a pixel lies."""
    import rasterio
    from rasterio.transform import rowcol, xy
    from rasterio.warp import transform

    x, y = xy(rasterio.Affine(*source.transform), row, col)
    place = transform(_system(source.crs_wkt), _system(grid.crs_wkt), [x], [y])
    found = rowcol(rasterio.Affine(*grid.transform), *place)
    row, col = (
        min(max(int(at[0]), 0), side - 1) for at, side in zip(found, grid.shape, strict=True)
    )
    return row, col


def _system(crs: str) -> Any:
    from rasterio.crs import CRS

    return CRS.from_user_input(crs)
