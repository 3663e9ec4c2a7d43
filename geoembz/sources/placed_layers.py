"""Layers where the vectors of a source lie: of rasters of their own, or as a store has them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import same_crs
from geoembz._geo.grid import Grid, Window
from geoembz.errors import SourceError
from geoembz.sources.base import Source, traits_of
from geoembz.sources.georeference import describe_grid, offset
from geoembz.sources.layer_reading import layers_of
from geoembz.sources.layers import Layer, checked_layers
from geoembz.sources.provenance import SourceInfo
from geoembz.sources.wrappers import ViewSource


@dataclass(frozen=True)
class PlacedLayer:
    """A layer of a source, read from a raster of its own.

    Parameters
    ----------
    layer
        What it is.
    numbers
        Its numbers as they are stored: one component, north-up.
    row, col
        Where the source's first pixel lies in it.
    """

    layer: Layer
    numbers: Source
    row: int = 0
    col: int = 0

    @classmethod
    def of(cls, layer: Layer, numbers: Source, name: str, grid: Grid) -> "PlacedLayer":
        """Find where the pixels of a source lie in a layer's raster.

        Parameters
        ----------
        layer, numbers
            As above.
        name, grid
            Of the source.

        Raises
        ------
        SourceError
            If the raster has other pixels, or does not cover all of them.
        """
        own, found = numbers.grid, None
        if same_crs(own.crs_wkt, grid.crs_wkt):
            found = offset(own, grid)
        if found is None or own.window.intersection(Window(*found, *grid.shape)) != Window(
            *found, *grid.shape
        ):
            raise SourceError(
                f"{numbers.name}: {describe_grid(own)}; but {name}: {describe_grid(grid)}; "
                f"expected layer {layer.name} on the same pixels, and on all of them; warp it to "
                "them, such as with gdalwarp -t_srs -tr -te -r near"
            )
        return cls(layer, numbers, *found)

    def read(self, window: Window) -> NDArray[Any]:
        """Read a window of the source, shape ``(height, width)``; masked where there is none."""
        moved = replace(window, row=window.row + self.row, col=window.col + self.col)
        data = self.numbers.read(moved)
        missing = np.ma.nomask if data.valid is None else ~data.valid
        numbers: NDArray[Any] = np.ma.masked_array(data.values[0], missing)
        return numbers


class LayeredSource(ViewSource):
    """A source with layers besides those that it has.

    Parameters
    ----------
    source
        What is looked at.
    placed
        Layers; they take the place of those of the same name.
    notes
        What to tell of them.
    """

    def __init__(
        self, source: Source, placed: Iterable[PlacedLayer], notes: Iterable[str] = ()
    ) -> None:
        super().__init__(source, traits=traits_of(source).with_notes(*notes))
        self._placed = {one.layer.name: one for one in placed}
        kept = [layer for layer in layers_of(source) if layer.name not in self._placed]
        own = [one.layer for one in self._placed.values()]
        self.layers = checked_layers([*kept, *own])
        self.info = (*source.info, *self._added())

    def _added(self) -> list[SourceInfo]:
        """Return the objects behind layers alone."""
        known = {info.uri for info in self.source.info}
        added: dict[str, SourceInfo] = {}
        for name, one in self._placed.items():
            for info in one.numbers.info:
                names = added[info.uri].layers if info.uri in added else ()
                added[info.uri] = replace(info, bbox=None, layers=(*names, name))
        return [info for uri, info in added.items() if uri not in known]

    def read_layer(self, name: str, window: Window) -> NDArray[Any]:
        """Read a window of a layer, shape ``(height, width)``; masked where there is none."""
        if name in self._placed:
            return self._placed[name].read(window)
        return super().read_layer(name, window)


def with_layers_of(source: Source, wanted: Sequence[Layer], whose: str, date: str) -> Source:
    """Return a source with just the layers of a store that it is added to.

    Parameters
    ----------
    source
        What is added.
    wanted
        The store's.
    whose, date
        The store, and the date, for messages.

    Returns
    -------
    source
        With a note of layers that it has beyond, which are left out, and of those that it lacks.

    Raises
    ------
    SourceError
        If a layer means something else, or is lacking and has no value for none.
    """
    own = {layer.name: layer for layer in layers_of(source)}
    if tuple(own.values()) == tuple(wanted):
        return source
    for layer in wanted:
        _check_same(source, own.get(layer.name), layer, whose)
    names = {layer.name for layer in wanted}
    notes = [
        f"layer {name} of {date} is left out: the store has none"
        for name in sorted(own.keys() - names)
    ]
    notes += [f"layer {name} has no numbers at {date}" for name in sorted(names - own.keys())]
    return MatchedSource(source, wanted, notes)


def _check_same(source: Source, own: Layer | None, layer: Layer, whose: str) -> None:
    """Refuse a layer whose numbers would mean something else among those of a store."""
    if own is None:
        if layer.has_missing:
            return
        raise SourceError(
            f"{source.name}: no layer {layer.name}, which {whose} has, without a value for none; "
            "expected its numbers: name a file with them (--layer)"
        )
    for what in ("scale", "offset", "units", "flags"):
        came, expected = getattr(own, what), getattr(layer, what)
        is_said = what in {"scale", "offset"} or (came and expected)
        if is_said and came != expected:
            raise SourceError(
                f"{source.name}: layer {layer.name} with {what} {came}; but {whose}: {expected}; "
                "expected the same at every date; name another file (--layer)"
            )


class MatchedSource(ViewSource):
    """A source with the layers of a store: its own numbers, or none.

    Parameters
    ----------
    source
        What is looked at.
    wanted
        The layers.
    notes
        What to tell of them.
    """

    def __init__(self, source: Source, wanted: Sequence[Layer], notes: Iterable[str]) -> None:
        super().__init__(source, traits=traits_of(source).with_notes(*notes))
        self._own = {layer.name for layer in layers_of(source)}
        self.layers = tuple(wanted)

    def read_layer(self, name: str, window: Window) -> NDArray[Any]:
        """Read a window of a layer; see `read_layers`."""
        if name in self._own:
            return super().read_layer(name, window)
        dtype = next(layer.dtype for layer in self.layers if layer.name == name)
        nothing: NDArray[Any] = np.ma.masked_all(window.shape, dtype)
        return nothing
