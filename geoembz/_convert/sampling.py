"""Which pixels fit the encoding and which ones test it.

Every pixel has a random key that depends on its place and the seed alone. Keys at the top are held
out: they never enter the fit, and fidelity is measured on them. Of the rest the smallest keys of
some blocks, spread over the whole raster, are the fit's sample. What is read for it may be cached,
so that no block crosses the network twice.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Blocks, Window, split
from geoembz.encoding import Encoding
from geoembz.errors import NoValidPixelsError
from geoembz.sources import Source, SourceData
from geoembz.sources.base import occupied_window, occupies, take_columns
from geoembz.sources.wrappers import ViewSource

HELD_OUT_PIXELS = 16_384
"""Pixels that fidelity is measured on, about, in a raster of any size."""

_LARGEST_HELD_OUT_SHARE = 0.2
"""Of small rasters: most of their pixels are needed for the fit."""

_SMALLEST_RASTER = 64
"""Fewer pixels than these all go into the fit."""

_READ_BYTES = 32 * 2**20
"""Decoded size of what is read at once, where the source's blocks allow it."""

_LARGEST_READ_BYTES = 128 * 2**20
"""Beyond this a source's block is read in parts."""

_MOST_LISTED = 2**18
"""Blocks of a raster that are listed; of more, each is made when it is its turn."""

_FEWEST_BLOCKS, _MOST_BLOCKS, _BLOCK_SHARE = 8, 64, 8
"""Blocks read in one round: an eighth of all, within limits. Neighbouring pixels resemble each
other, so a few of each of many blocks tell more than all of one."""


@dataclass(frozen=True)
class PixelRoles:
    """Random keys of pixels, and what follows from them.

    Parameters
    ----------
    seed
        Seed of the keys.
    shape
        Height and width of the raster, in pixels.
    """

    seed: int
    shape: tuple[int, int]

    @property
    def held_out_share(self) -> float:
        """Share of all pixels that are held out."""
        total = self.shape[0] * self.shape[1]
        if total < _SMALLEST_RASTER:
            return 0.0
        return min(_LARGEST_HELD_OUT_SHARE, HELD_OUT_PIXELS / total)

    def keys(self, window: Window) -> NDArray[np.float64]:
        """Return the keys of a window's pixels, in [0, 1), row by row, shape ``(size,)``."""
        rows = np.arange(window.row, window.row + window.height, dtype=np.uint64)
        cols = np.arange(window.col, window.col + window.width, dtype=np.uint64)
        index = rows[:, np.newaxis] * np.uint64(self.shape[1]) + cols
        return _uniform(index.reshape(-1), self.seed)

    def held_out(self, keys: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which pixels are held out."""
        return keys >= 1.0 - self.held_out_share

    def fit_pixels(
        self, keys: NDArray[np.float64], valid: NDArray[np.bool_], count: int
    ) -> NDArray[np.intp]:
        """Return the indices of at most `count` valid pixels that are not held out, ascending."""
        candidates = np.flatnonzero(valid & ~self.held_out(keys))
        if len(candidates) > count:
            candidates = candidates[np.argpartition(keys[candidates], count)[:count]]
        return np.sort(candidates)


def read_shape(source: Source) -> tuple[int, int]:
    """Return the rows and columns to read at once: whole blocks of the source, of about 32 MB."""
    rows, cols = source.block_shape
    height, width = source.grid.shape
    rows, cols = min(rows, height), min(cols, width)
    pixel_bytes = source.dimension * source.dtype.itemsize
    while rows > 1 and rows * cols * pixel_bytes > _LARGEST_READ_BYTES:
        rows = -(-rows // 2)
    while cols > 1 and rows * cols * pixel_bytes > _LARGEST_READ_BYTES:
        cols = -(-cols // 2)
    while cols < width and 2 * rows * cols * pixel_bytes <= _READ_BYTES:
        cols *= 2
    while rows < height and 2 * rows * cols * pixel_bytes <= _READ_BYTES:
        rows *= 2
    return rows, cols


def reads_whole_blocks(source: Source) -> bool:
    """Whether one block of a source is read at once, as the sample reads it and the conversion.

    Where that is several, the sample of a local source reads one of them, and shares no read.
    """
    sides = zip(source.block_shape, source.grid.shape, strict=True)
    return read_shape(source) == tuple(min(block, side) for block, side in sides)


def draw_sample(
    source: Source,
    roles: PixelRoles,
    n_samples: int,
    run: Callable[[Callable[[Window], Any], Sequence[Window]], list[Any]],
    read: Callable[[Window], SourceData] | None = None,
) -> list[NDArray[np.float32]]:
    """Read the fit's sample from blocks spread over the raster.

    One block is drawn from each of 8 to 64 equal runs of blocks, of what is read at once. Where
    they hold less than half of `n_samples` valid pixels, further blocks follow in random order
    until they do. Before all that, one block of the source is read of each of the first, where it
    is large enough: on most rasters they suffice.

    Parameters
    ----------
    source
        The input.
    roles
        Keys of the pixels.
    n_samples
        How many pixels are wanted.
    run
        Applies a function to windows, in parallel, and returns the results in order.
    read
        Reads one block group; the sample cache passes its own reader.

    Returns
    -------
    blocks
        float32 arrays ``(dimension, n_pixels)``, all finite, in the order of reading.

    Raises
    ------
    NoValidPixelsError
        If the raster has no valid pixel.
    """
    windows = _candidates(source)
    if not windows:
        raise NoValidPixelsError("no pixel at all: expected embeddings")
    first = next(_rounds(windows, roles.seed))
    share = -(-n_samples // len(first))

    def sample(window: Window) -> tuple[NDArray[np.float32], int]:
        data = source.read(window) if read is None else read(window)
        return _fit_values(data, roles, window, share), data.rejected

    def collect(rounds: Iterable[Sequence[Window]]) -> tuple[list[NDArray[np.float32]], int, bool]:
        """Sample round after round until there are enough; also say whether there are."""
        blocks, rejected = [], 0
        for chosen in rounds:
            for block, count in run(sample, chosen):
                blocks.append(block)
                rejected += count
            if sum(block.shape[1] for block in blocks) * 2 >= n_samples:
                return blocks, rejected, True
        return blocks, rejected, False

    parts = first
    if read is None:
        parts = [_one_block(source, window, roles.seed, 4 * share) for window in parts]
    if parts != first:
        blocks, _, is_enough = collect([parts])
        if is_enough:
            return blocks
    blocks, rejected, _ = collect(_rounds(windows, roles.seed))
    if not any(block.shape[1] for block in blocks):
        raise _no_pixel(rejected)
    return blocks


def _candidates(source: Source) -> Sequence[Window]:
    """Return what is read at once, where there can be a valid pixel as far as is known."""
    occupied, shape = occupied_window(source), read_shape(source)
    if occupied != source.grid.window and occupied.size <= _MOST_LISTED * shape[0] * shape[1]:
        windows: Sequence[Window] = list(split(occupied, shape))
    else:
        windows = Blocks(source.grid.shape, shape)
    if len(windows) > _MOST_LISTED:  # those that are empty are found by reading them
        return windows
    return [window for window in windows if occupies(source, window)]


def _no_pixel(rejected: int) -> NoValidPixelsError:
    if rejected:
        return NoValidPixelsError(
            f"no valid pixel: {rejected:,} are corrupt or filled (scales out of range, nodata "
            "in some bands only, one number throughout, or a length that the product does not "
            "have), the others nodata; fetch it again"
        )
    return NoValidPixelsError(
        "no valid pixel: every one is nodata, masked, NaN or infinite; expected embeddings; "
        "check the nodata value (--nodata)"
    )


def sample_mean(encoding: Encoding, sample: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the mean of what decoding rebuilds of a sample, float64 ``(dimension,)``.

    Block after block: of thousands of components a second copy of the sample is half a gigabyte.
    """
    total = np.zeros(encoding.dimension)
    for block in sample:
        total += encoding.target(block).sum(axis=1, dtype=np.float64)
    mean: NDArray[np.float64] = total / sum(block.shape[1] for block in sample)
    return mean


def _fit_values(
    data: SourceData, roles: PixelRoles, window: Window, count: int
) -> NDArray[np.float32]:
    """Return a block's share of the sample, C-contiguous."""
    keys = roles.keys(window)
    valid = np.ones(window.size, np.bool_) if data.valid is None else data.valid.reshape(-1).copy()
    # Look at a few more pixels than are wanted, and at all only where too few are finite.
    for wanted in (count + count // 8, window.size):
        chosen = roles.fit_pixels(keys, valid, wanted)
        sample = data.planes(chosen)
        finite = np.isfinite(sample).all(axis=0)
        if finite.sum() >= count:
            break
    complete = np.flatnonzero(finite)
    order = np.argsort(keys[chosen[complete]], kind="stable")
    return np.ascontiguousarray(take_columns(sample, complete[np.sort(order[:count])]))


def _one_block(source: Source, window: Window, seed: int, fewest: int) -> Window:
    """Choose one block of the source in a window; all of it where blocks hold too few pixels."""
    blocks = [
        block
        for block in split(window, source.block_shape)
        if block.size >= fewest and occupies(source, block)
    ]
    if not blocks:
        return window
    rng = np.random.default_rng((seed, window.row, window.col))
    return blocks[int(rng.integers(len(blocks)))]


def _rounds(windows: Sequence[Window], seed: int) -> Iterator[Sequence[Window]]:
    """Yield first one block of each equal run of blocks, then the others in random order."""
    count = min(len(windows), max(_FEWEST_BLOCKS, min(len(windows) // _BLOCK_SHARE, _MOST_BLOCKS)))
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, len(windows), count + 1).astype(int)
    first = {int(rng.integers(low, high)) for low, high in pairwise(edges)}
    yield [windows[index] for index in sorted(first)]
    rest = (index for index in rng.permutation(len(windows)) if int(index) not in first)
    for batch in batched(rest, count):
        yield [windows[int(index)] for index in batch]


def _uniform(index: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Hash indices to [0, 1) with SplitMix64 (Steele, Lea & Flood 2014)."""
    start = np.uint64((seed * 0xD1342543DE82EF95 + 0x9E3779B97F4A7C15) % 2**64)
    z = (index + start) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


_CACHED_BYTES = 2**28
"""Decoded size of what is cached: the fit's first eight blocks of 32 MB."""


class SampleCache(ViewSource):
    """Another source, which caches what the fit reads until it is converted.

    The cache stays in this process: a copy sent to another one reads for itself.

    Parameters
    ----------
    source
        What is read.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._cached: dict[Window, SourceData] = {}
        self._free_bytes = _CACHED_BYTES
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is cached."""
        return {**self.__dict__, "_cached": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with nothing cached."""
        self.__dict__.update(state, _lock=threading.Lock())

    def read(self, window: Window) -> SourceData:
        """Read a window; one that was cached is forgotten, since each is converted once."""
        with self._lock:
            data = self._cached.pop(window, None)
        return super().read(window) if data is None else data

    def first_read(self, window: Window) -> SourceData:
        """Read a window that will be read once more, and cache it if there is room.

        Numbers that may not be written to lie in a file that the system keeps in memory: reading
        them again costs nothing.
        """
        data = super().read(window)
        size = data.values.nbytes
        with self._lock:
            if data.values.flags.writeable and size <= self._free_bytes:
                self._free_bytes -= size
                self._cached[window] = data
        return data
