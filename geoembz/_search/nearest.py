"""Search a whole store in a stream, in bounded memory."""

import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from geoembz._export import sample
from geoembz._geo import BBox, into_range
from geoembz._geo.geoparquet import CRS84
from geoembz._search.metrics import scorer
from geoembz._search.parts import AnyStore, Part, RasterPart, TablePart, open_parts
from geoembz._search.result import SearchResult
from geoembz._search.scorer import BestK, Scorer, valid_codes
from geoembz._util.options import check_whole
from geoembz._util.threads import check_workers, for_each, single_threaded_blas, worker_count
from geoembz.encoding import Metric
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.sources.features import Features
from geoembz.sources.features.write import PARQUET, check_output
from geoembz.store import StoreReader, TableReader
from geoembz.store.grids import open_readers


def vectors_at(
    store: AnyStore,
    points: Any,
    *,
    against: Any = None,
    together: bool = False,
    metric: str | None = None,
    crs: str | None = None,
    time: str | None = None,
    level: int | None = None,
) -> NDArray[np.float32]:
    """Return the vectors of a raster store at places, to search for their like.

    Parameters
    ----------
    store
        Path, URL or open `StoreReader`.
    points
        As `sample` takes them, such as ``[(x, y)]``.
    against
        Points whose like is not wanted: the one vector that is returned is the mean of those at
        `points` less the mean of these.
    together
        Return one vector, the mean of those at `points`, also without `against`.
    metric
        What the search compares by, as there: for cosines, vectors count by their direction alone,
        and have length 1 before means are taken.
    crs
        CRS of the points.
    time
        Year or date, of a store that has several.
    level
        Number of the level to take them from; 0 is the full resolution.

    Returns
    -------
    vectors
        float32, shape ``(n, dimension)``; n is 1 with `against` or `together`.

    Raises
    ------
    InvalidConfigError
        If there is no embedding at one of them, or the store is one of a table.

    References
    ----------
    J. J. Rocchio, Relevance feedback in information retrieval (1971).

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "at.zarr", pca=16)
    >>> tile = geoembz.open(tmp_path / "at.zarr")
    >>> place = float(tile.x[5]), float(tile.y[5])
    >>> vectors_at(tmp_path / "at.zarr", [place], crs=tile.attrs["proj:code"]).shape
    (1, 128)
    """
    if isinstance(store, TableReader):
        raise InvalidConfigError(
            f"{store.url}: a table has no pixel at a point; pass vectors, such as those of its rows"
        )
    vectors = _vectors(store, points, crs, time, level)
    if not together and against is None:
        return vectors
    others = None if against is None else _vectors(store, against, crs, time, level)
    return join_examples(vectors, others, choose_metric(metric, store))


def join_examples(
    like: NDArray[np.float32], unlike: NDArray[np.float32] | None, metric: Metric
) -> NDArray[np.float32]:
    """Return one query for what is wanted: the mean of examples, less that of counter-examples.

    Parameters
    ----------
    like, unlike
        Vectors, shape ``(n, dimension)``; None where there are no counter-examples.
    metric
        For cosines, vectors count by their direction alone.

    Returns
    -------
    query
        float32, shape ``(1, dimension)``.

    References
    ----------
    J. J. Rocchio, Relevance feedback in information retrieval (1971).

    Examples
    --------
    >>> join_examples(np.eye(2, dtype=np.float32), None, Metric("dot"))
    array([[0.5, 0.5]], dtype=float32)
    """
    joined = _mean(like, metric)
    if unlike is not None:
        joined = joined - _mean(unlike, metric)
    return joined.astype(np.float32)[np.newaxis]


def choose_metric(metric: str | None, store: str | Path | StoreReader | TableReader) -> Metric:
    """Return the metric that is named, else the one that the store recommends.

    Raises
    ------
    InvalidConfigError
        If there is no such metric.
    """
    if metric is not None:
        return Metric.parse(metric)
    reader = next(iter(open_readers(store))) if isinstance(store, str | Path) else store
    recommended = reader.attributes.metric
    try:
        return Metric.parse(recommended or "cosine")
    except InvalidConfigError as error:
        raise InvalidConfigError(
            f"{reader.url}: recommends {error}; name a metric, or take a newer geoembz"
        ) from error


def _mean(vectors: NDArray[np.float32], metric: Metric) -> NDArray[np.float64]:
    """Return the mean of vectors; where directions are compared, of those alone."""
    wide = vectors.astype(np.float64)
    if metric.name == "cosine":
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        wide = wide / np.where(lengths > 0, lengths, 1)
    mean: NDArray[np.float64] = wide.mean(axis=0)
    return mean


def _vectors(
    store: str | Path | StoreReader,
    points: Any,
    crs: str | None,
    time: str | None,
    level: int | None,
) -> NDArray[np.float32]:
    sampled = sample(store, points, crs=crs, time=time, level=level)
    if not sampled.found.all():
        missing = np.flatnonzero(~sampled.found)[:5].tolist()
        raise InvalidConfigError(
            f"points {missing} (counted from 0): no embedding there; choose places with data"
        )
    return np.asarray(sampled.vectors, dtype=np.float32)


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
    workers: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> SearchResult:
    """Find the pixels of a store, or rows of a table, that are nearest to query vectors.

    Codes are compared as they are stored; nothing is decoded. The store streams through memory:
    each worker holds one stored object (a shard) and its own k best. The answer is that of an
    exhaustive comparison with the decoded vectors, whatever the number of workers.

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
    workers
        Stored objects at once; None for one per core.
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
    parts = open_parts(store, bbox, bbox_crs, time, level)
    total = sum(part.count for part in parts)
    chosen = choose_metric(metric, parts[0].reader)
    queries = scorer(parts[0].encoding, query, chosen, n_pixels=total)
    best = _scan(parts, queries, k, worker_count(workers))
    found = int((best.distances[0] != best.farthest).sum())
    if not found:
        raise NoValidPixelsError(f"search: not one of {total:,} pixels holds an embedding")
    scores = queries.scores(best.distances[:, :found])
    return _result(parts, str(chosen), scores, best.positions[:, :found], total, target)


def _scan(parts: Sequence[Part], queries: Scorer, k: int, workers: int) -> BestK:
    """Read every block once, in threads; each keeps its own best."""
    firsts = _first_positions(parts)
    blocks = _blocks(parts)
    lock = threading.Lock()

    def work(_: int) -> BestK:
        best = queries.best(k)
        while True:
            with lock:
                number, block = next(blocks, (0, None))
            if block is None:
                return best
            part = parts[number]
            read = part.read(block)
            valid = valid_codes(part.encoding.quantizer, read.codes, read.mask)
            queries.search(best, read.codes, read.positions + firsts[number], valid)

    total = queries.best(k)
    try:
        with single_threaded_blas():
            for best in for_each(range(workers), work, workers):
                total.merge(best)
    finally:
        with lock:  # after Ctrl-C threads may still run: they find no further block
            blocks.close()
    return total


def _blocks(parts: Sequence[Part]) -> Generator[tuple[int, object]]:
    for number, part in enumerate(parts):
        for block in part.blocks():
            yield number, block


def _first_positions(parts: Sequence[Part]) -> NDArray[np.int64]:
    sizes = np.array([part.size for part in parts], dtype=np.int64)
    return np.cumsum(sizes) - sizes


def _result(
    parts: Sequence[RasterPart] | Sequence[TablePart],
    metric: str,
    scores: NDArray[Any],
    positions: NDArray[np.int64],
    total: int,
    target: Path | None,
) -> SearchResult:
    """Turn positions into places, part by part."""
    shape = positions.shape
    firsts = _first_positions(parts)
    numbers = np.searchsorted(firsts, positions, side="right") - 1
    inner = positions - firsts[numbers]
    rows, cols = inner, np.zeros(shape, np.int64)
    x, y, lon, lat = (np.full(shape, np.nan) for _ in range(4))
    urls = np.array([part.reader.url for part in parts])
    dates = np.full(len(parts), "NaT", "datetime64[D]")
    every: list[RasterPart | TablePart] = [*parts]
    for number, part in enumerate(every):
        here = numbers == number
        if not here.any():
            continue
        if isinstance(part, RasterPart):
            grid = part.reader.attributes.grid
            rows[here], cols[here] = np.divmod(inner[here], grid.shape[1])
            x[here], y[here] = grid.x[cols[here]], grid.y[rows[here]]
            if part.reader.dates:
                dates[number] = np.datetime64(part.reader.dates[part.date], "D")
        else:
            reader = part.reader
            for axis, places in (("x", x), ("y", y)):
                places[here] = reader.values(reader.column(axis), inner[here])
        lon[here], lat[here] = _degrees(part.crs_wkt, x[here], y[here])
    result = SearchResult(
        metric=metric,
        scores=scores,
        rows=rows,
        cols=cols,
        x=x,
        y=y,
        lon=lon,
        lat=lat,
        stores=urls[numbers],
        times=dates[numbers],
        pixels_searched=total,
        is_table=isinstance(parts[0], TablePart),
        out=None if target is None else str(target),
    )
    if target is not None:
        result.write(target)
    return result


def _degrees(
    crs_wkt: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    places = Features("search", crs_wkt, np.column_stack([x, y]), None, pa.table({}))
    moved = places.to_crs(CRS84).points
    lon, lat = (x, y) if moved is None else (moved[:, 0], moved[:, 1])
    return into_range(CRS84, lon, -180.0, 180.0), lat
