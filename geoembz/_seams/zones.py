"""Where two UTM zones meet: the pixels of both, laid on one grid along the meridian between them.

The grids of two zones are turned against each other, so that no pixel of one is a neighbour of one
of the other. A third grid is laid over both, in a transverse Mercator projection around the
meridian: west of it each of its pixels is looked up in one zone, east of it in the other. What is
looked up lies up to half a pixel off, and by how much is alike within a zone, not between two. To
make the border a cut like others each place is first moved at random, by at most half a pixel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from geoembz._export.lookup import ViewOptions, look_up
from geoembz._export.region import Region
from geoembz._geo import BBox, box_around, parse_crs, placed_points, utm_zone
from geoembz._geo.geoparquet import CRS84
from geoembz._geo.grid import Grid, Window
from geoembz._seams.borders import Border, Layout, Tile
from geoembz.store import StoreReader

HALF_WIDTH = 128
"""Pixels on each side of the meridian: what the survey of the inside sees."""

_LONGEST, _SHORTEST, _PARTS = 512, 64, 8
"""Pixels along the meridian that are one border: the zones' may be good here and bad there."""

_MOST = 2_000
"""Borders of two zones, at most; of more, every so many-th."""

_ZONES, _ZONE_DEGREES = 60, 6
_UTM_SCALE = 0.9996


@dataclass(frozen=True)
class ZoneStrip:
    """A raster around the meridian where two zones meet, at one date.

    Parameters
    ----------
    west, east
        The zones' grids.
    grid
        Of the raster; columns from `HALF_WIDTH` on lie east of the meridian.
    """

    west: Region
    east: Region
    grid: Grid

    def read(self, window: Window) -> NDArray[np.float32]:
        """Look up a window; see `Read`. The same places for the same window."""
        random = np.random.Generator(np.random.PCG64([window.row, window.col]))
        part = self.grid.part(window)
        x, y = np.meshgrid(part.x, part.y)
        moved = random.uniform(-0.5, 0.5, (2, *window.shape)) * self.grid.transform[0]
        found = [
            self._look_up(region, x[:, columns] + moved[0][:, columns], (y + moved[1])[:, columns])
            for region, columns in self._sides(window)
        ]
        return np.concatenate(found, axis=2)

    def _sides(self, window: Window) -> Iterator[tuple[Region, slice]]:
        middle = min(max(HALF_WIDTH - window.col, 0), window.width)
        if middle:
            yield self.west, slice(0, middle)
        if middle < window.width:
            yield self.east, slice(middle, window.width)

    def _look_up(
        self, region: Region, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        places = np.column_stack([x.reshape(-1), y.reshape(-1)])

        def place(crs: str, pixels: NDArray[np.intp]) -> NDArray[np.float64]:
            return placed_points(places[pixels], self.grid.crs_wkt, crs)

        vectors = look_up([region], ViewOptions("reduced"), len(places), place).vectors
        return vectors.T.reshape(-1, *x.shape)

    @property
    def layout(self) -> Layout:
        """Two tiles, west and east."""
        height = self.grid.shape[0]
        return Layout.of(
            self.grid.shape,
            [
                Tile(grid_name(region.reader), Window(0, left, height, HALF_WIDTH))
                for region, left in ((self.west, 0), (self.east, HALF_WIDTH))
            ],
        )


def grid_name(reader: StoreReader) -> str:
    """Return the name of one grid of several."""
    return reader.url.rstrip("/").rpartition("/")[2]


def meeting_zones(readers: Sequence[StoreReader]) -> Iterator[tuple[StoreReader, StoreReader]]:
    """Yield the grids, west and east, of zones that are neighbours on one hemisphere."""
    zones = [(utm_zone(reader.attributes.grid.crs_wkt), reader) for reader in readers]
    known = [(int(zone[:-1]), zone[-1], reader) for zone, reader in zones if zone is not None]
    for number, hemisphere, west in known:
        for other, others, east in known:
            if hemisphere == others and other == number % _ZONES + 1:
                yield west, east


def strips(west: StoreReader, east: StoreReader, time: str | None) -> Iterator[ZoneStrip]:
    """Yield the strip along two zones' meridian at each date that both have, if they meet.

    Parameters
    ----------
    west, east
        As `meeting_zones` yields them.
    time
        Year or date; None for all.
    """
    grid = _strip_grid(west.attributes.grid, east.attributes.grid)
    if grid is None:
        return
    if not west.dates:
        yield ZoneStrip(_whole(west, 0), _whole(east, 0), grid)
    for index in west.chronological:
        date = west.dates[index]
        if date in east.dates and date.startswith(time or ""):
            yield ZoneStrip(_whole(west, index), _whole(east, east.dates.index(date)), grid)


def _whole(reader: StoreReader, date: int) -> Region:
    return Region(reader, reader.attributes.grid.window, date)


def _strip_grid(west: Grid, east: Grid) -> Grid | None:
    """Return the grid along the meridian, as far as both zones reach; None where one does not."""
    meridian = int((utm_zone(west.crs_wkt) or "")[:-1]) * _ZONE_DEGREES - 180
    wkt = _around_meridian(west.crs_wkt, meridian)
    side = max(abs(west.transform[0]), abs(east.transform[0]))
    boxes = [box_around(grid.bbox, grid.crs_wkt, wkt) for grid in (west, east)]
    (_, _, reaches, _), (begins, _, _, _) = boxes
    low, high = max(box[1] for box in boxes), min(box[3] for box in boxes)
    if reaches < 0 or begins > 0 or high - low < side:
        return None
    height = ceil((high - low) / side)
    transform = (side, 0.0, -side * HALF_WIDTH, 0.0, -side, low + height * side)
    return Grid(wkt, None, transform, (height, 2 * HALF_WIDTH))


def _around_meridian(crs: str, meridian: int) -> str:
    """Return the CRS of a zone's datum in which a meridian is the line x = 0."""
    from pyproj.crs import ProjectedCRS
    from pyproj.crs.coordinate_operation import TransverseMercatorConversion

    return ProjectedCRS(
        TransverseMercatorConversion(
            longitude_natural_origin=meridian, scale_factor_natural_origin=_UTM_SCALE
        ),
        name=f"along {meridian} degrees",
        geodetic_crs=parse_crs(crs).geodetic_crs,
    ).to_wkt()


def zone_borders(layout: Layout, reach: int) -> list[Border]:
    """Return the pieces of the meridian of a `ZoneStrip`, north to south.

    Parameters
    ----------
    layout
        Of the strip.
    reach
        As of `Layout.borders`.
    """
    (whole,) = layout.borders("source", reach)
    length = min(max(ceil(whole.stop / _PARTS), _SHORTEST), _LONGEST)
    edges = np.linspace(0, whole.stop, max(whole.stop // length, 1) + 1).round().astype(int)
    pieces = [
        replace(whole, kind="zone", start=start, stop=stop)
        for start, stop in pairwise(edges.tolist())
    ]
    return pieces[:: ceil(len(pieces) / _MOST)]


def line_on_earth(grid: Grid, border: Border) -> BBox:
    """Return longitudes and latitudes of a piece of the meridian, a box of no width."""
    a, _, c, _, e, f = grid.transform
    ends = [(c + a * border.line, f + e * row) for row in (border.stop, border.start)]
    (lon, south), (_, north) = placed_points(np.array(ends), grid.crs_wkt, CRS84).tolist()
    return lon, south, lon, north
