"""Check the seams of a store or of tiles: find borders, measure, judge, report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from geoembz._convert.inputs import Inputs
from geoembz._geo.geoparquet import CRS84
from geoembz._geo.grid import Grid, Window
from geoembz._seams.borders import MOST_SHARD_BORDERS, Border, Kind
from geoembz._seams.judge import MOST_FALSE, Judgement, Measured, judge, summarise
from geoembz._seams.pixels import Field, open_fields
from geoembz._seams.report import BorderStep, ModelWindows, OutlierTile, SeamReport, write_geojson
from geoembz._seams.steps import measure
from geoembz._seams.survey import REACH, Lattices, Survey, survey
from geoembz._seams.tiles import tile_offsets
from geoembz._seams.zones import line_on_earth
from geoembz._util.progress import Progress
from geoembz._util.threads import check_workers, in_order, worker_count
from geoembz.errors import InvalidConfigError, redact
from geoembz.sources import ReadOptions
from geoembz.sources.features.write import check_output

LIMIT = 0.3
_KINDS: tuple[Kind, ...] = ("source", "shard", "zone")


def check_seams(
    store: Inputs,
    *,
    sources: Inputs | None = None,
    limit: float = LIMIT,
    time: str | None = None,
    read: ReadOptions | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> SeamReport:
    """Measure the steps where tiles and shards meet against the steps inside them.

    Only strips along the borders are read, in bounded memory; the result does not depend on the
    number of workers.

    Parameters
    ----------
    store
        Path or URL of a store, whose sources' outlines it knows; or what `convert` takes: tiles.
    sources
        Of a store without outlines: the inputs it was made of, or a store that knows them.
    limit
        Effect from which a border is a seam, in root mean square steps between neighbouring pixels
        inside the tiles.
    time
        Year or date to check, of a store that has several; None for all.
    read
        How inputs are read.
    out
        ``.geojson`` file to write: the seams, other bad borders, tiles that stand out.
    overwrite
        Replace a file that exists.
    workers
        Borders at once; None for one per core.
    progress
        Called with the numbers of finished and of all borders.

    Raises
    ------
    InvalidConfigError
        If the options cannot work.
    SourceError
        If inputs cannot be read.
    StoreError
        If the store cannot be read.

    References
    ----------
    docs/explanation/seams.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "seams.zarr", chunk=16, shard=32)
    >>> report = check_seams(tmp_path / "seams.zarr")
    >>> report.checked, len(report.seams)
    ({'source': 0, 'shard': 4}, 0)
    """
    if read is not None and read.named_layers:
        raise InvalidConfigError(
            f"layer {read.named_layers[0][0]}: seams are measured in vectors; leave --layer out"
        )
    if not limit > 0:
        raise InvalidConfigError(f"--limit {limit}; expected a number above 0, such as 0.5")
    check_workers("check seams", workers)
    target = None if out is None else check_output(out, (".geojson", ".json"), overwrite=overwrite)
    fields = open_fields(store, sources, read or ReadOptions(), time)
    checks = [_check(field, limit, worker_count(workers), progress) for field in fields]
    borders = sorted(
        (border for check in checks for border in check.borders), key=lambda border: border.rank
    )
    report = SeamReport(
        redact(store if isinstance(store, str) else _name(store)),
        limit,
        {
            kind: sum(border.kind == kind for border in borders)
            for kind in _KINDS
            if kind != "zone" or any(field.zones for field in fields)
        },
        tuple(borders),
        tuple(sorted((t for c in checks for t in c.tiles), key=lambda tile: -tile.offset)),
        tuple(windows for check in checks for windows in check.windows),
        tuple(dict.fromkeys(note for c in checks for note in c.notes)) + _between(fields),
    )
    if target is not None:
        write_geojson(report, target)
    return report


@dataclass(frozen=True)
class _Check:
    borders: list[BorderStep]
    tiles: list[OutlierTile]
    windows: list[ModelWindows]
    notes: list[str]


def _check(field: Field, limit: float, workers: int, progress: Progress | None) -> _Check:
    """Check one grid at one date."""
    known = survey(field.read, field.length, field.layout, workers)
    borders = field.borders(REACH)
    work = partial(_measure, field, known)
    results: list[Measured | str] = []
    for result in in_order(borders, work, workers, ahead=32 * workers):
        results.append(result)
        if progress is not None:
            progress(len(results), len(borders))
    measured = [one for one in results if isinstance(one, Measured)]
    judged = {
        kind: judge([one for one in measured if one.border.kind == kind], measured)
        for kind in _KINDS
    }
    return _Check(
        [_step(field, one, limit) for kind in _KINDS for one in judged[kind]],
        _standing_out(field, judged["source"], limit),
        [
            ModelWindows(
                "x" if vertical else "y", one.period, one.step, field.grid_name, field.time
            )
            for vertical, one in known.lattices.items()
            if one.period > 1
        ],
        [
            *field.notes,
            *_notes(field, known.lattices, [one for one in results if isinstance(one, str)]),
        ],
    )


def _measure(field: Field, known: Survey, border: Border) -> Measured | str:
    cuts = measure(field.read, field.length, border, known.reach(border))
    return summarise(cuts, border, known)


def _is_seam(one: Judgement, limit: float) -> bool:
    return one.p_adjusted <= MOST_FALSE and one.effect >= limit


def _step(field: Field, one: Judgement, limit: float) -> BorderStep:
    border = one.measured.border
    names = (field.layout.names(border.sides[0]), field.layout.names(border.sides[1]))
    if border.kind == "shard":
        names = _shards(field, border)
    is_zone = border.kind == "zone"
    return BorderStep(
        border.kind,
        field.grid_name,
        field.time,
        names,
        line_on_earth(field.grid, border) if is_zone else _bbox(field.grid, border.edge),
        one.measured.pairs,
        one.effect,
        one.offset,
        one.roughness,
        one.p,
        one.p_adjusted,
        _is_seam(one, limit),
        CRS84 if is_zone else field.grid.crs_wkt,
    )


def _shards(field: Field, border: Border) -> tuple[str, str]:
    """Return the names of two stored objects: their row and column among all."""
    rows, cols = field.layout.shard or (1, 1)
    behind = border.strip(border.start, border.start + 1, 0, 1)
    row, col = behind.row // rows, behind.col // cols
    before = (row, col - 1) if border.vertical else (row - 1, col)
    return f"shard {before[0]}/{before[1]}", f"shard {row}/{col}"


def _standing_out(field: Field, judged: Sequence[Judgement], limit: float) -> list[OutlierTile]:
    """Return the tiles whose offset from the median tile reaches the limit."""
    offsets = tile_offsets(judged, [_is_seam(one, limit) for one in judged])
    units = sorted(one.measured.unit for one in judged)
    found = []
    for number, vector in offsets.items():
        size = float((vector**2).sum() ** 0.5) / units[len(units) // 2]
        if size >= limit:
            bbox = _bbox(field.grid, field.layout.window(number))
            name = field.layout.names(number)
            crs = field.grid.crs_wkt
            found.append(OutlierTile(name, field.grid_name, field.time, bbox, size, crs))
    return found


def _bbox(grid: Grid, window: Window) -> tuple[float, float, float, float]:
    a, _, c, _, e, f = grid.transform
    xs = (c + a * window.col, c + a * (window.col + window.width))
    ys = (f + e * window.row, f + e * (window.row + window.height))
    return min(xs), min(ys), max(xs), max(ys)


def _notes(field: Field, lattices: Lattices, reasons: Sequence[str]) -> list[str]:
    notes = [
        f"windows of {one.period} pixels along {'x' if vertical else 'y'}: a step of "
        f"{one.step:.2g} between any two; borders are compared with cuts at the same place in a "
        "window"
        for vertical, one in lattices.items()
        if one.period > 1
    ]
    notes += [
        f"{reasons.count(reason):,} borders not judged: {reason}"
        for reason in dict.fromkeys(reasons)
    ]
    if field.layout.n_shard_borders > MOST_SHARD_BORDERS:
        total = field.layout.n_shard_borders
        notes.append(f"of about {total:,} borders of shards {MOST_SHARD_BORDERS:,} at most")
    return notes


def _between(fields: Sequence[Field]) -> tuple[str, ...]:
    """Say of which grids the borders with others are not measured."""
    met = {name for field in fields for name in field.zones}
    grids = (field.grid_name for field in fields if field.grid_name)
    names = [name for name in dict.fromkeys(grids) if name not in met]
    if not names:
        return ()
    return (f"borders between the grids {', '.join(names)} are not measured, only those inside",)


def _name(store: Inputs) -> str:
    if isinstance(store, Sequence) and len(store) > 1:
        return f"{store[0]} and {len(store) - 1} more"
    if isinstance(store, Sequence) and store:
        return str(store[0])
    return str(store) if isinstance(store, Path) else str(getattr(store, "name", "an array"))
