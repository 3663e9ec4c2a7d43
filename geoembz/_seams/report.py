"""What a check of seams found: the figures, a table, and a map of the borders."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geoembz._geo import BBox, outline
from geoembz._text import aligned
from geoembz._util.output import output_file
from geoembz._util.results import Result

MOST_SHOWN = 10
MOST_LISTED = 1_000
"""Borders that JSON and GeoJSON name, at most, besides the seams: the worst."""


@dataclass(frozen=True)
class BorderStep:
    """The step across one border.

    Parameters
    ----------
    kind
        ``source``: two tiles meet; ``shard``: two stored objects; ``zone``: two UTM zones, along
        a part of their meridian.
    grid, time
        Of a store that has several; None elsewhere.
    sides
        Names of what is on its left (or above) and on its right (below).
    bbox
        ``(xmin, ymin, xmax, ymax)`` in the CRS of the grid, or of a zone's border in longitude and
        latitude; of no width or no height.
    pairs
        Pairs of valid pixels across it.
    effect
        Size of the step, in root mean square steps between neighbouring pixels inside the tiles:
        `offset` or `roughness`, whichever is rarer inside.
    offset
        Length of the mean step, without what the inside has.
    roughness
        Root mean square of what steps are longer than inside, whatever their direction.
    p, p_adjusted
        Share of the cuts inside that have as much; the same, corrected for the number of borders.
    is_seam
        Whether `p_adjusted` is at most 0.01 and `effect` at least the limit.
    """

    kind: str
    grid: str | None
    time: str | None
    sides: tuple[str, str]
    bbox: BBox
    pairs: int
    effect: float
    offset: float
    roughness: float
    p: float
    p_adjusted: float
    is_seam: bool
    crs_wkt: str = field(repr=False, default="")

    @property
    def where(self) -> str:
        """What it lies between, in words."""
        return " and ".join(self.sides) + _of(self.grid, self.time)

    @property
    def rank(self) -> tuple[bool, float, float]:
        """What sorts the worst first."""
        return not self.is_seam, -self.effect if self.p_adjusted < 1 else 0.0, self.p


@dataclass(frozen=True)
class OutlierTile:
    """A tile that is offset from the others.

    Parameters
    ----------
    name
        Of the source, or of several that overlap.
    grid, time
        As in `BorderStep`.
    bbox
        ``(xmin, ymin, xmax, ymax)`` in the CRS of the grid.
    offset
        From the median tile, in root mean square steps of the inside.
    """

    name: str
    grid: str | None
    time: str | None
    bbox: BBox
    offset: float
    crs_wkt: str = field(repr=False, default="")


@dataclass(frozen=True)
class ModelWindows:
    """Steps at equal distances inside tiles: a model that looked at a scene in windows.

    Parameters
    ----------
    axis
        ``x``: between columns; ``y``: between rows.
    period
        Side of a window, in pixels.
    step
        Mean step between two, in root mean square steps of the inside.
    grid, time
        As in `BorderStep`.
    """

    axis: str
    period: int
    step: float
    grid: str | None
    time: str | None


@dataclass(frozen=True)
class SeamReport(Result):
    """The steps across all borders of a store, or of tiles.

    Parameters
    ----------
    name
        What was checked.
    limit
        Effect from which a border is a seam.
    checked
        Borders judged, by kind.
    borders
        All of them, the worst first.
    tiles
        Those that stand out.
    windows
        Of the model; they are told, and are no borders.
    notes
        What else there is to know.
    """

    name: str
    limit: float
    checked: dict[str, int]
    borders: tuple[BorderStep, ...]
    tiles: tuple[OutlierTile, ...]
    windows: tuple[ModelWindows, ...]
    notes: tuple[str, ...]

    @property
    def seams(self) -> tuple[BorderStep, ...]:
        """The borders that are seams, the worst first."""
        return tuple(border for border in self.borders if border.is_seam)

    @property
    def listed(self) -> tuple[BorderStep, ...]:
        """The seams, and the worst of the other borders."""
        return self.borders[: max(len(self.seams), MOST_LISTED)]

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values: the seams and the worst of the other borders."""
        return {
            "name": self.name,
            "limit": self.limit,
            "checked": self.checked,
            "n_seams": len(self.seams),
            "borders": [_plain(border) for border in self.listed],
            "tiles": [_plain(tile) for tile in self.tiles],
            "windows": [asdict(one) for one in self.windows],
            "notes": list(self.notes),
        }

    def to_table(self) -> str:
        """Return the result as lines of text."""
        counts = [f"{count:,} of {kind}s" for kind, count in self.checked.items()]
        head = aligned(
            [
                ("checked", self.name),
                ("borders", ", ".join(counts) or "none"),
                ("seams", f"{len(self.seams):,} of {self.limit:g} or more"),
            ]
        )
        parts = [head, self._seam_table(), self._tile_table()]
        parts += ["\n".join(f"note: {note}" for note in self.notes)]
        return "\n\n".join(part for part in parts if part)

    def _seam_table(self) -> str:
        if not self.seams:
            return ""
        rows: list[tuple[str, ...]]
        rows = [("effect", "offset", "roughness", "p", "adjusted", "between")]
        for border in self.seams[:MOST_SHOWN]:
            figures = (border.effect, border.offset, border.roughness)
            shares = (f"{value:.2g}" for value in (border.p, border.p_adjusted))
            rows.append((*(f"{value:.2f}" for value in figures), *shares, border.where))
        more = len(self.seams) - MOST_SHOWN
        return aligned(rows) + (f"\nand {more:,} more" if more > 0 else "")

    def _tile_table(self) -> str:
        if not self.tiles:
            return ""
        rows = [("offset", "tile that stands out")]
        rows += [
            (f"{tile.offset:.2f}", tile.name + _of(tile.grid, tile.time))
            for tile in self.tiles[:MOST_SHOWN]
        ]
        more = len(self.tiles) - MOST_SHOWN
        return aligned(rows) + (f"\nand {more:,} more" if more > 0 else "")


def _plain(one: BorderStep | OutlierTile) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "crs_wkt"}


def _of(grid: str | None, time: str | None) -> str:
    known = [part for part in (grid, time) if part is not None]
    return f" ({', '.join(known)})" if known else ""


def write_geojson(report: SeamReport, target: Path) -> None:
    """Write seams and other bad borders as lines, and tiles that stand out as polygons.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    features = [feature for one in report.listed for feature in _features(one)]
    features += [feature for tile in report.tiles for feature in _features(tile)]
    document = {"type": "FeatureCollection", "features": features}
    with output_file(target) as partial:
        partial.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")


def _features(one: BorderStep | OutlierTile) -> Iterable[dict[str, Any]]:
    """Yield a feature for each part: two, where the antimeridian cuts it."""
    import shapely

    properties = _plain(one)
    properties["kind"] = properties.get("kind", "tile")
    if isinstance(properties.get("sides"), Sequence):
        properties["before"], properties["behind"] = properties.pop("sides")
    properties.pop("bbox")
    for part in outline(one.crs_wkt, one.bbox):
        geometry = shapely.geometry.mapping(part)
        yield {"type": "Feature", "geometry": geometry, "properties": properties}
