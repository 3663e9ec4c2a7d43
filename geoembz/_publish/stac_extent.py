"""Where a store's embeddings are, and of when, for STAC.

Outlines are GeoJSON in longitude and latitude, cut at the antimeridian (RFC 7946); `geoembz._geo`
knows the sphere. STAC wants a time of every item: it is what the user says, that of the time axis
or of an earlier item; where nothing is known it is that of publication, and the item says so.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from geoembz._geo import BBox, outline, span_of
from geoembz._publish.store_metadata import StoreMetadata
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
    return Footprint(_round(mapping(whole)), (west, south, east, north))


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


def _round(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a geometry as JSON values, exterior rings counterclockwise."""

    def plain(coordinates: Any) -> Any:
        if isinstance(coordinates, float):
            return round(coordinates, _DECIMALS)
        return [plain(part) for part in coordinates]

    return {"type": geometry["type"], "coordinates": plain(geometry["coordinates"])}


OF_PUBLICATION = "The time given is that of publication."
_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")
_LAST_SECOND = time(23, 59, 59)


@dataclass(frozen=True)
class ItemTime:
    """The time of an item.

    Parameters
    ----------
    start, end
        First and last moment, UTC; equal where only one moment is known.
    reason
        Where it comes from, in words.
    is_of_publication
        Whether it says nothing about the embeddings.
    """

    start: datetime
    end: datetime
    reason: str
    is_of_publication: bool = False

    @staticmethod
    def of(
        metadata: StoreMetadata,
        interval: tuple[datetime, datetime] | None,
        earlier: Mapping[str, Any] | None,
    ) -> "ItemTime":
        """Choose the time of a store's item.

        An earlier item's time is kept unless the store has dates outside it: then some were
        appended since.

        Parameters
        ----------
        metadata
            What the store says.
        interval
            What the user says.
        earlier
            The item that describes the same store, if there is one.
        """
        if interval is not None:
            return ItemTime(*interval, "as given")
        axis, kept = _of_axis(metadata), _of_item(earlier or {})
        if axis is not None and not (kept is not None and kept.contains(axis)):
            return axis
        if kept is not None:
            return kept
        now = datetime.now(UTC).replace(microsecond=0)
        return ItemTime(now, now, "that of publication: the store has no time axis", True)

    def contains(self, other: "ItemTime") -> bool:
        """Whether another time lies inside this one."""
        return self.start <= other.start and self.end >= other.end

    def properties(self) -> dict[str, Any]:
        """Return `description`, where the time says nothing about the embeddings."""
        return {"description": OF_PUBLICATION} if self.is_of_publication else {}

    def __str__(self) -> str:
        ends = [self.start] if self.start == self.end else [self.start, self.end]
        return f"{' to '.join(f'{end:%Y-%m-%dT%H:%M:%SZ}' for end in ends)}, {self.reason}"


def checked_interval(
    start: datetime | str | None, end: datetime | str | None
) -> tuple[datetime, datetime] | None:
    """Return both ends of a time in UTC, or None; refuse one end alone and an end before its start.

    A year, a month or a day is taken whole: it starts with its first second and ends with its last.

    Examples
    --------
    >>> checked_interval(None, None)
    >>> [str(moment) for moment in checked_interval("2024", "2024-12-31")]
    ['2024-01-01 00:00:00+00:00', '2024-12-31 23:59:59+00:00']
    """
    if start is None and end is None:
        return None
    first = None if start is None else _ends("start", start)[0]
    last = None if end is None else _ends("end", end)[1]
    if first is None or last is None or last < first:
        raise InvalidConfigError(
            f"stac: from {start} to {end}; expected both --start and --end, in this order"
        )
    return first, last


def _ends(name: str, moment: datetime | str) -> tuple[datetime, datetime]:
    """Return the first and the last second of a year, month or day; an exact time twice."""
    if isinstance(moment, str):
        if match := _DATE.fullmatch(moment.strip()):
            try:
                return _span(
                    int(match[1]),
                    *(None if part is None else int(part) for part in match.groups()[1:]),
                )
            except ValueError:
                match = None
        try:
            moment = datetime.fromisoformat(moment.strip())
        except ValueError as error:
            raise InvalidConfigError(
                f"stac: --{name} {moment!r}; expected YYYY, YYYY-MM, YYYY-MM-DD or "
                "YYYY-MM-DDTHH:MM:SS"
            ) from error
    exact = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return exact, exact


def _span(year: int, month: int | None = None, day: int | None = None) -> tuple[datetime, datetime]:
    first = date(year, month or 1, day or 1)
    if day is not None:
        last = first
    elif month is not None:
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    else:
        last = first.replace(month=12, day=31)
    return (
        datetime.combine(first, time(), UTC),
        datetime.combine(last, _LAST_SECOND, UTC),
    )


def _of_axis(metadata: StoreMetadata) -> ItemTime | None:
    """Return the time from the first date of all grids to the end of the last's period.

    The axis holds the first day of each period: years, where all are 1 January; months, where all
    are the first of one; days otherwise.
    """
    dates = sorted(_dates(metadata))
    if not dates:
        return None
    if all((day.month, day.day) == (1, 1) for day in dates):
        last = _span(dates[-1].year)
    elif all(day.day == 1 for day in dates):
        last = _span(dates[-1].year, dates[-1].month)
    else:
        last = _span(dates[-1].year, dates[-1].month, dates[-1].day)
    start = datetime.combine(dates[0], time(), UTC)
    return ItemTime(start, last[1], f"from the time axis ({', '.join(map(str, _few(dates)))})")


def _few(dates: Sequence[date]) -> list[object]:
    return [*dates] if len(dates) < 5 else [dates[0], "…", dates[-1]]


def _dates(metadata: StoreMetadata) -> set[date]:
    found = set()
    for attributes in (metadata.root, *metadata.grids.values()):
        try:
            entries = attributes.get("geoembz:times") or []
            found |= {date.fromisoformat(entry["time"]) for entry in entries}
        except (TypeError, KeyError, ValueError) as error:
            raise StoreError(
                f"stac: {metadata.url}: geoembz:times is malformed ({error!r}); the store is "
                "damaged: fetch it again"
            ) from error
    return found


def _of_item(item: Mapping[str, Any]) -> ItemTime | None:
    """Return the time of an earlier item; None where it has none that can be read."""
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        return None
    ends = [properties.get("start_datetime"), properties.get("end_datetime")]
    if ends[0] is None:
        ends = [properties.get("datetime")] * 2
    try:
        start, end = (_ends("end", datetime.fromisoformat(str(moment)))[0] for moment in ends)
    except ValueError:
        return None
    is_of_publication = properties.get("description") == OF_PUBLICATION
    of_what = "the first publication" if is_of_publication else "the item that was there"
    return ItemTime(start, end, f"as in {of_what}", is_of_publication)
