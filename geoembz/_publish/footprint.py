"""Where a store's grids lie on Earth, as GeoJSON in longitude and latitude.

Knows grid attributes; `geoembz._geo` knows the sphere. What crosses the antimeridian is cut
there (RFC 7946).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from geoembz._geo import BBox, outline, span_of
from geoembz.errors import InvalidConfigError, StoreError

_DECIMALS = 7


@dataclass(frozen=True)
class Footprint:
    """A GeoJSON geometry and its bounding box, west, south, east, north.

    West is larger than east where the box crosses the antimeridian.
    """

    geometry: dict[str, Any]
    bbox: BBox


def footprint(grids: Iterable[Mapping[str, Any]]) -> Footprint:
    """Return where grids lie.

    Parameters
    ----------
    grids
        Attributes of each, with `spatial:bbox` and one of `proj:wkt2`, `proj:code`,
        `proj:projjson`.

    Raises
    ------
    StoreError
        If a CRS or a box cannot be understood.
    """
    from shapely import orient_polygons, union_all
    from shapely.geometry import mapping

    parts = [polygon for grid in grids for polygon in _polygons(grid)]
    whole = orient_polygons(parts[0] if len(parts) == 1 else union_all(parts))
    west, south, east, north = (round(value, _DECIMALS) for value in span_of(parts))
    return Footprint(_rounded(mapping(whole)), (west, south, east, north))


def _polygons(grid: Mapping[str, Any]) -> list[Any]:
    crs = grid.get("proj:wkt2") or grid.get("proj:code") or grid.get("proj:projjson")
    try:
        xmin, ymin, xmax, ymax = map(float, grid["spatial:bbox"])
        text = json.dumps(crs) if isinstance(crs, Mapping) else str(crs)
        return outline(text, (xmin, ymin, xmax, ymax))
    except (InvalidConfigError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"stac: a grid with CRS {str(crs)[:60]!r} and spatial:bbox {grid.get('spatial:bbox')} "
            f"has no place on Earth: {error}"
        ) from error


def _rounded(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a geometry as JSON values, exterior rings counterclockwise."""

    def plain(coordinates: Any) -> Any:
        if isinstance(coordinates, float):
            return round(coordinates, _DECIMALS)
        return [plain(part) for part in coordinates]

    return {"type": geometry["type"], "coordinates": plain(geometry["coordinates"])}
