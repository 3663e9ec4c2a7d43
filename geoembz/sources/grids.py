"""Whether grids share their pixels, the grid that covers several, and what to call their CRSs."""

from collections import Counter
from collections.abc import Sequence

from geoembz._geo import datum_label, parsed, same_crs, utm_zone
from geoembz._geo.grid import TOLERANCE_PIXELS, Grid
from geoembz.errors import SourceError
from geoembz.sources.base import Source


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


def grouped(sources: Sequence[Source]) -> dict[str, list[Source]]:
    """Return sources by the name of their CRS, each name for one CRS only.

    Systems are compared first and named afterwards. Where two would have one name (a UTM zone of
    two datums), WGS 84 keeps it, and others add their code or their datum: ``utm16n`` and
    ``utm16n-epsg26716``.
    """
    groups: list[list[Source]] = []
    for source in sources:
        crs = source.grid.crs_wkt
        found = next((group for group in groups if same_crs(group[0].grid.crs_wkt, crs)), None)
        if found is None:
            groups.append([source])
        else:
            found.append(source)
    named = [best_named([source.grid for source in group]) for group in groups]
    return dict(zip(_names(named), groups, strict=True))


def grid_name(source: Source) -> str:
    """Return a name for a source's CRS: ``utm32n``, ``epsg4326`` or ``grid``."""
    return _plain_name(source.grid)


def _plain_name(grid: Grid) -> str:
    zone = utm_zone(grid.crs_wkt)
    if zone is not None:
        return f"utm{zone}"
    return grid.crs_code.replace(":", "").lower() if grid.crs_code else "grid"


def _names(grids: Sequence[Grid]) -> list[str]:
    """Return a name for each of several systems that differ."""
    plain = [_plain_name(grid) for grid in grids]
    shared = Counter(plain)
    names = [
        name if shared[name] == 1 else _long_name(name, grid)
        for name, grid in zip(plain, grids, strict=True)
    ]
    order = sorted(range(len(grids)), key=lambda index: (names[index], grids[index].crs_wkt))
    seen: Counter[str] = Counter()
    for index in order:
        name = names[index]
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f"{name}-{seen[name]}"
    return names


def _long_name(name: str, grid: Grid) -> str:
    datum = datum_label(grid.crs_wkt)
    if datum is None and name != "grid":
        return name
    return f"{name}-{(grid.crs_code or datum or 'wgs84').replace(':', '').lower()}"
