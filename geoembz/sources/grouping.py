"""Sources by their coordinate reference system: which lie in one, and what to call it."""

from collections import Counter
from collections.abc import Sequence

from geoembz._geo import datum_label, same_crs, utm_zone
from geoembz._geo.grid import Grid
from geoembz.sources.alignment import best_named
from geoembz.sources.base import Source


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
