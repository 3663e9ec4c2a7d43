"""Sources that show another source: under another grid, in another order; the rest they pass on."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window
from geoembz.errors import SourceError
from geoembz.sources.band_names import (
    BandNames,
    list_names,
    natural_order,
    positions,
    tell_bands_apart,
)
from geoembz.sources.base import (
    Source,
    SourceData,
    SourceTraits,
    names_of,
    occupies,
    traits_of,
)
from geoembz.sources.layer_reading import layers_of, read_layer


class ViewSource:
    """Another source under another grid or with other traits.

    Parameters
    ----------
    source
        What is looked at.
    grid
        Where its pixels lie; None for the source's own grid.
    traits
        What is known of the product; None for what the source itself says.
    """

    def __init__(
        self, source: Source, grid: Grid | None = None, traits: SourceTraits | None = None
    ) -> None:
        self.source, self.name = source, source.name
        self.grid = source.grid if grid is None else grid
        self.dimension, self.dtype = source.dimension, source.dtype
        self.band_names = names_of(source)
        self.block_shape: tuple[int, int] = source.block_shape
        self.info = source.info
        self.traits = traits_of(source) if traits is None else traits
        self.layers = layers_of(source)

    def read_layer(self, name: str, window: Window) -> NDArray[Any]:
        """Read a window of a layer; see `read_layers`."""
        return read_layer(self.source, name, window)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        return self.source.read(window)

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        return occupies(self.source, window)


def with_traits(source: Source, traits: SourceTraits) -> Source:
    """Return a source with other traits; notes and skipped inputs of its own stay."""
    return ViewSource(source, traits=traits.over(traits_of(source)))


def north_up(source: Source) -> Source:
    """Return a source whose rows run southwards and whose columns run eastwards.

    Files stored bottom-up or mirrored say so in their transform; readers that ignore it show them
    upside down. The view turns rows and columns, transform and pixels together.
    """
    a, _, _, _, e, _ = source.grid.transform
    return source if a > 0 > e else NorthUpSource(source)


class NorthUpSource(ViewSource):
    """The same pixels with the signs of the steps made ``a > 0 > e``.

    Parameters
    ----------
    source
        What is looked at.
    """

    def __init__(self, source: Source) -> None:
        a, b, _, d, e, _ = source.grid.transform
        height, width = source.grid.shape
        self.flips_rows, self.flips_cols = e > 0, a < 0
        corner = (width * self.flips_cols, height * self.flips_rows)
        left, top = source.grid.affine @ corner
        grid = replace(source.grid, transform=(abs(a), b, left, d, -abs(e), top))
        super().__init__(source, grid, traits_of(source).with_notes(self._note()))

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(self._mirror(window))
        return replace(
            data,
            values=self._turn(data.values),
            valid=None if data.valid is None else self._turn(data.valid),
            scale=None if data.scale is None else self._turn(data.scale),
        )

    def read_layer(self, name: str, window: Window) -> NDArray[Any]:
        """Read a window of a layer; see `read_layers`."""
        return read_layer(self.source, name, self._mirror(window))[self._turned]

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        return occupies(self.source, self._mirror(window))

    def _mirror(self, window: Window) -> Window:
        height, width = self.grid.shape
        row = height - window.row - window.height if self.flips_rows else window.row
        col = width - window.col - window.width if self.flips_cols else window.col
        return Window(row, col, window.height, window.width)

    def _turn[Scalar: np.generic](self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        return np.ascontiguousarray(array[..., *self._turned])

    @property
    def _turned(self) -> tuple[slice, slice]:
        rows, cols = (-1 if flips else 1 for flips in (self.flips_rows, self.flips_cols))
        return slice(None, None, rows), slice(None, None, cols)

    def _note(self) -> str:
        turned = [
            *(["rows ran from south to north"] if self.flips_rows else []),
            *(["columns ran from east to west"] if self.flips_cols else []),
        ]
        return f"{' and '.join(turned)} in the source; the store is north-up"


def resample_nearest(source: Source, base: Grid) -> Source:
    """Return a source on the pixels of `base`, over the source's own extent."""
    return NearestSource(source, _extent_on(source.grid, base))


class NearestSource(ViewSource):
    """Every pixel takes the vector of the source's pixel that its centre lies in.

    Parameters
    ----------
    source
        A north-up source.
    grid
        A north-up grid in the same CRS.
    """

    def __init__(self, source: Source, grid: Grid) -> None:
        note = f"{source.info[0].uri}: resampled to the mosaic's grid by nearest neighbour"
        super().__init__(source, grid, traits_of(source).with_notes(note))
        self.layers = ()  # `MosaicSource` tells of them
        rows, cols = source.grid.rows_cols(grid.x, grid.y)
        self._rows, self._cols = (np.floor(at).astype(np.int64) for at in (rows, cols))

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        height, width = self.source.grid.shape
        row_slice, col_slice = window.slices
        rows, cols = self._rows[row_slice], self._cols[col_slice]
        inside = ((rows >= 0) & (rows < height))[:, np.newaxis] & (cols >= 0) & (cols < width)
        if not inside.any():
            return SourceData(np.zeros((self.dimension, *window.shape), np.float32), inside)
        rows, cols = np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)
        top, left = int(rows[0]), int(cols[0])
        needed = Window(top, left, int(rows[-1]) - top + 1, int(cols[-1]) - left + 1)
        data = self.source.read(needed).decode()
        picked = np.ix_(rows - top, cols - left)
        valid = inside if data.valid is None else inside & data.valid[picked]
        return SourceData(data.values[:, *picked], valid)

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        row_slice, col_slice = window.slices
        rows, cols = self._rows[row_slice], self._cols[col_slice]
        needed = Window(
            int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1
        ).intersection(self.source.grid.window)
        return needed is not None and occupies(self.source, needed)


def _extent_on(grid: Grid, base: Grid) -> Grid:
    """Return the pixels of `base` whose centres lie within `grid`."""
    xmin, ymin, xmax, ymax = grid.bbox
    rows, cols = base.rows_cols([xmin, xmax], [ymax, ymin])
    left, top = math.ceil(cols[0] - 0.5), math.ceil(rows[0] - 0.5)
    right, bottom = math.floor(cols[1] + 0.5), math.floor(rows[1] + 0.5)
    return base.part(Window(top, left, max(bottom - top, 1), max(right - left, 1)))


class OrderedSource(ViewSource):
    """The same bands in another order, or under other names.

    Parameters
    ----------
    source
        What is looked at.
    order
        Which band of the source stands at each place.
    names
        Names of the bands in that order.
    notes
        What to tell of it.
    """

    def __init__(
        self, source: Source, order: Sequence[int], names: BandNames, notes: Sequence[str] = ()
    ) -> None:
        super().__init__(source, traits=traits_of(source).with_notes(*notes))
        self.band_names = names
        self._order = None if list(order) == sorted(order) else list(order)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(window)
        if self._order is None:
            return data
        scale = data.scale
        if scale is not None and scale.ndim == data.values.ndim:
            scale = scale[self._order]
        return replace(data, values=data.values[self._order], scale=scale)


def reorder_bands(source: Source, wanted: BandNames, whose: str) -> Source:
    """Return a source with its bands in the order of other names.

    Parameters
    ----------
    source
        Vectors as long as `wanted`.
    wanted
        Names of the bands, in order; all None where nothing is known of them.
    whose
        What has these names, for messages.

    Raises
    ------
    SourceError
        If the bands have names that say they are others.
    """
    own = names_of(source)
    if own == wanted or not any(wanted):
        return source
    order = positions(own, wanted)
    if order is None:
        raise SourceError(
            f"{source.name}: bands {list_names(own)}; but {whose}: bands {list_names(wanted)}; "
            "expected the same bands, in any order; choose the same bands of both (gdal_translate "
            "-b), name them alike if they are the same, or convert them to stores of their own"
        )
    return OrderedSource(source, order, wanted, [_note(own, wanted, order)])


def reorder_alike(sources: Sequence[Source]) -> list[Source]:
    """Return sources with the same bands in the same order, where their names tell.

    The order is that of the names which sort first, so that it does not depend on which source
    comes first.

    Raises
    ------
    SourceError
        If the names say that some have other bands.
    """
    known = {names_of(source): source.name for source in sources}
    complete = [names for names in known if tell_bands_apart(names)]
    named = complete or [names for names in known if any(names)]
    if not named:
        return list(sources)
    wanted = min(named, key=lambda names: [natural_order(name or "") for name in names])
    return [reorder_bands(source, wanted, known[wanted]) for source in sources]


def _note(own: BandNames, wanted: BandNames, order: Sequence[int]) -> str:
    if not any(own):
        return f"bands without names are taken for {list_names(wanted)}, in the order they stand in"
    if list(order) != sorted(order):
        return f"bands {list_names(own)} were reordered by name to {list_names(wanted)}"
    return f"bands {list_names(own)} are taken for {list_names(wanted)}"
