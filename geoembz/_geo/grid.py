"""Pixel grids, windows on them, and their division into blocks.

Knows only arithmetic: a CRS is an opaque string here. `Affine` coefficients are in the order
``(a, b, c, d, e, f)``: ``x = a*col + b*row + c`` and ``y = d*col + e*row + f``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

type Transform = tuple[float, float, float, float, float, float]

TOLERANCE_PIXELS = 0.01
"""Largest distance of corresponding pixel corners, in pixels: rounding, not another grid."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A rectangle of pixels: rows ``[row, row + height)``, columns ``[col, col + width)``."""

    row: int
    col: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.height, self.width

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices that cut this window out of a whole array."""
        return (
            slice(self.row, self.row + self.height),
            slice(self.col, self.col + self.width),
        )

    def relative_to(self, outer: "Window") -> "Window":
        """Return this window with `outer`'s corner as the origin."""
        return Window(self.row - outer.row, self.col - outer.col, self.height, self.width)

    def intersection(self, other: "Window") -> "Window | None":
        """Return the common part of two windows, or None where they do not meet."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        bottom = min(self.row + self.height, other.row + other.height)
        right = min(self.col + self.width, other.col + other.width)
        if bottom <= row or right <= col:
            return None
        return Window(row, col, bottom - row, right - col)


@dataclass(frozen=True)
class Grid:
    """Where a raster's pixels lie.

    Parameters
    ----------
    crs_wkt
        Coordinate reference system as WKT; empty where the source has none.
    crs_code
        ``AUTHORITY:CODE`` where the CRS has one, e.g. ``EPSG:32633``; None otherwise.
    transform
        Affine coefficients ``(a, b, c, d, e, f)`` from pixel corners to CRS units.
    shape
        Height and width, in pixels.
    """

    crs_wkt: str
    crs_code: str | None
    transform: Transform
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        """Refuse a grid without pixels or with a transform that maps them onto each other."""
        if min(self.shape) < 1:
            raise InvalidConfigError(f"grid: shape {self.shape}; expected at least 1 x 1 pixel")
        a, b, _, d, e, _ = self.transform
        if not all(map(math.isfinite, self.transform)) or a * e - b * d == 0:
            raise InvalidConfigError(
                f"grid: transform {self.transform} is not invertible; "
                "expected (a, b, c, d, e, f) with finite numbers and a*e != b*d"
            )
        if not all(map(math.isfinite, self.bbox)):
            raise InvalidConfigError(
                f"grid: transform {self.transform} puts a corner of {self.shape} pixels beyond all "
                "numbers; expected coordinates that float64 can hold"
            )

    @property
    def is_rectilinear(self) -> bool:
        """Whether rows and columns run along the axes, so that 1-D `x` and `y` exist."""
        return self.transform[1] == 0 and self.transform[3] == 0

    def straighten(self) -> "Grid":
        """Return the grid without a rotation so small that it moves no corner: rounding.

        Examples
        --------
        >>> turned = Grid("", None, (10.0, 1e-15, 0.0, 1e-15, -10.0, 0.0), (24, 24))
        >>> turned.is_rectilinear, turned.straighten().is_rectilinear
        (False, True)
        """
        a, b, c, d, e, f = self.transform
        height, width = self.shape
        across, down = abs(b) * height, abs(d) * width  # how far the opposite edge is moved
        if across > TOLERANCE_PIXELS * abs(a) or down > TOLERANCE_PIXELS * abs(e):
            return self
        return replace(self, transform=(a, 0.0, c, 0.0, e, f))

    @cached_property
    def x(self) -> NDArray[np.float64]:
        """Column centres, shape ``(width,)``, in CRS units."""
        a, b, c, *_ = self.transform
        return a * np.arange(0.5, self.shape[1], dtype=np.float64) + (b * 0.5 + c)

    @cached_property
    def y(self) -> NDArray[np.float64]:
        """Row centres, shape ``(height,)``, in CRS units."""
        *_, d, e, f = self.transform
        return e * np.arange(0.5, self.shape[0], dtype=np.float64) + (d * 0.5 + f)

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """Bounding box of all pixel corners: ``(xmin, ymin, xmax, ymax)`` in CRS units."""
        a, b, c, d, e, f = self.transform
        height, width = self.shape
        xs = [c + a * col + b * row for col in (0, width) for row in (0, height)]
        ys = [f + d * col + e * row for col in (0, width) for row in (0, height)]
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def window(self) -> Window:
        """The whole grid as a window."""
        return Window(0, 0, *self.shape)

    @property
    def affine(self) -> Affine:
        """The transform, as libraries take it."""
        return Affine(*self.transform)

    def part(self, window: Window) -> "Grid":
        """Return the grid of a window of pixels, which may reach beyond the grid itself.

        Examples
        --------
        >>> grid = Grid("", None, (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (24, 24))
        >>> grid.part(Window(2, 1, 3, 4)).bbox
        (10.0, -50.0, 50.0, -20.0)
        """
        corner = self.affine @ Affine.translation(window.col, window.row)
        a, b, c, d, e, f = corner[:6]
        return replace(self, transform=(a, b, c, d, e, f), shape=window.shape)

    def rows_cols(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return where coordinates lie on a rectilinear grid, in pixels from its first corner.

        Whole numbers are edges, the middle of the first pixel is 0.5. Not by the inverse transform,
        whose rounding differs: edges must stay whole.

        Examples
        --------
        >>> grid = Grid("", None, (10.0, 0.0, 500.0, 0.0, -10.0, 0.0), (24, 24))
        >>> [float(value) for value in grid.rows_cols(505.0, -20.0)]
        [2.0, 0.5]
        """
        a, _, c, _, e, f = self.transform
        return (np.asarray(y) - f) / e, (np.asarray(x) - c) / a


@dataclass(frozen=True, slots=True)
class Blocks(Sequence[Window]):
    """The blocks of a raster, row by row, as `split` cuts them, none made before it is asked for.

    Parameters
    ----------
    shape
        Height and width of the raster, in pixels.
    block_shape
        Height and width of a block.

    Examples
    --------
    >>> blocks = Blocks((10**9, 10**9), (512, 512))
    >>> len(blocks), blocks[-1].shape
    (3814697265625, (512, 512))
    """

    shape: tuple[int, int]
    block_shape: tuple[int, int]

    def __len__(self) -> int:
        """Return how many there are."""
        return self._rows * self._cols

    def __iter__(self) -> Iterator[Window]:
        """Go through them in order."""
        return split(Window(0, 0, *self.shape), self.block_shape)

    @overload
    def __getitem__(self, index: int) -> Window: ...

    @overload
    def __getitem__(self, index: slice) -> list[Window]: ...

    def __getitem__(self, index: int | slice) -> Window | list[Window]:
        """Return a block by its number, or several."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        row, col = divmod(range(len(self))[index], self._cols)
        height, width = self.block_shape
        top, left = row * height, col * width
        bottom, right = min(top + height, self.shape[0]), min(left + width, self.shape[1])
        return Window(top, left, bottom - top, right - left)

    @property
    def _rows(self) -> int:
        return -(-self.shape[0] // self.block_shape[0])

    @property
    def _cols(self) -> int:
        return -(-self.shape[1] // self.block_shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Picked[Item](Sequence[Item]):
    items: Sequence[Item]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self.items[number] for number in self.numbers[index].tolist()]
        return self.items[int(self.numbers[index])]


def pick[Item](items: Sequence[Item], keep: Callable[[Item], bool]) -> Sequence[Item]:
    """Return those of many items that are to be kept, none made before it is asked for.

    Examples
    --------
    >>> blocks = pick(Blocks((4, 6), (2, 2)), lambda block: block.col != 2)
    >>> len(blocks), blocks[1]
    (4, Window(row=0, col=4, height=2, width=2))
    """
    kept = (number for number, item in enumerate(items) if keep(item))
    numbers = np.fromiter(kept, dtype=np.int64)
    return items if len(numbers) == len(items) else _Picked(items, numbers)


def split(window: Window, block_shape: tuple[int, int]) -> Iterator[Window]:
    """Cut a window into blocks aligned to multiples of `block_shape`, row by row.

    The alignment is absolute, so that the blocks of neighbouring windows never overlap a block of
    the source twice when `block_shape` is a multiple of the source's own.

    Examples
    --------
    >>> [block.shape for block in split(Window(0, 2, 3, 4), (2, 4))]
    [(2, 2), (2, 2), (1, 2), (1, 2)]
    """
    height, width = block_shape
    for top in range(window.row // height * height, window.row + window.height, height):
        for left in range(window.col // width * width, window.col + window.width, width):
            block = Window(top, left, height, width).intersection(window)
            if block is not None:
                yield block
