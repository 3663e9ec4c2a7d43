"""Search a whole store in a stream, in bounded memory."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._geo import BBox, into_range
from geoembz._geo.crs import placed_points, same_crs
from geoembz._geo.geoparquet import CRS84
from geoembz._search.coarse import check_share, narrow
from geoembz._search.metrics import scorer
from geoembz._search.parts import (
    AnyStore,
    RasterPart,
    TablePart,
    first_positions,
    open_parts,
)
from geoembz._search.queries import choose_metric
from geoembz._search.result import CoarseSearch, SearchResult
from geoembz._search.scan import scan
from geoembz._util.options import check_whole
from geoembz._util.threads import check_workers, worker_count
from geoembz._work.cluster import open_workers
from geoembz._work.executors import check_scheduler
from geoembz._work.places import store_for
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.sources.features.write import PARQUET, check_output

_log = logging.getLogger("geoembz.search")


def search(
    store: AnyStore,
    query: ArrayLike,
    k: int = 10,
    metric: str | None = None,
    *,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    level: int | None = None,
    coarse: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> SearchResult:
    """Find the pixels of a store, or rows of a table, that are nearest to query vectors.

    Codes are compared as they are stored; nothing is decoded. The store streams through memory:
    each worker holds one stored object (a shard) and its own k best. Unless `coarse` is given, the
    answer is that of an exhaustive comparison with the decoded vectors, whatever the number of
    workers.

    Parameters
    ----------
    store
        Path, URL, or open reader: of a raster (all grids and dates), or of a table.
    query
        Vectors in original space, shape ``(dimension,)`` or ``(n_queries, dimension)``; see
        `vectors_at` for those of the store itself.
    k
        How many to find for each.
    metric
        ``cosine``, ``dot`` or ``euclidean`` between the query and the vector that a code stands
        for, or ``cosine-w0.5`` and the like, which divide components by a power of their standard
        deviation first; or ``hamming``, which encodes the query and counts differing bits, for
        binary codes. None: what the store recommends (``geoembz:metric``), else ``cosine``.
    bbox
        ``(xmin, ymin, xmax, ymax)``: search only there.
    bbox_crs
        CRS of `bbox`; None for the store's.
    time
        Search only this year or date; None for all.
    level
        Number of the level to search, where the store has overviews; 0 is the full resolution.
        Rows and columns are then those of the level.
    coarse
        Read at most this share of the codes: those of an overview, and of the chunks that promise
        most by it. Scores are exact, but some of the nearest may be missed; see
        `SearchResult.recall_of`. None, or 1: compare all.
    workers
        Stored objects at once; None for one per core.
    scheduler
        Where blocks are compared instead; see `geoembz.convert`. The answer is the same.
    out
        Also write a file: ``.parquet`` (GeoParquet) or ``.geojson``.
    overwrite
        Replace a file that exists.

    Returns
    -------
    result
        Scores and places.

    Raises
    ------
    InvalidConfigError
        If the query, the metric or the part cannot work.
    NoValidPixelsError
        If no pixel of the part holds an embedding.
    StoreError
        If the store cannot be read.
    SchedulerError
        If no scheduler answers, or its workers are lost.

    References
    ----------
    spec/encoding.md; H. Jégou et al., IEEE TPAMI 33 (2011), asymmetric distances.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "search.zarr", pca=16)
    >>> tile = geoembz.open(tmp_path / "search.zarr")
    >>> found = search(tmp_path / "search.zarr", tile.embedding[:, 3, 4].values, k=5)
    >>> found.scores.shape, int(found.rows[0, 0]), int(found.cols[0, 0])
    ((1, 5), 3, 4)
    """
    target = None if out is None else check_output(out, (*PARQUET, ".geojson"), overwrite=overwrite)
    check_whole(k=k)
    if k < 1:
        raise InvalidConfigError(f"k={k}; expected 1 or more")
    check_workers("search", workers)
    check_scheduler(scheduler)
    check_share(coarse)
    where = bbox, bbox_crs, time, level
    parts = open_parts(store, *where)
    total = sum(part.count for part in parts)
    chosen = choose_metric(metric, parts[0].reader)
    queries = scorer(parts[0].encoding, query, chosen, n_pixels=total)
    known = store_for(scheduler, store)
    read = parts if known is store else open_parts(known, *where)
    reading: CoarseSearch | None = None
    with open_workers(scheduler, worker_count(workers)) as pool:
        if coarse is not None and coarse < 1:
            _log.info("choosing chunks by an overview")
            read, reading = narrow(read, queries, coarse, pool)
            total = sum(part.count for part in read)
        _log.info("comparing %s vectors with %d by %s", f"{total:,}", queries.n_queries, chosen)
        best = scan(read, queries, k, pool)
    found = int((best.distances[0] != best.farthest).sum())
    if not found:
        raise NoValidPixelsError(f"search: not one of {total:,} pixels holds an embedding")
    scores = queries.scores(best.distances[:, :found])
    places = best.positions[:, :found]
    return to_result(parts, str(chosen), scores, places, total, target, reading)


def to_result(
    parts: Sequence[RasterPart] | Sequence[TablePart],
    metric: str,
    scores: NDArray[Any],
    positions: NDArray[np.int64],
    total: int,
    target: Path | None,
    coarse: CoarseSearch | None = None,
) -> SearchResult:
    """Turn positions among those of all parts into places, and write the file that is asked for."""
    firsts = first_positions(parts)
    numbers = np.searchsorted(firsts, positions, side="right") - 1
    urls = np.array([part.reader.url for part in parts])
    result = SearchResult(
        metric=metric,
        scores=scores,
        **_places(parts, numbers, positions - firsts[numbers]),
        stores=urls[numbers],
        times=np.array([_date(part) for part in parts], "datetime64[D]")[numbers],
        pixels_searched=total,
        is_table=isinstance(parts[0], TablePart),
        coarse=coarse,
        out=None if target is None else str(target),
    )
    if target is not None:
        result.write(target)
    return result


def _places(
    parts: Sequence[RasterPart] | Sequence[TablePart],
    numbers: NDArray[np.intp],
    inner: NDArray[np.int64],
) -> dict[str, Any]:
    """Return where positions inside their parts lie: rows, columns and coordinates."""
    rows, cols = inner, np.zeros(inner.shape, np.int64)
    x, y, lon, lat = (np.full(inner.shape, np.nan) for _ in range(4))
    every: list[RasterPart | TablePart] = [*parts]
    for number, part in enumerate(every):
        here = numbers == number
        if not here.any():
            continue
        if isinstance(part, RasterPart):
            grid = part.reader.attributes.grid
            rows[here], cols[here] = np.divmod(inner[here], grid.shape[1])
            x[here], y[here] = grid.x[cols[here]], grid.y[rows[here]]
        else:
            reader = part.reader
            for axis, places in (("x", x), ("y", y)):
                places[here] = reader.values(reader.column(axis), inner[here])
        lon[here], lat[here] = _degrees(part.crs_wkt, x[here], y[here])
    return {"rows": rows, "cols": cols, "x": x, "y": y, "lon": lon, "lat": lat}


def _date(part: RasterPart | TablePart) -> str:
    dates = part.reader.dates if isinstance(part, RasterPart) else ()
    return dates[part.date] if dates and isinstance(part, RasterPart) else "NaT"


def _degrees(
    crs_wkt: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if same_crs(crs_wkt, CRS84):
        lon, lat = x, y
    else:
        lon, lat = placed_points(np.column_stack([x, y]), crs_wkt, CRS84).T
    return into_range(CRS84, lon, -180.0, 180.0), lat
