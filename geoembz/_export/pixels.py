"""Which pixels belong to which features, chunk by chunk."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz._export.region import pixel_window
from geoembz._geo import into_range, shifts
from geoembz._geo.grid import Grid, Window, split
from geoembz._geo.wkb import Geometry
from geoembz._util.progress import counted


@dataclass(frozen=True)
class Hits:
    """Pixels of one window that belong to features.

    Parameters
    ----------
    window
        What to read; it lies inside one chunk.
    features
        Number of the feature of each hit, int64, shape ``(n,)``.
    pixels
        ``row * window.width + col`` inside the window, of each hit.
    """

    window: Window
    features: NDArray[np.intp]
    pixels: NDArray[np.intp]


def point_hits(grid: Grid, chunk: tuple[int, int], points: NDArray[np.float64]) -> Iterator[Hits]:
    """Yield the pixels under points, chunk by chunk; points outside the grid belong to none.

    Parameters
    ----------
    grid
        Of the store.
    chunk
        Rows and columns of its chunks.
    points
        In the grid's CRS, shape ``(n, 2)``; longitudes of either range.
    """
    height, width = grid.shape
    west, _, east, _ = grid.bbox
    x = into_range(grid.crs_wkt, points[:, 0], west, east)
    with np.errstate(invalid="ignore", over="ignore"):
        rows, cols = map(np.floor, grid.rows_cols(x, points[:, 1]))
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    features = np.flatnonzero(inside)
    rows, cols = rows[inside].astype(np.int64), cols[inside].astype(np.int64)
    keys = rows // chunk[0] * (-(-width // chunk[1])) + cols // chunk[1]
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    groups = np.split(order, edges)
    for group in counted(groups, len(groups)):
        if len(group):
            row, col = int(rows[group].min()), int(cols[group].min())
            window = Window(
                row, col, int(rows[group].max()) - row + 1, int(cols[group].max()) - col + 1
            )
            pixels = (rows[group] - row) * window.width + (cols[group] - col)
            yield Hits(window, features[group], pixels)


def polygon_hits(
    grid: Grid,
    chunk: tuple[int, int],
    polygons: Iterable[tuple[int, Geometry]],
    *,
    all_touched: bool = False,
) -> Iterator[Hits]:
    """Yield the pixels whose centres lie inside polygons, chunk by chunk.

    Parameters
    ----------
    grid, chunk
        As in `point_hits`.
    polygons
        Number and geometry of each, in the grid's CRS.
    all_touched
        Take every pixel that a polygon touches instead.
    """
    chunks: dict[Window, list[tuple[int, Window, Geometry]]] = defaultdict(list)
    for number, polygon in polygons:
        for placed, touched in _place(grid, polygon):
            for part in split(touched, chunk):
                home = Window(part.row // chunk[0], part.col // chunk[1], 1, 1)
                chunks[home].append((number, part, placed))
    for home in counted(sorted(chunks), len(chunks)):
        window = _around([part for _, part, _ in chunks[home]])
        found = [
            (number, _inside(grid, window, part, polygon, all_touched=all_touched))
            for number, part, polygon in chunks[home]
        ]
        numbers = np.concatenate([np.full(len(pixels), number) for number, pixels in found])
        if len(numbers):
            yield Hits(window, numbers, np.concatenate([pixels for _, pixels in found]))


def _place(grid: Grid, polygon: Geometry) -> Iterator[tuple[Geometry, Window]]:
    """Yield a polygon in the grid's range of longitudes, and the pixels that its bounds touch.

    It comes twice where it lies on both ends of a grid that goes all around.
    """
    from shapely.affinity import translate

    xmin, ymin, xmax, ymax = bounds = polygon.bounds
    if not np.isfinite(bounds).all():
        return
    west, _, east, _ = grid.bbox
    for shift in shifts(grid.crs_wkt, (xmin, xmax), (west, east)):
        touched = pixel_window(grid, (xmin + shift, ymin, xmax + shift, ymax))
        if touched is not None:
            yield (translate(polygon, shift) if shift else polygon), touched


def _around(parts: list[Window]) -> Window:
    row, col = min(part.row for part in parts), min(part.col for part in parts)
    bottom = max(part.row + part.height for part in parts)
    right = max(part.col + part.width for part in parts)
    return Window(row, col, bottom - row, right - col)


def _inside(
    grid: Grid, window: Window, part: Window, polygon: Geometry, *, all_touched: bool
) -> NDArray[np.intp]:
    """Return the pixels of `part` that lie in a polygon, as numbers inside `window`."""
    from rasterio.features import geometry_mask

    mask = geometry_mask(
        [polygon], part.shape, grid.part(part).affine, all_touched=all_touched, invert=True
    )
    rows, cols = np.nonzero(mask)
    inner = part.relative_to(window)
    pixels: NDArray[np.intp] = (rows + inner.row) * window.width + cols + inner.col
    return pixels


def inside_window(hits: Iterable[Hits], window: Window) -> Iterator[Hits]:
    """Leave out the pixels outside a window."""
    for hit in hits:
        rows = hit.pixels // hit.window.width + hit.window.row
        cols = hit.pixels % hit.window.width + hit.window.col
        kept = (rows >= window.row) & (rows < window.row + window.height)
        kept &= (cols >= window.col) & (cols < window.col + window.width)
        if kept.all():
            yield hit
        elif kept.any():
            yield Hits(hit.window, hit.features[kept], hit.pixels[kept])
