"""Draw pixels of a source, read them block by block, and map where a store loses most.

Only blocks that hold a drawn pixel are read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import batched, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.labels import PixelLabels
from geoembz._evaluate.metrics.splits import stratified_sample
from geoembz._export.region import date_position
from geoembz._geo import metres_per_unit
from geoembz._geo.grid import Grid, Window, split
from geoembz._util.progress import listened
from geoembz._util.threads import worker_count
from geoembz._work.executors import ThreadWorkers, Workers
from geoembz.errors import NoValidPixelsError
from geoembz.sources import Source
from geoembz.store import StoreReader

type Rows = NDArray[np.int64]
type ReadWindow = Callable[[Window], tuple[NDArray[Any], NDArray[np.bool_] | None]]
"""A window to values ``(length, height, width)`` and validity ``(height, width)``."""

_READ_BYTES = 16 * 2**20
"""Where a source's blocks are small, several neighbouring ones are drawn from together."""

_WINDOWS = 64
"""Places that unlabelled pixels are drawn from, if they hold enough."""

_MAP_SIDE = 512
"""Cells along the longer side of an error map, at most."""

_WHOLE_BYTES = 512 * 2**20
"""A source up to this size is mapped whole, of a larger one some windows."""


def draw_labelled(labels: PixelLabels, n: int, seed: int, *, classes: bool) -> PixelLabels:
    """Draw at most `n` labelled pixels, each class in proportion but never absent."""
    if len(labels) <= n:
        return labels
    balance = labels.labels if classes else np.zeros(len(labels))
    return labels.take(stratified_sample(balance, n, seed=seed))


def draw_windows(labels: PixelLabels, n: int, side: int, seed: int) -> PixelLabels:
    """Draw whole windows of `side` pixels until they hold `n` labels; the windows are groups."""
    width = int(labels.cols.max()) // side + 1
    numbers = labels.rows // side * width + labels.cols // side
    names, codes, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    enough = int(np.searchsorted(np.cumsum(counts[order]), n)) + 1
    chosen = np.isin(codes, order[:enough])
    return replace(labels, groups=numbers).take(chosen)


def draw_unlabelled(
    source: Source, n: int, seed: int, pool: Workers | None = None
) -> tuple[Rows, Rows, NDArray[np.float32]]:
    """Draw about `n` valid pixels from windows spread over the source, each read once.

    Parameters
    ----------
    source
        What is drawn from.
    n
        How many pixels to draw.
    seed
        Of the draw.
    pool
        Reads the windows; None for one thread per core.

    Returns
    -------
    rows, cols
        Places of the pixels, shape ``(n,)``.
    vectors
        Their embeddings, shape ``(n, dimension)``.
    """
    pool = pool or ThreadWorkers(worker_count())
    windows = list(split(source.grid.window, _window_shape(source)))
    share = -(-n // min(len(windows), _WINDOWS))
    parts: list[tuple[Rows, Rows, NDArray[np.float32]]] = []
    with listened(None):  # who listens waits for what follows
        for batch in _rounds(windows, seed):
            parts += pool.run(_Draw(source, share, seed), batch)
            if sum(len(rows) for rows, _, _ in parts) * 2 >= n:
                break
    rows, cols, vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rows, cols, vectors


@dataclass(frozen=True)
class _Draw:
    """Draws some valid pixels of a window: the same ones, whoever reads it."""

    source: Source
    share: int
    seed: int

    def __call__(self, window: Window) -> tuple[Rows, Rows, NDArray[np.float32]]:
        data = self.source.read(window)
        valid = np.isfinite(data.values).all(axis=0)
        if data.valid is not None:
            valid &= data.valid
        rng = np.random.default_rng([self.seed, window.row, window.col])
        places = np.sort(rng.permutation(np.flatnonzero(valid))[: self.share])
        rows, cols = places // window.width, places % window.width
        vectors = data.values[:, rows, cols].T.astype(np.float32)
        return rows + window.row, cols + window.col, vectors


def gather(
    read: ReadWindow,
    block_shape: tuple[int, int],
    rows: Rows,
    cols: Rows,
    dtype: Any = np.float32,
    pool: Workers | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read the values of pixels, each block that holds one read once.

    Parameters
    ----------
    read
        Reads a window; called from several threads.
    block_shape
        Rows and columns of a block.
    rows, cols
        Places of the pixels, shape ``(n,)``.
    dtype
        Type of the result.
    pool
        Reads the blocks; None for one thread per core.

    Returns
    -------
    values
        Shape ``(n, length)``.
    valid
        bool, shape ``(n,)``.
    """
    numbers = rows // block_shape[0] * (cols.max(initial=0) + 1) + cols // block_shape[1]
    order = np.argsort(numbers, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    pool = pool or ThreadWorkers(worker_count())
    with listened(None):  # who listens waits for what follows
        parts = pool.run(_Gather(read, dtype), [(rows[each], cols[each]) for each in members])
    values = np.empty((len(rows), parts[0][0].shape[1]), dtype)
    valid = np.empty(len(rows), np.bool_)
    for chosen, (part, known) in zip(members, parts, strict=True):
        values[chosen], valid[chosen] = part, known
    return values, valid


@dataclass(frozen=True)
class _Gather:
    """Reads the values of some pixels of one block."""

    read: ReadWindow
    dtype: Any

    def __call__(self, places: tuple[Rows, Rows]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        rows, cols = places
        window = _bounds(rows, cols)
        values, valid = self.read(window)
        inside = (rows - window.row, cols - window.col)
        known = np.ones(len(rows), np.bool_) if valid is None else valid[inside]
        with np.errstate(over="ignore"):
            return values[:, *inside].T.astype(self.dtype), known


def error_map(source: Source, store: StoreReader) -> NDArray[np.float64]:
    """Return the mean of ``1 - cosine`` in every cell of a grid over the raster, NaN where unknown.

    Parameters
    ----------
    source
        The uncompressed embeddings.
    store
        The store made from them.
    """
    height, width = source.grid.shape
    step = -(-max(height, width) // _MAP_SIDE)
    total = np.zeros((-(-height // step), -(-width // step)))
    count = np.zeros_like(total)
    whole = height * width * source.dimension * source.dtype.itemsize <= _WHOLE_BYTES
    windows = list(split(source.grid.window, _window_shape(source)))
    for window in windows if whole else _rounds(windows, seed=0)[0]:
        rows, cols, error = _window_error(source, store, window)
        cell = (rows // step, cols // step)
        np.add.at(total, cell, error)
        np.add.at(count, cell, 1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


@dataclass(frozen=True)
class SourceReader:
    """Reads a source's windows."""

    source: Source

    def __call__(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return the values and the validity of a window."""
        data = self.source.read(window)
        return data.values, data.valid


@dataclass(frozen=True)
class CodesReader:
    """Reads a store's codes at one date."""

    reader: StoreReader
    date: int = 0

    def __call__(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return the codes and the validity of a window."""
        encoding = self.reader.encoding
        codes, mask = self.reader.read_stored(window, self.date)
        return codes, mask if encoding.nodata is None else ~encoding.is_nodata(codes[0])


def gather_codes(
    readers: Sequence[StoreReader], time: str | None, numbers: Rows, rows: Rows, cols: Rows
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read the codes of pixels of several grids of one encoding, grid by grid.

    Parameters
    ----------
    readers
        Of all grids.
    time
        Date of the codes.
    numbers, rows, cols
        Grid of each pixel, and place in it, shape ``(n,)``.

    Returns
    -------
    codes
        Shape ``(n, code_length)``.
    valid
        Which pixels hold an embedding, bool, shape ``(n,)``.

    Raises
    ------
    NoValidPixelsError
        If none does.
    """
    encoding = readers[0].encoding
    codes = np.zeros((len(rows), encoding.code_length), encoding.code_dtype)
    valid = np.zeros(len(rows), np.bool_)
    for number, reader in enumerate(readers):
        here = np.flatnonzero(numbers == number)
        if not len(here):
            continue
        read = CodesReader(reader, date_position(reader, time))
        chunk = (int(reader.codes.chunks[-2]), int(reader.codes.chunks[-1]))
        codes[here], valid[here] = gather(read, chunk, rows[here], cols[here], encoding.code_dtype)
    if not valid.any():
        raise NoValidPixelsError(
            f"{readers[0].url}: not one of {len(rows):,} labelled pixels holds an embedding; "
            "expected labels where the store has data"
        )
    return codes, valid


def metres(grid: Grid, rows: Rows, cols: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where pixels lie, in metres on the ground as they are at the grid's centre."""
    xmin, ymin, xmax, ymax = grid.bbox
    across, down = metres_per_unit(grid.crs_wkt, (xmin + xmax) / 2, (ymin + ymax) / 2)
    return grid.x[cols] * across, grid.y[rows] * down


def _window_error(
    source: Source, store: StoreReader, window: Window
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return rows, columns and errors of a window's valid pixels."""
    data = source.read(window)
    with np.errstate(over="ignore"):
        original = data.values.reshape(source.dimension, -1).astype(np.float32)
    decoded = store.read(window, "original").reshape(source.dimension, -1)
    valid = np.isfinite(original).all(axis=0) & np.isfinite(decoded).all(axis=0)
    if data.valid is not None:
        valid &= data.valid.reshape(-1)
    places = np.flatnonzero(valid)
    x, y = original[:, places].astype(np.float64), decoded[:, places].astype(np.float64)
    norms = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    cosine = np.divide((x * y).sum(axis=0), norms, out=np.zeros(len(places)), where=norms > 0)
    rows, cols = places // window.width + window.row, places % window.width + window.col
    return rows, cols, np.maximum(1.0 - cosine, 0.0)


def _bounds(rows: Rows, cols: Rows) -> Window:
    top, left = int(rows.min()), int(cols.min())
    return Window(top, left, int(rows.max()) - top + 1, int(cols.max()) - left + 1)


def _window_shape(source: Source) -> tuple[int, int]:
    """Return whole blocks of the source, joined while they are small; large ones stay whole."""
    height, width = source.grid.shape
    rows, cols = (min(a, b) for a, b in zip(source.block_shape, (height, width), strict=True))
    pixel_bytes = source.dimension * source.dtype.itemsize
    smallest = max(1, height * width // (4 * _WINDOWS))
    while rows < height and 2 * rows * cols * pixel_bytes <= _READ_BYTES and rows * cols < smallest:
        rows *= 2
    return rows, cols


def _rounds(windows: Sequence[Window], seed: int) -> list[tuple[Window, ...]]:
    """Return one window of each of `_WINDOWS` equal runs first, then the others, shuffled."""
    count = min(len(windows), _WINDOWS)
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, len(windows), count + 1).astype(int)
    first = {int(rng.integers(low, high)) for low, high in pairwise(edges)}
    rest = [windows[i] for i in rng.permutation(len(windows)) if int(i) not in first]
    return [tuple(windows[i] for i in sorted(first)), *batched(rest, count)]
