"""Many tiles of one grid as one source.

Pixels that no tile covers are nodata. Where tiles overlap the rule decides: the first or the last
valid pixel in the order given, or the mean of all.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import same_crs
from geoembz._geo.grid import Grid, Window
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.base import (
    Source,
    SourceData,
    SourceTraits,
    common_block,
    names_of,
    occupies,
    place_infos,
    traits_of,
)
from geoembz.sources.georeference import cover, offset, refuse_misaligned
from geoembz.sources.layer_reading import common_layers, read_layer
from geoembz.sources.options import OVERLAPS, Overlap
from geoembz.sources.wrappers import reorder_alike, resample_nearest


class PickBuffer:
    """Every pixel is that of the first tile added that has a valid one there.

    Parameters
    ----------
    dimension
        Length of a vector.
    shape
        Height and width of the window.
    dtype
        Type of the values.
    """

    def __init__(self, dimension: int, shape: tuple[int, int], dtype: np.dtype[np.generic]) -> None:
        self._values = np.zeros((dimension, *shape), dtype)
        self._filled = np.zeros(shape, dtype=np.bool_)

    def add(self, place: Window, data: SourceData) -> None:
        """Add what a tile holds of a part of the window."""
        rows, cols = place.slices
        values, filled = self._values[:, rows, cols], self._filled[rows, cols]
        fresh = data.complete()
        if filled.any():
            fresh &= ~filled
            np.copyto(values, data.values, where=fresh, casting="same_kind")
        else:
            values[:] = data.values
        filled |= fresh

    def result(self) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return values and validity."""
        return self._values, self._filled


class MeanBuffer:
    """Every pixel is the mean of the valid ones there; parameters as in `PickBuffer`."""

    def __init__(self, dimension: int, shape: tuple[int, int], dtype: np.dtype[np.generic]) -> None:
        self._dtype = dtype
        self._sums = np.zeros((dimension, *shape))
        self._counts = np.zeros(shape, dtype=np.int32)

    def add(self, place: Window, data: SourceData) -> None:
        """Add what a tile holds of a part of the window."""
        rows, cols = place.slices
        fresh = data.complete()
        np.add(self._sums[:, rows, cols], data.values, out=self._sums[:, rows, cols], where=fresh)
        self._counts[rows, cols] += fresh

    def result(self) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Return values and validity."""
        self._sums /= np.maximum(self._counts, 1)
        return self._sums.astype(self._dtype), self._counts > 0


_RULES: dict[Overlap, str] = {
    "first": "where tiles overlap, the first of the sources with a valid pixel holds",
    "last": "where tiles overlap, the last of the sources with a valid pixel holds",
    "mean": "where tiles overlap, the mean of all valid pixels holds",
}


class MosaicSource:
    """Tiles side by side.

    Tiles may come in any order: without overlaps the result is the same. Tiles are opened when
    they are read, and only so many at once as `geoembz.sources.gdal` keeps.

    Parameters
    ----------
    tiles
        North-up sources of one product in one CRS.
    overlap
        What holds where tiles overlap; None for ``first``, and no tile may be there twice.
    resample
        Take tiles with other pixels by nearest neighbour, instead of refusing them.

    Raises
    ------
    SourceError
        If tiles differ in length, bands, type or product, are there twice, or are not aligned.
    """

    def __init__(
        self, tiles: Sequence[Source], *, overlap: Overlap | None = None, resample: bool = False
    ) -> None:
        if overlap is not None and overlap not in OVERLAPS:
            raise InvalidConfigError(f"overlap {overlap!r}; expected one of {', '.join(OVERLAPS)}")
        first = tiles[0]
        aligned = [_on_grid(tile, first, resample=resample) for tile in of_one_kind(tiles)]
        self.grid: Grid = cover([tile.grid for tile in aligned])
        windows = [_window(self.grid, tile.grid) for tile in aligned]
        if overlap is None:
            _refuse_duplicates(aligned, windows)
        self._overlap: Overlap = overlap or "first"
        self.tiles, self._windows = aligned, windows
        self._edges = np.array(
            [(w.row, w.col, w.row + w.height, w.col + w.width) for w in windows], dtype=np.int64
        )
        self.name = f"mosaic of {len(tiles)} tiles, {first.name} …"
        self.dimension, self.dtype = first.dimension, first.dtype
        self.band_names = names_of(aligned[0])
        floats = self.dtype.kind == "f" and overlap != "mean"
        self._decoded_dtype = self.dtype if floats else np.dtype(np.float32)
        self.block_shape = common_block(aligned, windows)
        order = list(range(len(tiles)))
        overlapping = _overlap_somewhere(self._edges)
        if not overlapping:  # then the order given means nothing, and the store must not tell it
            order.sort(key=lambda index: (windows[index], aligned[index].name))
        self.info = tuple(info for index in order for info in place_infos(aligned[index]))
        self.traits: SourceTraits = _common_traits([aligned[index] for index in order])
        if overlapping:
            self.traits = self.traits.with_notes(_RULES[self._overlap])
        gaps = sum(window.size for window in windows) < self.grid.window.size
        self.layers, note = common_layers(tiles, overlap=overlapping, gaps=gaps)
        if note is not None:
            self.traits = self.traits.with_notes(note)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        met = self._find_tiles(window)
        if len(met) == 1 and (tile := self._windows[met[0]]).intersection(window) == window:
            return self.tiles[met[0]].read(window.relative_to(tile))
        kind = MeanBuffer if self._overlap == "mean" else PickBuffer
        buffer = kind(self.dimension, window.shape, self._decoded_dtype)
        rejected, partial = 0, 0
        for index in reversed(met) if self._overlap == "last" else met:
            tile = self._windows[index]
            part = tile.intersection(window)
            if part is None:
                continue
            data = self.tiles[index].read(part.relative_to(tile)).decode()
            rejected += data.rejected
            partial += data.partial
            buffer.add(part.relative_to(window), data)
        values, valid = buffer.result()
        return SourceData(values, valid, rejected, partial=partial)

    def read_layer(self, name: str, window: Window) -> "np.ma.MaskedArray[Any, Any]":
        """Read a window of a layer; see `read_layers`."""
        dtype = next(layer.dtype for layer in self.layers if layer.name == name)
        out = np.ma.masked_all(window.shape, dtype)
        for index in self._find_tiles(window):
            tile = self._windows[index]
            part = tile.intersection(window)
            if part is not None:
                numbers = read_layer(self.tiles[index], name, part.relative_to(tile))
                out[part.relative_to(window).slices] = numbers
        return out

    def occupies(self, window: Window) -> bool:
        """Whether a tile lies in a window."""
        for index in self._find_tiles(window):
            part = self._windows[index].intersection(window)
            if part is not None and occupies(
                self.tiles[index], part.relative_to(self._windows[index])
            ):
                return True
        return False

    def _find_tiles(self, window: Window) -> list[int]:
        """Return the tiles that a window meets, in the order given."""
        top, left, bottom, right = self._edges.T
        met = (
            (top < window.row + window.height)
            & (bottom > window.row)
            & (left < window.col + window.width)
            & (right > window.col)
        )
        return [int(index) for index in np.flatnonzero(met)]


def of_one_kind(tiles: Sequence[Source]) -> list[Source]:
    """Return tiles with their bands in one order; refuse those with other vectors.

    Raises
    ------
    SourceError
        If length, product, model or type differ, or names say that the bands are others.
    """
    for tile in tiles[1:]:
        _refuse_other_kind(tiles[0], tile)
    return reorder_alike(tiles)


def _refuse_other_kind(first: Source, tile: Source) -> None:
    ours, theirs = traits_of(first), traits_of(tile)
    for what, expected, came in (
        ("components", first.dimension, tile.dimension),
        ("product", ours.product, theirs.product),
        ("model", ours.model, theirs.model),
        ("type", str(first.dtype), str(tile.dtype)),
    ):
        if expected != came:
            raise SourceError(
                f"{tile.name}: {what} {came!r}, but {first.name}: {what} {expected!r}; tiles of a "
                "mosaic must come from one model; convert them to stores of their own"
            )


def _on_grid(tile: Source, first: Source, *, resample: bool) -> Source:
    """Return a tile on the first one's pixels."""
    in_crs = same_crs(first.grid.crs_wkt, tile.grid.crs_wkt)
    if resample and in_crs and offset(first.grid, tile.grid) is None:
        return resample_nearest(tile, first.grid)
    refuse_misaligned(tile.name, tile.grid, first.name, first.grid)
    return tile


def _window(base: Grid, tile: Grid) -> Window:
    row, col = offset(base, tile) or (0, 0)
    return Window(row, col, *tile.shape)


def _refuse_duplicates(tiles: Sequence[Source], windows: Sequence[Window]) -> None:
    twice = [window for window, count in Counter(windows).items() if count > 1]
    if not twice:
        return
    names = [tile.name for tile, window in zip(tiles, windows, strict=True) if window == twice[0]]
    raise SourceError(
        f"{len(twice)} place(s) covered twice by whole tiles, such as {' and '.join(names)}: "
        "duplicates; remove them, or say with --overlap first, last or mean what holds, or with "
        "--product bands that each holds other bands of one embedding"
    )


def _overlap_somewhere(edges: NDArray[np.int64]) -> bool:
    """Whether any two of these rectangles (top, left, bottom, right) have a pixel in common."""
    ordered = edges[np.argsort(edges[:, 0], kind="stable")]
    top, left, bottom, right = ordered.T
    for index in range(len(ordered)):
        stop = int(np.searchsorted(top, bottom[index]))
        later = slice(index + 1, stop)
        if ((left[later] < right[index]) & (right[later] > left[index])).any():
            return True
    return False


def _common_traits(tiles: Sequence[Source]) -> SourceTraits:
    """Return the traits of all: each note and each skipped input once."""
    every = [traits_of(tile) for tile in tiles]
    notes = tuple(dict.fromkeys(note for traits in every for note in traits.notes))
    skipped = tuple(dict.fromkeys(entry for traits in every for entry in traits.skipped))
    recipes = {traits.recipe for traits in every}
    recipe = recipes.pop() if len(recipes) == 1 else None
    return replace(every[0], notes=notes, skipped=skipped, recipe=recipe)
