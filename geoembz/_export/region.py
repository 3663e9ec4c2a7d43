"""Which pixels are meant: a store, a bounding box, and rows that run southwards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from geoembz._geo import BBox, placed_boxes, spans
from geoembz._geo.grid import Grid, Window
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from geoembz.store.grids import choose_grid, open_readers

_SLACK = 1e-6
"""Pixels: coordinates are the corners of pixels only up to rounding."""


@dataclass(frozen=True)
class Region:
    """A window of a store's grid.

    Parameters
    ----------
    reader
        The open store.
    window
        Pixels, in the store's rows and columns.
    date
        Position on the store's time axis, where it has one.
    """

    reader: StoreReader
    window: Window
    date: int = 0

    @property
    def runs_north(self) -> bool:
        """Whether the store's rows run northwards: written files turn them round."""
        return self.reader.attributes.grid.transform[4] > 0

    @property
    def grid(self) -> Grid:
        """The window's own grid, its first row in the north."""
        grid, window = self.reader.attributes.grid, self.window
        a, _, c, _, e, f = grid.transform
        top = window.row + (window.height if self.runs_north else 0)
        transform = (a, 0.0, c + a * window.col, 0.0, -abs(e), f + e * top)
        return replace(grid, transform=transform, shape=window.shape)

    def turned(self, block: Window) -> Window:
        """Return where a block of the store lies in the written file, whose rows run south."""
        row, col = block.row - self.window.row, block.col - self.window.col
        if self.runs_north:
            row = self.window.height - row - block.height
        return Window(row, col, block.height, block.width)

    def source_of(self, place: Window) -> Window:
        """Return which block of the store lies in a place of the written file."""
        row = self.window.height - place.row - place.height if self.runs_north else place.row
        corner = self.window.row + row, self.window.col + place.col
        return Window(*corner, place.height, place.width)


def open_region(
    store: str | Path | StoreReader,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    grid: str | None = None,
    level: int | None = None,
    *,
    time_option: str = "--time",
) -> Region:
    """Open a store and find the pixels that a bounding box touches, in one grid at one date.

    Parameters
    ----------
    store, bbox, bbox_crs, time, grid, level, time_option
        As in `open_regions`.

    Raises
    ------
    InvalidConfigError
        As `open_regions`, or if several grids are left.
    """
    regions = open_regions(store, bbox, bbox_crs, time, grid, level, time_option=time_option)
    refuse_two_parts(regions, bbox)
    if len(regions) > 1:
        where = "" if bbox is None else f"bbox {bbox} meets "
        raise InvalidConfigError(
            f"{store}: {where}{len(regions)} grids; "
            f"{choose_grid([region.reader for region in regions])}"
        )
    return regions[0]


def open_regions(
    store: str | Path | StoreReader,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    grid: str | None = None,
    level: int | None = None,
    *,
    time_option: str = "--time",
) -> list[Region]:
    """Open a store and find the pixels of each of its grids that a bounding box touches.

    Parameters
    ----------
    store
        Path, URL or open store.
    bbox
        ``(xmin, ymin, xmax, ymax)``; None for everything.
    bbox_crs
        CRS of `bbox`; None for the store's own.
    time
        Year or date; None where the store has no more than one.
    grid
        Name of one grid of several, such as ``utm32n``; None for all.
    level
        Number of the level; None for the full resolution, or an open store's own level.
    time_option
        What `time` was given as, for messages.

    Returns
    -------
    regions
        One for each grid that the box meets; two of a grid whose edges are one meridian, such as
        180°, where the box lies across that.

    Raises
    ------
    InvalidConfigError
        If the box is empty, not finite, or lies outside the store, or the date or the
        level is not there.
    """
    readers = open_readers(store, grid, level=level)
    return regions_of(store, readers, bbox, bbox_crs, time, time_option=time_option)


def regions_of(
    store: str | Path | StoreReader,
    readers: Sequence[StoreReader],
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    *,
    time_option: str = "--time",
) -> list[Region]:
    """Find the pixels of open grids that a bounding box touches; `store` is for messages.

    The rest is as in `open_regions`.
    """
    refuse_vague_box(store, readers, bbox, bbox_crs)
    regions = [
        Region(reader, window, date_position(reader, time, time_option))
        for reader in readers
        for window in box_windows(reader.attributes.grid, bbox, bbox_crs)
    ]
    if not regions:
        grids = [reader.attributes.grid for reader in readers[:3]]
        covers = " and ".join(f"{_text(g.bbox)} in {g.crs_code or 'its CRS'}" for g in grids)
        raise InvalidConfigError(
            f"bbox {bbox}: outside {_name(store)}, which covers {covers}; give the box in that "
            "CRS, or name its own (--bbox-crs)"
        )
    return regions


def refuse_two_parts(regions: Sequence[Region], bbox: BBox | None) -> None:
    """Refuse regions of which two are parts of one grid: no raster holds both without a gap.

    Raises
    ------
    InvalidConfigError
        Saying where they lie.
    """
    for one, other in pairwise(regions):
        if one.reader is other.reader:
            parts = " and ".join(_text(part.grid.bbox) for part in (one, other))
            raise InvalidConfigError(
                f"bbox {bbox}: lies across the edge of {one.reader.url}, on both sides of it; ask "
                f"for its two parts, {parts}, one after the other"
            )


def refuse_vague_box(
    store: str | Path | StoreReader,
    readers: Sequence[StoreReader],
    bbox: BBox | None,
    bbox_crs: str | None,
) -> None:
    """Refuse a box without a CRS in a store whose grids have CRSs of their own.

    Raises
    ------
    InvalidConfigError
        If the box could mean several places.
    """
    if bbox is not None and bbox_crs is None and len(readers) > 1:
        raise InvalidConfigError(
            f"bbox {bbox}: {_name(store)} has {len(readers)} grids, each in its own CRS; name the "
            "CRS of the box (--bbox-crs, such as EPSG:4326), or one grid"
        )


def box_windows(grid: Grid, bbox: BBox | None, bbox_crs: str | None) -> list[Window]:
    """Return the pixels that a box touches: all without a box; none where it is outside.

    Longitudes may be those of either range, and the box may lie across the antimeridian. There are
    two windows where it lies across the seam of a grid that goes all around.

    Raises
    ------
    InvalidConfigError
        If the box holds nothing, or its CRS is none.
    """
    if bbox is None:
        return [grid.window]
    west, _, east, _ = grid.bbox
    windows: list[Window] = []
    for xmin, ymin, xmax, ymax in placed_boxes(bbox, bbox_crs, grid.crs_wkt, grid.bbox):
        for low, high in spans(grid.crs_wkt, (xmin, xmax), (west, east)):
            window = pixel_window(grid, (low, ymin, high, ymax))
            if window is not None:
                windows = _join(windows, window)
    return windows


def _join(windows: list[Window], window: Window) -> list[Window]:
    """Return windows with one more, those that meet or touch it made one with it."""
    around = Window(window.row - 1, window.col - 1, window.height + 2, window.width + 2)
    near = [other for other in windows if other.intersection(around) is not None]
    apart = [other for other in windows if other not in near]
    row = min(part.row for part in (window, *near))
    col = min(part.col for part in (window, *near))
    bottom = max(part.row + part.height for part in (window, *near))
    right = max(part.col + part.width for part in (window, *near))
    return sorted([*apart, Window(row, col, bottom - row, right - col)])


def _name(store: str | Path | StoreReader) -> str:
    return store.url if isinstance(store, StoreReader) else str(store)


def date_position(reader: StoreReader, time: str | None, option: str = "--time") -> int:
    """Return the position of a year or date on a store's time axis; 0 where there is none.

    Parameters
    ----------
    reader
        The store.
    time
        Year or date.
    option
        What it was given as, for messages.

    Raises
    ------
    InvalidConfigError
        If the store has several dates and none is named, or not the one that is.
    """
    dates = reader.dates
    if time is None and len(dates) < 2:
        return 0
    found = [index for index, date in enumerate(dates) if time and date.startswith(str(time))]
    if len(found) != 1:
        what = "which date?" if time is None else f"time {time!r}:"
        raise InvalidConfigError(f"{what} {reader.url} has {_dates(dates, option)}")
    return found[0]


def pixel_window(grid: Grid, bbox: BBox) -> Window | None:
    """Return the pixels that a box in the grid's CRS touches; None where there are none."""
    a, _, c, _, e, f = grid.transform
    sides = []
    for low, high, origin, step, size in (
        (bbox[1], bbox[3], f, e, grid.shape[0]),
        (bbox[0], bbox[2], c, a, grid.shape[1]),
    ):
        first, last = sorted(((low - origin) / step, (high - origin) / step))
        start, stop = max(_floor(first + _SLACK), 0), min(-_floor(-last + _SLACK), size)
        if stop <= start:
            return None
        sides.append((start, stop - start))
    (row, height), (col, width) = sides
    return Window(row, col, height, width)


def _dates(dates: tuple[str, ...], option: str) -> str:
    if not dates:
        return "no time axis; leave the date out"
    return f"{', '.join(dates)}; name one of them ({option})"


def _floor(value: float) -> int:
    """Return the next integer below; numbers beyond any raster stay numbers."""
    return int(min(max(value, -1e15), 1e15) // 1)


def _text(bbox: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.10g}" for value in bbox)
