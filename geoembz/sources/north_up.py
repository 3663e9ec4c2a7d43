"""A source seen with rows from north to south and columns from west to east."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.sources.base import Source, SourceData, occupies, traits_of
from geoembz.sources.views import ViewSource


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
        a, b, c, d, e, f = source.grid.transform
        height, width = source.grid.shape
        self.flips_rows, self.flips_cols = e > 0, a < 0
        left = c + a * width if self.flips_cols else c
        top = f + e * height if self.flips_rows else f
        grid = replace(source.grid, transform=(abs(a), b, left, d, -abs(e), top))
        traits = traits_of(source)
        super().__init__(source, grid, replace(traits, notes=(*traits.notes, self._note())))

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(self._mirrored(window))
        return replace(
            data,
            values=self._turn(data.values),
            valid=None if data.valid is None else self._turn(data.valid),
            scale=None if data.scale is None else self._turn(data.scale),
        )

    def occupies(self, window: Window) -> bool:
        """Whether a window can hold a valid pixel."""
        return occupies(self.source, self._mirrored(window))

    def _mirrored(self, window: Window) -> Window:
        height, width = self.grid.shape
        row = height - window.row - window.height if self.flips_rows else window.row
        col = width - window.col - window.width if self.flips_cols else window.col
        return Window(row, col, window.height, window.width)

    def _turn[Scalar: np.generic](self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        rows = slice(None, None, -1 if self.flips_rows else 1)
        cols = slice(None, None, -1 if self.flips_cols else 1)
        return np.ascontiguousarray(array[..., rows, cols])

    def _note(self) -> str:
        turned = [
            *(["rows ran from south to north"] if self.flips_rows else []),
            *(["columns ran from east to west"] if self.flips_cols else []),
        ]
        return f"{' and '.join(turned)} in the source; the store is north-up"
