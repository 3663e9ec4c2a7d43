"""Whether grids share their pixels, and the grid that covers several of them."""

from collections.abc import Sequence

from geoembz._geo import parsed, same_crs
from geoembz._geo.grid import TOLERANCE_PIXELS, Grid
from geoembz.errors import SourceError


def offset(base: Grid, tile: Grid) -> tuple[int, int] | None:
    """Return row and column of a tile's corner on another grid; None where pixels differ.

    Both are north-up, in one CRS.

    Examples
    --------
    >>> from dataclasses import replace
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


def same_pixels(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same pixels, as many of them and in one CRS."""
    return (
        one.shape == other.shape
        and offset(one, other) == (0, 0)
        and same_crs(one.crs_wkt, other.crs_wkt)
    )


def refuse_misaligned(name: str, tile: Grid, base_name: str, base: Grid) -> None:
    """Raise with both grids printed where a tile's CRS or pixels are not another grid's.

    Raises
    ------
    SourceError
        If they are not.
    """
    if not same_crs(tile.crs_wkt, base.crs_wkt):
        raise SourceError(
            f"{name}: {describe_grid(tile)}; its CRS is not that of {base_name}: "
            f"{describe_grid(base)}; expected tiles of one CRS; convert them to grids of their own"
        )
    if offset(base, tile) is None:
        raise SourceError(
            f"{name}: {describe_grid(tile)}; its pixels are not those of {base_name}: "
            f"{describe_grid(base)}; expected tiles of one grid; warp it, or pass "
            "--resample nearest"
        )


def covering(grids: Sequence[Grid]) -> Grid:
    """Return the smallest grid, aligned to the first, that covers all of these aligned grids.

    Its CRS is spelled as `best_named` says, whatever the order.
    """
    base = grids[0]
    places = [offset(base, grid) or (0, 0) for grid in grids]
    top, left = min(row for row, _ in places), min(col for _, col in places)
    bottom = max(row + grid.shape[0] for (row, _), grid in zip(places, grids, strict=True))
    right = max(col + grid.shape[1] for (_, col), grid in zip(places, grids, strict=True))
    a, b, c, d, e, f = base.transform
    transform = (a, b, c + left * a, d, e, f + top * e)
    shape, named = (bottom - top, right - left), best_named(grids)
    return Grid(named.crs_wkt, named.crs_code, transform, shape)


def best_named(grids: Sequence[Grid]) -> Grid:
    """Return the grid whose CRS is spelled best: one with a code, then the first of the texts."""
    return min(grids, key=lambda grid: (grid.crs_code is None, grid.crs_code or "", grid.crs_wkt))


def describe_grid(grid: Grid) -> str:
    """Return CRS, origin, pixel and shape of a grid as text."""
    a, _, c, _, e, f = grid.transform
    return (
        f"{grid.crs_code or parsed(grid.crs_wkt).name}, origin ({c:.12g}, {f:.12g}), "
        f"pixel ({a:.12g}, {e:.12g}), "
        f"{grid.shape[0]} x {grid.shape[1]} pixels"
    )
