"""Pictures of several grids laid over each other in one CRS."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid
from geoembz.errors import InvalidConfigError

MERGED_CRS = "EPSG:3857"
"""Web Mercator: keeps shapes, covers every UTM zone, and is what web maps show."""


def merge(
    pictures: Sequence[tuple[NDArray[np.float32], Grid]], size: int
) -> tuple[NDArray[np.float32], Grid]:
    """Lay pictures of several CRSs over each other, the first on top.

    Parameters
    ----------
    pictures
        Components ``(n, height, width)``, float32, NaN where nothing is, and where each lies.
    size
        Longest side of the result, in pixels.

    Returns
    -------
    components
        float32, shape ``(n, height, width)``.
    grid
        Where they lie, in Web Mercator.

    Raises
    ------
    InvalidConfigError
        If a picture cannot be drawn in Web Mercator: it lies at a pole.
    """
    import rasterio
    from rasterio.crs import CRS
    from rasterio.enums import Resampling
    from rasterio.warp import reproject, transform_bounds

    target = CRS.from_user_input(MERGED_CRS)
    systems = [CRS.from_wkt(grid.crs_wkt) for _, grid in pictures]
    boxes = np.array(
        [
            transform_bounds(system, target, *grid.bbox)
            for system, (_, grid) in zip(systems, pictures, strict=True)
        ]
    )
    (left, bottom), (right, top) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    if not np.isfinite([left, bottom, right, top]).all():
        raise InvalidConfigError(
            "preview: the grids cannot be drawn on one map (Web Mercator has no poles); name "
            "one grid"
        )
    step = max(right - left, top - bottom) / size
    shape = (
        max(int(np.ceil((top - bottom) / step)), 1),
        max(int(np.ceil((right - left) / step)), 1),
    )
    transform = (step, 0.0, left, 0.0, -step, top)
    merged = np.full((len(pictures[0][0]), *shape), np.nan, dtype=np.float32)
    for system, (components, grid) in zip(systems, pictures, strict=True):
        here = np.full_like(merged, np.nan)
        reproject(
            components,
            here,
            src_transform=rasterio.Affine(*grid.transform),
            src_crs=system,
            src_nodata=np.nan,
            dst_transform=rasterio.Affine(*transform),
            dst_crs=target,
            dst_nodata=np.nan,
            resampling=Resampling.nearest,
        )
        np.copyto(merged, here, where=np.isnan(merged))
    return merged, Grid(target.to_wkt(version="WKT2_2019"), MERGED_CRS, transform, shape)
