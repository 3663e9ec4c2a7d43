"""What is checked: the pixels of one grid at one date, and the outlines of what they come from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.inputs import Inputs, open_inputs
from geoembz._geo import BBox, same_crs
from geoembz._geo.grid import Grid, Window
from geoembz._seams.borders import Border, Kind, Layout, Tile
from geoembz._seams.steps import Read
from geoembz._seams.zones import ZoneStrip, grid_name, meeting_zones, strips, zone_borders
from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions, Source
from geoembz.sources.base import place_infos
from geoembz.sources.provenance import BBOX
from geoembz.store import StoreReader
from geoembz.store.grids import open_readers
from geoembz.store.source import is_store

_WITHOUT = (
    "an earlier version wrote it, without the outlines of its sources: only borders of shards are "
    "checked; name the inputs with --sources to check those of tiles, too"
)
_ONE = "one tile: it has no border with another"
_OVERLAP = "tiles overlap: every edge of each is checked, whichever holds there"


@dataclass(frozen=True)
class Outline:
    """Where a source lies.

    Parameters
    ----------
    name
        What to call it.
    crs_wkt
        CRS of `bbox`.
    bbox
        ``(xmin, ymin, xmax, ymax)``.
    """

    name: str
    crs_wkt: str
    bbox: BBox


@dataclass(frozen=True)
class Field:
    """The pixels of one grid at one date.

    Parameters
    ----------
    grid_name
        Of a store of several grids, or of inputs in several CRSs; None elsewhere.
    time
        Of a store with dates; None elsewhere.
    grid
        Where they lie.
    length
        Components of a vector.
    read
        Reads a window.
    layout
        The tiles and shards.
    notes
        What to tell of them.
    zones
        Where two zones meet: their grids' names.
    """

    grid_name: str | None
    time: str | None
    grid: Grid
    length: int
    read: Read
    layout: Layout
    notes: tuple[str, ...]
    zones: tuple[str, ...] = ()

    def borders(self, reach: int) -> list[Border]:
        """Return all borders, in a fixed order; `reach` as of `Layout.borders`."""
        if self.zones:
            return zone_borders(self.layout, reach)
        kinds: tuple[Kind, ...] = ("source", "shard")
        return [border for kind in kinds for border in self.layout.borders(kind, reach)]


def open_fields(
    inputs: Inputs, sources: Inputs | None, options: ReadOptions, time: str | None
) -> list[Field]:
    """Open a store, or inputs, as fields.

    Raises
    ------
    InvalidConfigError
        If options do not fit what is named.
    SourceError
        If inputs cannot be read.
    StoreError
        If the store cannot be read.
    """
    url = _one_store(inputs)
    if url is not None:
        named = None if sources is None else list(_outlines(sources, options))
        readers = open_readers(url)
        fields = [
            _store_field(reader, date, named, several=len(readers) > 1)
            for reader in readers
            for date in _dates(reader, time)
        ]
        if not fields:
            dates = sorted({date for reader in readers for date in reader.dates})
            raise InvalidConfigError(
                f"time {time!r}: {url} has {', '.join(dates) or 'no time axis'}; name one of its "
                "dates, or none to check all"
            )
        return fields + [
            _zone_field(strip)
            for west, east in meeting_zones(readers)
            for strip in strips(west, east, time)
        ]
    if sources is not None or time is not None:
        raise InvalidConfigError(
            "--sources and --time are for a store; inputs know their own outlines: leave them out"
        )
    opened = open_inputs(inputs, options)
    return [_source_field(name, source, len(opened) > 1) for name, source in opened.items()]


def _one_store(inputs: Inputs) -> str | None:
    """Return the URL of a store, where nothing else is named."""
    one: Any = inputs
    if isinstance(inputs, Sequence) and not isinstance(inputs, str) and len(inputs) == 1:
        one = inputs[0]
    return str(one) if isinstance(one, str | Path) and is_store(str(one)) else None


def _dates(reader: StoreReader, time: str | None) -> list[int]:
    if time is None:
        return list(reader.chronological) or [0]
    return [index for index in reader.chronological if reader.dates[index].startswith(time)]


def _store_field(
    reader: StoreReader, date: int, named: list[Outline] | None, *, several: bool
) -> Field:
    grid = reader.attributes.grid
    outlines = list(_stored_outlines(reader, date)) if named is None else named
    layout = Layout.of(grid.shape, _tiles(grid, outlines), reader.stored_chunk)

    def read(window: Window) -> NDArray[np.float32]:
        return reader.read(window, "reduced", date=date)

    notes = [_WITHOUT] if not outlines else _layout_notes(layout)
    return Field(
        grid_name(reader) if several else None,
        reader.dates[date] if reader.dates else None,
        grid,
        reader.length("reduced"),
        read,
        layout,
        tuple(notes),
    )


def _zone_field(strip: ZoneStrip) -> Field:
    reader, date = strip.west.reader, strip.west.date
    return Field(
        None,
        reader.dates[date] if reader.dates else None,
        strip.grid,
        reader.length("reduced"),
        strip.read,
        strip.layout,
        (),
        tuple(grid_name(region.reader) for region in (strip.west, strip.east)),
    )


def _source_field(name: str, source: Source, several: bool) -> Field:
    outlines = list(_placed_outlines(source))
    layout = Layout.of(source.grid.shape, _tiles(source.grid, outlines))

    def read(window: Window) -> NDArray[np.float32]:
        data = source.read(window).decode()
        values = data.values.astype(np.float32)
        if data.valid is not None:
            values[:, ~data.valid] = np.nan
        return values

    notes = tuple(_layout_notes(layout))
    return Field(
        name if several else None, None, source.grid, source.dimension, read, layout, notes
    )


def _layout_notes(layout: Layout) -> list[str]:
    if len(layout.tiles) == 1:
        return [_ONE]
    return [_OVERLAP] if any(len(members) > 1 for members in layout.sets) else []


def _outlines(inputs: Inputs, options: ReadOptions) -> Iterable[Outline]:
    """Yield the outlines of inputs, or those that a store knows of its own."""
    url = _one_store(inputs)
    if url is not None:
        for reader in open_readers(url):
            for date in range(len(reader.dates) or 1):
                yield from _stored_outlines(reader, date)
        return
    for source in open_inputs(inputs, options).values():
        yield from _placed_outlines(source)


def _placed_outlines(source: Source) -> Iterable[Outline]:
    for info in place_infos(source):
        if info.bbox is not None:
            yield Outline(_name(info.uri), source.grid.crs_wkt, info.bbox)


def _stored_outlines(reader: StoreReader, date: int) -> Iterable[Outline]:
    attributes = reader.attributes
    entries: Iterable[Mapping[str, Any]] = attributes.sources
    if attributes.times:
        entries = attributes.times[date]["sources"]
    for entry in entries:
        if BBOX in entry:  # four numbers: the schema was looked at when the store was opened
            xmin, ymin, xmax, ymax = map(float, entry[BBOX])
            yield Outline(_name(entry["uri"]), attributes.grid.crs_wkt, (xmin, ymin, xmax, ymax))


def _name(uri: str) -> str:
    return unquote(str(uri)).rpartition("/")[2].removeprefix("file:")


def _tiles(grid: Grid, outlines: Sequence[Outline]) -> list[Tile]:
    """Return the outlines in a grid's CRS as tiles; files of one tile (bands) are one."""
    tiles: dict[Window, Tile] = {}
    for outline in outlines:
        if not same_crs(outline.crs_wkt, grid.crs_wkt):
            continue
        window = _window(grid, outline.bbox)
        if window is not None:
            tiles.setdefault(window, Tile(outline.name, window))
    return list(tiles.values())


def _window(grid: Grid, bbox: BBox) -> Window | None:
    """Return the pixels of an outline; None where they are not the grid's."""
    rows, cols = grid.rows_cols(np.array([bbox[0], bbox[2]]), np.array([bbox[1], bbox[3]]))
    limits = np.array([grid.shape[0], grid.shape[1]])
    edges = np.sort(np.rint(np.array([rows, cols])), axis=1)
    inside = np.isfinite(edges).all() and (edges >= 0).all() and (limits >= edges.T).all()
    if not inside or (edges[:, 1] <= edges[:, 0]).any():
        return None
    (top, bottom), (left, right) = edges.astype(int).tolist()
    return Window(top, left, bottom - top, right - left)
