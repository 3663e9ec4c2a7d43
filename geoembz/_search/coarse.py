"""Choose the chunks that a search reads, by the scores of an overview.

A chunk is as near to a query as the nearest pixel of the overview above it. That is no bound: a
pixel of an overview is a mean, and one that is like the query may lie among others that are not. So
how much is found depends on the landscape; what is found has its exact score.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._search.parts import RasterPart, TablePart
from geoembz._search.result import CoarseSearch
from geoembz._search.scan import scan
from geoembz._search.scorer import Scorer
from geoembz._search.tiling import ByChunk, Tiling, chunk_of, count_usable
from geoembz._work.executors import Workers
from geoembz.errors import InvalidConfigError

_OVERVIEW_SHARE = 0.4
"""Part of what may be read that the overview takes at most. Of all levels the finest that this
leaves found most, on real and on generated landscapes (`benchmarks/search.py`)."""


def check_share(share: float | None) -> None:
    """Refuse what is no share.

    Raises
    ------
    InvalidConfigError
        If it is not above 0, or above 1.
    """
    if share is not None and not 0 < share <= 1:
        raise InvalidConfigError(
            f"coarse {share}; expected the share of codes to read at most, above 0 and up to 1"
        )


def narrow(
    parts: Sequence[RasterPart] | Sequence[TablePart], queries: Scorer, share: float, pool: Workers
) -> tuple[list[RasterPart], CoarseSearch]:
    """Return the same parts, of which only the chunks are read that promise most.

    Parameters
    ----------
    parts
        Of a raster, at full resolution.
    queries
        All of them share what is read: a chunk comes in by its best rank for any of them.
    share
        Of the parts' pixels: how many are read at most, those of the overview among them.
    pool
        Reads the overview.

    Returns
    -------
    parts
        With positions as before.
    coarse
        What was chosen, and by what.

    Raises
    ------
    InvalidConfigError
        If there are no overviews, or the coarsest and one chunk are more than the share.
    """
    rasters = _check(parts)
    total = sum(part.count for part in rasters)
    number, tilings = _choose_level(rasters, share)
    overviews = [tiling.overview for tiling in tilings]
    least = scan(overviews, ByChunk(queries, tuple(tilings)), 1, pool)
    sizes = np.array([window.size for tiling in tilings for window in tiling.windows])
    spent = sum(part.count for part in overviews)
    is_chosen = _take(least.distances, sizes, share * total - spent)
    kept, first = [], 0
    for tiling in tilings:
        wanted = is_chosen[first : first + len(tiling.windows)]
        first += len(wanted)
        windows = [tiling.windows[place] for place in np.flatnonzero(wanted)]
        kept.append(replace(tiling.part, chosen=tuple(_join(windows, tiling.part))))
    read = spent + int(sizes[is_chosen].sum())
    return kept, CoarseSearch(number, int(is_chosen.sum()), len(sizes), read / total)


def _check(parts: Sequence[RasterPart] | Sequence[TablePart]) -> list[RasterPart]:
    """Return the parts, at full resolution and with overviews."""
    rasters = []
    for part in parts:
        url = part.reader.url
        if isinstance(part, TablePart):
            raise InvalidConfigError(f"coarse: {url} is a table, without overviews; leave it out")
        if part.reader.level:
            raise InvalidConfigError(
                f"coarse with level {part.reader.level} of {url}: it searches the full resolution, "
                "and chooses by levels; leave one of them out"
            )
        if not part.reader.attributes.levels:
            raise InvalidConfigError(
                f"coarse: {url} has no overviews to choose chunks by; add them "
                f"(geoembz overviews {url}), or leave coarse out"
            )
        rasters.append(part)
    return rasters


def _choose_level(parts: Sequence[RasterPart], share: float) -> tuple[int, list[Tiling]]:
    """Return the finest level that leaves room for chunks, else the coarsest, and its tilings."""
    total, url = sum(part.count for part in parts), parts[0].reader.url
    coarsest = max(count_usable(part) for part in parts)
    if not min(count_usable(part) for part in parts):
        raise InvalidConfigError(
            f"coarse: {url} has chunks of {chunk_of(parts[0])} pixels, smaller than those of its "
            "overviews; leave coarse out"
        )
    for number in range(1, coarsest + 1):
        tilings = [Tiling.of(part, number) for part in parts]
        spent = sum(tiling.overview.count for tiling in tilings)
        if spent <= _OVERVIEW_SHARE * share * total:
            break
    least = (spent + max(window.size for tiling in tilings for window in tiling.windows)) / total
    if least > share:
        raise InvalidConfigError(
            f"coarse {share:g}: level {number} of {url} and one chunk are "
            f"{ceil(1e3 * least) / 1e3:g} of its codes; give more, or make coarser overviews "
            f"(geoembz overviews {url} --levels N --overwrite)"
        )
    return number, tilings


def _take(
    distances: NDArray[np.float32], sizes: NDArray[np.int64], most: float
) -> NDArray[np.bool_]:
    """Return which chunks to read: as many of the best as have so many pixels.

    Parameters
    ----------
    distances
        Shape ``(n_queries, n_chunks)``; infinite for chunks without data.
    sizes
        Pixels of each chunk.
    most
        Pixels of all that are taken.
    """
    ranks = np.argsort(np.argsort(distances, axis=1, kind="stable"), axis=1, kind="stable")
    order = np.argsort(ranks.min(axis=0), kind="stable")
    order = order[np.isfinite(distances).any(axis=0)[order]]
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    chosen[order[np.cumsum(sizes[order]) <= most]] = True
    return chosen


def _join(windows: Sequence[Window], part: RasterPart) -> Iterator[Window]:
    """Yield neighbours along a row, of one stored object, as one window: they are read at once."""
    width = part.reader.stored_chunk[1]
    run: Window | None = None
    for window in windows:
        if run is not None:
            end = run.col + run.width
            if (window.row, window.col) == (run.row, end) and end % width:
                run = replace(run, width=run.width + window.width)
                continue
            yield run
        run = window
    if run is not None:
        yield run
