"""Which pixels belong to which features, and the sums of their vectors, chunk by chunk."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.region import pixel_window
from geoembz._geo import into_range, shifts
from geoembz._geo.grid import Grid, Window, split
from geoembz._geo.wkb import Geometry
from geoembz.store import StoreReader, View


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
    for group in np.split(order, edges):
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
    for home in sorted(chunks):
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


REQUESTS_AT_ONCE = 8
"""Chunks read at the same time: reads wait for storage more than they compute."""


class Totals:
    """Sums over features; codes of points are kept as they are.

    Parameters
    ----------
    reader
        A store that is read; all must have one encoding.
    count
        Number of features.
    space, components, whiten
        What is read; see `StoreReader.read_pixels`.

    Attributes
    ----------
    covered, pixels
        Pixels of each feature, and those of them that hold an embedding, int64.
    chunks_read
        Windows read, each inside one chunk.
    """

    def __init__(
        self,
        reader: StoreReader,
        count: int,
        space: View,
        components: int | None = None,
        whiten: float = 0.0,
    ) -> None:
        self._view = (space, components, whiten)
        encoding = reader.encoding
        self._is_codes = space == "codes"
        fill = encoding.fill_value if self._is_codes else 0
        dtype = encoding.code_dtype if self._is_codes else np.dtype(np.float64)
        self._sums = np.full((count, reader.length(*self._view)), fill, dtype)
        self.covered, self.pixels = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.chunks_read = 0

    def add(self, reader: StoreReader, date: int, hits: Iterable[Hits]) -> None:
        """Read the windows of some hits, several at once, and add them in order."""

        def read(hits: Hits) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            return self._read(reader, date, hits)

        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            for group in batched(hits, 4 * REQUESTS_AT_ONCE):
                for hit, (vectors, valid) in zip(group, pool.map(read, group), strict=True):
                    self._add(hit.features, vectors, valid)
                    self.chunks_read += 1

    def vectors(self) -> NDArray[Any]:
        """Return the means, float32, NaN where there is no pixel; or the codes."""
        if self._is_codes:
            return self._sums
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float32] = (self._sums / self.pixels[:, np.newaxis]).astype(np.float32)
        return mean

    def _read(
        self, reader: StoreReader, date: int, hits: Hits
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the vectors of the hits ``(length, n)``, and which are valid."""
        unique, back = np.unique(hits.pixels, return_inverse=True)
        vectors = reader.read_pixels(hits.window, unique, *self._view, date)
        if not self._is_codes:
            valid = ~np.isnan(vectors[0])
        elif (mask := reader.read_mask(hits.window, date)) is not None:
            valid = mask.reshape(-1)[unique]
        else:
            valid = ~reader.encoding.is_nodata(vectors[0])
        return vectors[:, back], np.asarray(valid)[back]

    def _add(
        self, features: NDArray[np.intp], vectors: NDArray[Any], valid: NDArray[np.bool_]
    ) -> None:
        """Add one window's vectors; a feature's pixels stand side by side in it."""
        starts = _starts(features)
        self.covered[features[starts]] += np.diff([*starts, len(features)])
        if self._is_codes:
            self._sums[features] = vectors.T
        features, vectors = features[valid], vectors[:, valid]
        if not len(features):
            return
        starts = _starts(features)
        self.pixels[features[starts]] += np.diff([*starts, len(features)])
        if not self._is_codes:
            sums = np.add.reduceat(vectors, starts, axis=1, dtype=np.float64)
            self._sums[features[starts]] += sums.T


def _starts(features: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(features, prepend=-1))
