"""Which pixels are meant: a store, a bounding box, and rows that run southwards."""

from dataclasses import dataclass, replace
from pathlib import Path

from geoembz.conventions import GRIDS
from geoembz.errors import InvalidConfigError
from geoembz.grid import Grid, Window
from geoembz.store import StoreReader
from geoembz.store.reader import open_group

type BBox = tuple[float, float, float, float]
"""``(xmin, ymin, xmax, ymax)``."""

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


def open_region(
    store: str | Path | StoreReader,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
) -> Region:
    """Open a store and find the pixels that a bounding box touches, at one date.

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

    Raises
    ------
    InvalidConfigError
        If the box is empty, not finite, or lies outside the store, or the date is not there.
    """
    reader = store if isinstance(store, StoreReader) else StoreReader.open(str(store))
    grid, date = reader.attributes.grid, date_position(reader, time)
    if bbox is None:
        return Region(reader, grid.window, date)
    if not (bbox[0] < bbox[2] and bbox[1] < bbox[3]):
        raise InvalidConfigError(
            f"bbox {bbox}; expected xmin, ymin, xmax, ymax with xmin < xmax and ymin < ymax"
        )
    box = bbox if bbox_crs is None else transformed_bbox(bbox, bbox_crs, grid.crs_wkt)
    touched = pixel_window(grid, box)
    if touched is None:
        raise InvalidConfigError(
            f"bbox {bbox}: outside {reader.url}, which covers {_text(grid.bbox)} in "
            f"{grid.crs_code or 'its CRS'}; give the box in that CRS, or name its own (--bbox-crs)"
        )
    return Region(reader, touched, date)


def open_readers(store: str | Path | StoreReader) -> list[StoreReader]:
    """Open a store, or all stores below a root of several grids."""
    if isinstance(store, StoreReader):
        return [store]
    names = open_group(str(store)).attrs.get(GRIDS)
    if not isinstance(names, list):
        return [StoreReader.open(str(store))]
    return [StoreReader.open(f"{store}/{name}") for name in names]


def date_position(reader: StoreReader, time: str | None) -> int:
    """Return the position of a year or date on a store's time axis; 0 where there is none.

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
        raise InvalidConfigError(f"time {time!r}: {reader.url} has {_dates(dates)}")
    return found[0]


def pixel_window(grid: Grid, bbox: BBox) -> Window | None:
    """Return the pixels that a box in the grid's CRS touches; None where there are none."""
    a, _, c, _, e, f = grid.transform
    spans = []
    for low, high, origin, step, size in (
        (bbox[1], bbox[3], f, e, grid.shape[0]),
        (bbox[0], bbox[2], c, a, grid.shape[1]),
    ):
        first, last = sorted(((low - origin) / step, (high - origin) / step))
        start, stop = max(_floor(first + _SLACK), 0), min(-_floor(-last + _SLACK), size)
        if stop <= start:
            return None
        spans.append((start, stop - start))
    (row, height), (col, width) = spans
    return Window(row, col, height, width)


def transformed_bbox(bbox: BBox, crs: str, target_wkt: str) -> BBox:
    """Return the box around `bbox` in another CRS.

    Raises
    ------
    InvalidConfigError
        If `crs` is no CRS.
    """
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError

    try:
        transformer = Transformer.from_crs(crs, CRS.from_wkt(target_wkt), always_xy=True)
    except CRSError as error:
        raise InvalidConfigError(f"bbox CRS {crs!r}: {error}; expected e.g. EPSG:4326") from error
    xmin, ymin, xmax, ymax = transformer.transform_bounds(*bbox)
    return float(xmin), float(ymin), float(xmax), float(ymax)


def _dates(dates: tuple[str, ...]) -> str:
    if not dates:
        return "no time axis; leave the date out"
    return f"{', '.join(dates)}; name one of them (--time)"


def _floor(value: float) -> int:
    """Return the next integer below; numbers beyond any raster stay numbers."""
    return int(min(max(value, -1e15), 1e15) // 1)


def _text(bbox: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.10g}" for value in bbox)
