"""Whether grids share their pixels, and the grid that covers several of them."""

from collections.abc import Sequence
from dataclasses import replace

from geoembz.errors import SourceError
from geoembz.grid import Grid

TOLERANCE_PIXELS = 0.01
"""Largest distance of corresponding pixel corners, in pixels: rounding, not another grid."""


def offset(base: Grid, tile: Grid) -> tuple[int, int] | None:
    """Return row and column of a tile's corner on another grid; None where pixels differ.

    Both are north-up, in one CRS.

    Examples
    --------
    >>> base = Grid("", None, (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (4, 4))
    >>> offset(base, replace(base, transform=(10.0, 0.0, 20.0, 0.0, -10.0, -30.0)))
    (3, 2)
    """
    a, _, c, _, e, f = base.transform
    ta, _, tc, _, te, tf = tile.transform
    drift = max(abs(ta - a) / abs(a) * tile.shape[1], abs(te - e) / abs(e) * tile.shape[0])
    rows, cols = (tf - f) / e, (tc - c) / a
    off = max(abs(rows - round(rows)), abs(cols - round(cols)))
    if drift > TOLERANCE_PIXELS or off > TOLERANCE_PIXELS:
        return None
    return round(rows), round(cols)


def refuse_misaligned(name: str, tile: Grid, base_name: str, base: Grid) -> None:
    """Raise with both grids printed where a tile's pixels are not those of another grid.

    Raises
    ------
    SourceError
        If they are not.
    """
    if offset(base, tile) is None:
        raise SourceError(
            f"{name}: {describe_grid(tile)}; its pixels are not those of {base_name}: "
            f"{describe_grid(base)}; expected tiles of one grid; warp it, or pass "
            "--resample nearest"
        )


def covering(grids: Sequence[Grid]) -> Grid:
    """Return the smallest grid, aligned to the first, that covers all of these aligned grids."""
    base = grids[0]
    places = [offset(base, grid) or (0, 0) for grid in grids]
    top, left = min(row for row, _ in places), min(col for _, col in places)
    bottom = max(row + grid.shape[0] for (row, _), grid in zip(places, grids, strict=True))
    right = max(col + grid.shape[1] for (_, col), grid in zip(places, grids, strict=True))
    a, b, c, d, e, f = base.transform
    transform = (a, b, c + left * a, d, e, f + top * e)
    return replace(base, transform=transform, shape=(bottom - top, right - left))


def describe_grid(grid: Grid) -> str:
    """Return CRS, origin, pixel and shape of a grid as text."""
    a, _, c, _, e, f = grid.transform
    return (
        f"{grid.crs_code or 'custom CRS'}, origin ({c:.12g}, {f:.12g}), "
        f"pixel ({a:.12g}, {e:.12g}), "
        f"{grid.shape[0]} x {grid.shape[1]} pixels"
    )
