"""The stores of a root of several grids, and which of them inputs go to."""

from collections.abc import Mapping, Sequence

from geoembz._geo import parse_crs, same_crs
from geoembz._objects.tree import ObjectTree
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source
from geoembz.store import StoreReader
from geoembz.store.grids import grid_names


def match_grids(url: str, members: Sequence[str], grids: Mapping[str, Source]) -> dict[str, Source]:
    """Return sources by the stores of a root that lie in their CRS, whatever they are called."""
    systems = {
        name: StoreReader.open(f"{url.rstrip('/')}/{name}").attributes.grid.crs_wkt
        for name in members
    }
    found, unknown = {}, []
    for label, source in grids.items():
        crs = source.grid.crs_wkt
        home = next((name for name in members if same_crs(systems[name], crs)), None)
        if home is None:
            unknown.append(f"{label} ({parse_crs(crs).name})")
        else:
            found[home] = source
    if unknown:
        raise InvalidConfigError(
            f"{url}: holds {', '.join(members)}, but inputs lie in {', '.join(unknown)}; "
            "convert those to a store of their own with --basis"
        )
    return found


def member_names(url: str) -> tuple[str, ...]:
    """Return the names of a root's stores; none where there is one store."""
    document = ObjectTree(url).read_json("zarr.json")
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return grid_names(url, attributes if isinstance(attributes, dict) else {})
