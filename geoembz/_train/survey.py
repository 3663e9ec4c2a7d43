"""Which patches a store has: all places on a lattice, those counted out that hold too little.

Patches are kept block by block, in the order in which they lie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.pixels import CodesReader
from geoembz._evaluate.sample import Rows
from geoembz._export.region import Region
from geoembz._geo.grid import Window
from geoembz._train.blocks import Block, block_shape
from geoembz._train.dense import LabelOptions, WindowLabels
from geoembz._util.threads import in_order, worker_count
from geoembz.errors import InvalidConfigError

_MOST_PATCHES = 2**26
"""Most places that are looked at: each takes 24 bytes."""

type Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Places(Rows):
    """Places of patches.

    Parameters
    ----------
    parts
        Number of the grid of each, int64, shape ``(n,)``.
    rows, cols
        First pixel.
    blocks
        Number of the block that the first pixel lies in; ascending.
    """

    parts: Numbers
    rows: Numbers
    cols: Numbers
    blocks: Numbers

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)

    def starts(self) -> Numbers:
        """Return where each block's patches begin, and their number at the end."""
        changes = np.flatnonzero(np.diff(self.blocks, prepend=-1))
        return np.append(changes, len(self)).astype(np.int64)

    def windows(self, size: int) -> list[Block]:
        """Return what is to be read for each block: all of its patches."""
        starts = self.starts()
        first, numbers = starts[:-1], self.parts[starts[:-1]]
        edges = [
            reduce.reduceat(axis, first) if len(first) else axis
            for axis in (self.rows, self.cols)
            for reduce in (np.minimum, np.maximum)
        ]
        return [
            Block(part, Window(top, left, bottom - top + size, right - left + size))
            for part, top, bottom, left, right in zip(
                *(values.tolist() for values in (numbers, *edges)), strict=True
            )
        ]


def lay_out(regions: Sequence[Region], size: int, stride: int) -> Places:
    """Return the places of all patches that lie in regions whole.

    Raises
    ------
    InvalidConfigError
        If there is none, or far too many.
    """
    axes = [_axes(region.window, size, stride) for region in regions]
    count = sum(len(rows) * len(cols) for rows, cols in axes)
    if not count or count > _MOST_PATCHES:
        sides = ", ".join(f"{r.window.height} x {r.window.width}" for r in regions[:3])
        raise InvalidConfigError(
            f"{regions[0].reader.url}: {count:,} patches of {size} x {size} pixels, {stride} "
            f"apart, in {sides} pixels; expected 1 to {_MOST_PATCHES:,}: choose another size or "
            "stride, or a part (bbox)"
        )
    laid: list[tuple[Numbers, ...]] = []
    blocks = 0
    for number, (region, (rows, cols)) in enumerate(zip(regions, axes, strict=True)):
        down, across = (part.reshape(-1) for part in np.meshgrid(rows, cols, indexing="ij"))
        height, width = block_shape(region.reader)
        keys = down // height * (region.window.col + region.window.width) + across // width
        order = np.argsort(keys, kind="stable")
        own = np.unique(keys[order], return_inverse=True)[1] + blocks
        blocks = int(own[-1]) + 1 if len(own) else blocks
        laid.append((np.full(len(order), number), down[order], across[order], own))
    return Places(*(np.concatenate(column).astype(np.int64) for column in zip(*laid, strict=True)))


def _axes(window: Window, size: int, stride: int) -> tuple[Numbers, Numbers]:
    rows = np.arange(window.row, window.row + window.height - size + 1, stride)
    return rows, np.arange(window.col, window.col + window.width - size + 1, stride)


@dataclass(frozen=True, eq=False)
class Survey:
    """What was counted of patches.

    Parameters
    ----------
    places
        Those that hold enough.
    classes
        All classes of labels in patches, in order; None without, and of quantities.
    """

    places: Places
    classes: NDArray[Any] | None = None


def survey(
    regions: Sequence[Region],
    places: Places,
    size: int,
    min_valid: float,
    labels: WindowLabels | None,
    options: LabelOptions | None,
) -> Survey:
    """Count what patches hold, and leave out those of too little.

    Codes are read, once, only where `min_valid` is above 0; a mask stands for them where a store
    has one.

    Parameters
    ----------
    regions, places, size
        Where patches lie.
    min_valid
        Least share of pixels with an embedding.
    labels, options
        Labels, of which a patch must have one.
    """
    enough, labelled = np.ones(len(places), np.bool_), np.ones(len(places), np.bool_)
    starts, known_classes = places.starts(), np.empty(0)
    for number, (block, valid) in enumerate(_valid(regions, places.windows(size), min_valid)):
        own = slice(int(starts[number]), int(starts[number + 1]))
        corners = (places.rows[own] - block.window.row, places.cols[own] - block.window.col)
        if valid is not None:
            enough[own] = _count(valid, corners, size) >= min_valid * size * size
        if labels is not None and options is not None:
            values, known = labels.read(block.part, block.window)
            known = known if valid is None else known & valid
            labelled[own] = _count(known, corners, size) > 0
            found = np.unique(options.number(values[known])) if known.any() else values[:0, 0]
            known_classes = np.union1d(known_classes, found) if len(known_classes) else found
    places = places.without(~enough, f"patch of less than {min_valid:.4g} with data")
    places = places.without(~labelled[enough], "patch without a label")
    is_classes = options is not None and not options.quantities
    return Survey(places, known_classes if is_classes else None)


def _valid(
    regions: Sequence[Region], blocks: Sequence[Block], min_valid: float
) -> Iterator[tuple[Block, NDArray[np.bool_] | None]]:
    """Yield blocks with the validity of their pixels; None where all are, or nobody asks."""
    if not min_valid:
        yield from ((block, None) for block in blocks)
        return
    read = partial(_read_valid, regions)
    yield from zip(blocks, in_order(blocks, read, worker_count(), ahead=8), strict=True)


def _read_valid(regions: Sequence[Region], block: Block) -> NDArray[np.bool_] | None:
    reader, date = regions[block.part].reader, regions[block.part].date
    if reader.encoding.nodata is None:
        return reader.read_mask(block.window, date)
    return CodesReader(reader, date)(block.window)[1]


def _count(known: NDArray[np.bool_], corners: tuple[Numbers, Numbers], size: int) -> Numbers:
    """Return how many of the pixels of squares are known, by sums over all pixels above left."""
    sums = np.zeros((known.shape[0] + 1, known.shape[1] + 1), np.int64)
    known.cumsum(axis=0, dtype=np.int64).cumsum(axis=1, out=sums[1:, 1:])
    (top, left), bottom, right = corners, corners[0] + size, corners[1] + size
    return np.asarray(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])
