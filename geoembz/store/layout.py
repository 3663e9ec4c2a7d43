"""How a store's arrays are cut into chunks and shards.

The choice depends on the raster and the encoding only, never on the machine, so that the same
input gives the same store everywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import zarr

from geoembz._geo.chunks import DEFAULT, ChunkSizes
from geoembz._geo.grid import Blocks, Window
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, StoreError

LARGEST_SHARD_BYTES = 128 * 2**20
"""Largest shard accepted to keep a source's block, or its strips, whole."""

_TASK_CHUNKS = 8
"""Chunks on a side that one task of a level writes, where there are no shards."""

MOST_SHARDS = 2**21
"""Most tasks that one conversion plans: each costs about a kilobyte."""


@dataclass(frozen=True)
class ChunkLayout:
    """Chunks and shards on the two spatial axes, and the part of the first axis in a chunk.

    Parameters
    ----------
    shape
        Height and width of the raster, in pixels.
    chunk
        Rows and columns of an inner chunk.
    shard
        Rows and columns of a shard, multiples of the chunk's.
    is_sharded
        False where every chunk is an object of its own; `shard` is then what one task writes.
    prefix
        Stored numbers per vector in one chunk, so that a prefix of the components is read alone;
        None for all of them. Shards hold whole vectors.
    """

    shape: tuple[int, int]
    chunk: tuple[int, int]
    shard: tuple[int, int]
    is_sharded: bool = True
    prefix: int | None = None

    @property
    def stored_chunk(self) -> tuple[int, int]:
        """Rows and columns of one stored object."""
        return self.shard if self.is_sharded else self.chunk

    def shards(self) -> Blocks:
        """Return the windows of all shards, clipped to the raster, row by row."""
        return Blocks(self.shape, self.shard)


def choose_layout(
    shape: tuple[int, int],
    bytes_per_pixel: int,
    source_block: tuple[int, int],
    *,
    chunk: int | None = None,
    shard: int | str | None = None,
    prefix: int | None = None,
    sizes: ChunkSizes = DEFAULT,
) -> ChunkLayout:
    """Choose chunk and shard shapes.

    Parameters
    ----------
    shape
        Height and width of the raster, in pixels.
    bytes_per_pixel
        Size of one pixel's code.
    source_block
        Rows and columns that the source reads at once: shards hold whole ones where they can.
    chunk
        Side of an inner chunk, in pixels; None chooses (by default 0.25 to 1 MB).
    shard
        Side of a shard, a multiple of `chunk`; ``"none"`` for no sharding; None chooses.
    prefix
        Stored numbers per vector in one chunk; None for all of them. Chunks keep their sides.
    sizes
        What is chosen keeps to these.

    Raises
    ------
    InvalidConfigError
        If a side is not positive, the shard is no multiple of the chunk, or there are too many.

    References
    ----------
    spec/format.md, "Chunks and shards".

    Examples
    --------
    >>> choose_layout((10_980, 10_980), 64, (512, 512))
    ChunkLayout(shape=(10980, 10980), chunk=(128, 128), shard=(1024, 1024), is_sharded=True,
                prefix=None)
    """
    side = min(sizes.chunk_side(bytes_per_pixel), max(shape)) if chunk is None else chunk
    if side < 1:
        raise InvalidConfigError(f"chunk {side}; expected a side of 1 pixel or more")
    asked, side = side, min(side, max(shape))
    inner = (side, side)
    is_sharded = True
    if isinstance(shard, str):
        if shard != "none":
            raise InvalidConfigError(f"shard {shard!r}; expected a number of pixels or 'none'")
        is_sharded, shard = False, None
    if shard is None:
        first = _first_shard(side, shape, bytes_per_pixel, source_block)
        outer = sizes.grow_shard(shape, bytes_per_pixel, first, side)
    elif shard < asked or shard % asked:
        raise InvalidConfigError(
            f"shard {shard}; expected a multiple of the chunk, {asked} pixels, or 'none'"
        )
    else:
        outer = (shard // asked * side, shard // asked * side)
    layout = ChunkLayout(shape, inner, _clip(outer, inner, shape), is_sharded, prefix)
    _refuse_too_many(layout)
    return layout


def level_layouts(full: ChunkLayout, count: int) -> tuple[ChunkLayout, ...]:
    """Return the chunks and shards of the levels below a full resolution, finest first.

    Sides are powers of two, so that a shard of a level lies above whole shards of the finer one.

    Parameters
    ----------
    full
        Of the full resolution.
    count
        Number of levels.

    Examples
    --------
    >>> base = choose_layout((2048, 2048), 64, (512, 512))
    >>> [(layout.shape[0], layout.chunk[0], layout.shard[0]) for layout in level_layouts(base, 3)]
    [(1024, 128, 512), (512, 128, 512), (256, 128, 256)]
    """
    layouts = []
    for number in range(1, count + 1):
        rows, cols = (-(-side // 2**number) for side in full.shape)
        largest = 1 << (max(rows, cols) - 1).bit_length()
        height, width = (min(_power_of_two(side), largest) for side in full.chunk)
        task = full.shard if full.is_sharded else tuple(_TASK_CHUNKS * side for side in full.chunk)
        outer = tuple(max(_power_of_two(side), 2 ** (count - 1)) for side in task)
        outer = max(outer[0], height), max(outer[1], width)
        chunk, shape = (height, width), (rows, cols)
        layouts.append(
            ChunkLayout(shape, chunk, _clip(outer, chunk, shape), full.is_sharded, full.prefix)
        )
    return tuple(layouts)


def layout_of(array: zarr.Array[Any]) -> ChunkLayout:
    """Return how an array of codes ``(…, code_length, height, width)`` is cut."""
    chunk, shard = array.chunks, array.shards or array.chunks
    prefix = None if chunk[-3] >= array.shape[-3] else chunk[-3]
    shape, inner, outer = ((sides[-2], sides[-1]) for sides in (array.shape, chunk, shard))
    return ChunkLayout(shape, inner, outer, array.shards is not None, prefix)


def stored_level_layouts(
    where: str, full: ChunkLayout, arrays: Sequence[zarr.Array[Any]]
) -> tuple[ChunkLayout, ...]:
    """Return how the levels of a store are cut, finest first, where more can be written to them.

    Parameters
    ----------
    where
        The store, for messages.
    full
        Of the full resolution.
    arrays
        Codes of the levels.

    Raises
    ------
    StoreError
        If a shard of a level does not lie above whole shards of the finer one.
    """
    found, expected = tuple(map(layout_of, arrays)), level_layouts(full, len(arrays))
    if all(_is_same(*pair) for pair in zip(found, expected, strict=True)):
        return expected
    step = 2 ** (len(arrays) - 1)
    for axis in (0, 1):
        sides = {one.shard[axis] for one in found if one.shard[axis] < one.shape[axis]}
        if len(sides) > 1 or any(side % step for side in sides):
            raise StoreError(
                f"{where}: overviews in shards of {sorted(sides)} pixels; expected sides that are "
                f"alike and a multiple of {step}; make them anew with `geoembz overviews "
                "--overwrite`"
            )
    return found


def _is_same(found: ChunkLayout, expected: ChunkLayout) -> bool:
    """Whether a layout as metadata tell it is another one: without shards they tell less."""
    return found == expected or (
        not expected.is_sharded and replace(found, shard=expected.shard) == expected
    )


def _refuse_too_many(layout: ChunkLayout) -> None:
    count = len(layout.shards())
    if count > MOST_SHARDS:
        rows, cols = layout.shape
        raise InvalidConfigError(
            f"a raster of {rows:,} x {cols:,} pixels makes {count:,} shards of {layout.shard[0]} x "
            f"{layout.shard[1]}; expected at most {MOST_SHARDS:,}, so that a plan fits into "
            "memory; take a larger --shard, or convert it in parts"
        )


def _first_shard(
    side: int, shape: tuple[int, int], bytes_per_pixel: int, source_block: tuple[int, int]
) -> tuple[int, int]:
    """Return the smallest shard: a chunk, or the source's block where chunks fill it exactly."""
    height, width = source_block
    if width >= shape[1] > side:  # strips: whole rows, or each strip is read once per shard
        affordable = LARGEST_SHARD_BYTES // (bytes_per_pixel * side * side)
        return side, min(shape[1], max(affordable, 1) * side)
    too_large = height * width * bytes_per_pixel > LARGEST_SHARD_BYTES
    if height % side or width % side or too_large:
        return side, side
    return height, width


def _clip(
    outer: tuple[int, int], inner: tuple[int, int], shape: tuple[int, int]
) -> tuple[int, int]:
    """Cut a shard to the raster, rounded up to whole chunks."""
    rows, cols = (
        min(-(-size // step) * step, -(-extent // step) * step)
        for size, step, extent in zip(outer, inner, shape, strict=True)
    )
    return rows, cols


TABLE_CHUNK_BYTES = 2**19
"""Largest chunk of a table's codes chosen by default."""

TABLE_SHARD_BYTES = 32 * 2**20
"""Largest shard of a table's codes chosen by default."""

MOST_CHUNK_ROWS, MOST_SHARD_ROWS = 8192, 131_072
"""Rows have other columns too: these bound what one task holds of them."""

OTHER_BYTES = 64 * 2**20
"""Size of the other columns of a default shard, which one task holds in memory."""


@dataclass(frozen=True)
class Column:
    """A numeric column that becomes an array.

    Parameters
    ----------
    name
        Of the column and of the array.
    dtype
        Of the array.
    attributes
        CF attributes, such as the units of a time.
    """

    name: str
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TablePlan:
    """Enough to write a store's shards on any machine and its metadata at the end.

    Parameters
    ----------
    encoding
        The fitted encoding.
    n_rows
        Rows of the table.
    chunk, shard
        Rows of a chunk and of a shard, a multiple of it.
    columns
        Numeric columns.
    archive
        Whether chunks are packed to be small, not to be read often.
    """

    encoding: Encoding
    n_rows: int
    chunk: int
    shard: int
    columns: tuple[Column, ...] = ()
    archive: bool = False

    @property
    def has_mask(self) -> bool:
        """Whether validity is an array of its own."""
        return self.encoding.nodata is None

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n_rows // self.chunk)

    def shards(self) -> Iterator[Window]:
        """Return the rows of all shards, as windows one column wide."""
        for start in range(0, self.n_rows, self.shard):
            yield Window(start, 0, min(self.shard, self.n_rows - start), 1)


def choose_rows(
    n_rows: int,
    bytes_per_vector: int,
    *,
    other_bytes: float = 0.0,
    chunk: int | None = None,
    shard: int | None = None,
) -> tuple[int, int]:
    """Choose the rows of a chunk and of a shard.

    Parameters
    ----------
    n_rows
        Rows of the table.
    bytes_per_vector
        Size of one code vector.
    other_bytes
        Size of a row's other columns, about.
    chunk, shard
        What the user asks for.

    Raises
    ------
    InvalidConfigError
        If a number is not positive, or the shard is no multiple of the chunk.

    Examples
    --------
    >>> choose_rows(1_000_000, 64)
    (8192, 131072)
    >>> choose_rows(2_880, 64)
    (2880, 2880)
    >>> choose_rows(1_000_000, 64, other_bytes=1e6)
    (64, 64)
    """
    light = max(1, int(OTHER_BYTES / max(other_bytes, 1.0)))
    rows = chunk if chunk is not None else _power_of_two(TABLE_CHUNK_BYTES // bytes_per_vector)
    if rows < 1:
        raise InvalidConfigError(f"chunk {chunk}; expected 1 row or more")
    rows = min(rows, n_rows if chunk is None else rows)
    if chunk is None:
        rows = min(rows, MOST_CHUNK_ROWS, _power_of_two(light))
    if shard is None:
        most = min(TABLE_SHARD_BYTES // bytes_per_vector, MOST_SHARD_ROWS, light)
        whole = -(-n_rows // rows) * rows
        return rows, min(max(most // rows, 1) * rows, whole)
    if shard < rows or shard % rows:
        raise InvalidConfigError(f"shard {shard}; expected a multiple of the chunk, {rows} rows")
    return rows, shard


def _power_of_two(limit: int) -> int:
    return max(1, int(2 ** np.floor(np.log2(max(limit, 1)))))
