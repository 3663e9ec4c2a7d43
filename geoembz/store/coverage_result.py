"""What a look at the coverage of a store found, as a table, as JSON and on a map."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from geoembz._geo import outline
from geoembz._text import aligned
from geoembz._util.results import Result

type Status = Literal["written", "empty", "missing"]

STATUSES: tuple[Status, ...] = ("written", "empty", "missing")

_MOST_NAMED = 8
"""Missing shards that a table names."""


@dataclass(frozen=True)
class ShardCoverage:
    """One shard at one date.

    Parameters
    ----------
    grid
        Name of its grid, of a store that has several.
    time
        Its date; None where there is no time axis.
    row, col
        Its place among the shards, as in the keys of its objects.
    status
        ``written``; ``empty``, where it holds no embedding; ``missing``, where it was stored and an
        object of it is not there.
    pixels, valid_pixels
        Its pixels, and those that hold an embedding; None where that was not read.
    bbox
        ``(xmin, ymin, xmax, ymax)`` in the CRS of its grid.
    """

    grid: str | None
    time: str | None
    row: int
    col: int
    status: Status
    pixels: int
    valid_pixels: int | None
    bbox: tuple[float, float, float, float]


@dataclass(frozen=True)
class CoverageReport(Result):
    """Which shards of a store are written.

    Parameters
    ----------
    store
        Where it is.
    shards
        All of all grids and dates.
    systems
        CRS of each grid, by its name, None being that of a store of one: WKT.
    notes
        What could not be found out.
    """

    store: str
    shards: tuple[ShardCoverage, ...]
    systems: dict[str | None, str]
    notes: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """Return how many shards are ``written``, ``empty`` or ``missing``."""
        return sum(shard.status == status for shard in self.shards)

    def to_json(self) -> dict[str, Any]:
        """Return counts and shards as JSON values."""
        return {
            "store": self.store,
            **{status: self.count(status) for status in STATUSES},
            "notes": list(self.notes),
            "shards": [asdict(shard) for shard in self.shards],
        }

    def to_table(self) -> str:
        """Return a line for each grid and date, and the names of missing shards."""
        has_grid = any(grid is not None for grid in self.systems)
        has_time = any(shard.time is not None for shard in self.shards)
        names = [*(["grid"] if has_grid else []), *(["time"] if has_time else [])]
        rows = [(*names, "shards", *STATUSES, "valid")]
        for (grid, time), members in self._groups().items():
            place = [*([grid or ""] if has_grid else []), *([time or ""] if has_time else [])]
            counts = [sum(one.status == status for one in members) for status in STATUSES]
            numbers = [f"{count:,}" for count in (len(members), *counts)]
            rows.append((*place, *numbers, _share(members)))
        lines = [self.store, "", aligned(rows), *(f"note: {note}" for note in self.notes)]
        missing = [shard for shard in self.shards if shard.status == "missing"]
        lines += [_named(shard) for shard in missing[:_MOST_NAMED]]
        if len(missing) > _MOST_NAMED:
            lines.append(f"and {len(missing) - _MOST_NAMED:,} more are missing")
        return "\n".join(lines)

    def to_geojson(self) -> dict[str, Any]:
        """Return the outline of each shard as a feature in longitude and latitude (RFC 7946).

        One that lies across the antimeridian has two features.
        """
        features = [feature for shard in self.shards for feature in self._features(shard)]
        return {"type": "FeatureCollection", "features": features}

    def _features(self, shard: ShardCoverage) -> Iterator[dict[str, Any]]:
        import shapely

        properties = {name: value for name, value in asdict(shard).items() if name != "bbox"}
        for part in outline(self.systems[shard.grid], shard.bbox):
            geometry = shapely.geometry.mapping(part)
            yield {"type": "Feature", "geometry": geometry, "properties": properties}

    def _groups(self) -> dict[tuple[str | None, str | None], list[ShardCoverage]]:
        groups: dict[tuple[str | None, str | None], list[ShardCoverage]] = {}
        for shard in self.shards:
            groups.setdefault((shard.grid, shard.time), []).append(shard)
        return groups


def _share(shards: list[ShardCoverage]) -> str:
    """Return the share of valid pixels of shards, or that it was not read."""
    present = [shard for shard in shards if shard.status != "missing"]
    known = [shard.valid_pixels for shard in present if shard.valid_pixels is not None]
    if len(known) < len(present) or not known:
        return "not read"
    return f"{sum(known) / sum(shard.pixels for shard in present):.1%}"


def _named(shard: ShardCoverage) -> str:
    place = [part for part in (shard.grid, shard.time) if part is not None]
    where = f" of {', '.join(place)}" if place else ""
    return f"missing: shard row {shard.row}, column {shard.col}{where}"
