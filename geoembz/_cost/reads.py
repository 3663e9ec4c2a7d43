"""What reading a window costs: requests, bytes, and bytes fetched per byte wanted.

Knows only chunk and shard shapes. A read fetches one index per shard touched, then whole chunks.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from geoembz._geo.chunks import Access, sizes_for
from geoembz.errors import InvalidConfigError

_ENDLESS = (2**30, 2**30)  # a raster that limits no shard
_INDEX_ENTRY_BYTES = 16  # offset and length, uint64 each (Zarr v3 sharding codec)
_INDEX_CRC_BYTES = 4  # its checksum, CRC-32C


@dataclass(frozen=True, slots=True)
class Layout:
    """Chunk and shard of the code array, in pixels.

    Parameters
    ----------
    chunk
        Height and width of an inner chunk, in pixels.
    shard
        Height and width of a shard (one object), in pixels, whole multiples of the chunk's.
    parts
        Chunks that a vector is divided among, along its components.
    is_sharded
        Whether a shard has an index; if not, each chunk is an object.
    """

    chunk: tuple[int, int]
    shard: tuple[int, int]
    parts: int = 1
    is_sharded: bool = True

    def __post_init__(self) -> None:
        """Refuse chunks that do not tile their shard."""
        if min(self.chunk) < 1 or any(s % c for s, c in zip(self.shard, self.chunk, strict=True)):
            raise InvalidConfigError(
                f"cost: shard {self.shard} is not a whole number of chunks {self.chunk}; "
                "expected multiples in both directions, in pixels"
            )

    @property
    def chunks_per_shard(self) -> int:
        """Number of inner chunks in a shard."""
        places = (self.shard[0] // self.chunk[0]) * (self.shard[1] // self.chunk[1])
        return places * self.parts

    @property
    def shard_pixels(self) -> int:
        """Pixels in a shard."""
        return self.shard[0] * self.shard[1]

    @property
    def index_bytes(self) -> int:
        """Size of a shard's index, in bytes; 0 where shard and chunk are the same."""
        if self.chunks_per_shard == 1 or not self.is_sharded:
            return 0
        return self.chunks_per_shard * _INDEX_ENTRY_BYTES + _INDEX_CRC_BYTES


@dataclass(frozen=True, slots=True)
class ObjectCount:
    """The objects of a measured store: each was written by one request.

    Parameters
    ----------
    shards
        Shards of the code array that exist; parts of the same pixels count once.
    scaling
        Objects that become more with the pixels: shards of codes, of `valid`, of columns.
    constant
        The others: metadata, coordinates, the encoding's arrays.
    """

    shards: int
    scaling: int
    constant: int

    def __post_init__(self) -> None:
        """Refuse a store without shards."""
        if not 1 <= self.shards <= self.scaling or self.constant < 0:
            raise InvalidConfigError(
                f"cost: {self.shards} shards, {self.scaling} objects that scale and "
                f"{self.constant} others; expected at least one shard, which is an object"
            )

    def at(self, shards: int, scale: Fraction) -> int:
        """Return how many objects a store of another size would have.

        Parameters
        ----------
        shards
            Full shards that it needs.
        scale
            Its pixels over those measured. At 1 the count is what was measured; shards cut by the
            edges of the measured store never make a larger one look smaller.
        """
        full = -(-shards * self.scaling // self.shards)
        if scale == 1:
            full = self.scaling
        bound = max if scale > 1 else min
        return bound(full, self.scaling) + self.constant


@dataclass(frozen=True, slots=True)
class ReadCost:
    """The mean cost of one read of a window placed anywhere.

    Parameters
    ----------
    window
        Height and width, in pixels.
    requests
        GET requests: one per shard index, one per chunk (coalescing may save some).
    bytes_fetched, bytes_wanted
        Sizes, in bytes, before any entropy coding.
    """

    window: tuple[int, int]
    requests: float
    bytes_fetched: float
    bytes_wanted: float

    @property
    def amplification(self) -> float:
        """Bytes fetched per byte wanted."""
        return self.bytes_fetched / self.bytes_wanted


def choose_layout(
    bytes_per_embedding: float, access: Access | None = None, *, is_divisible: bool = False
) -> Layout:
    """Return the layout that geoembz chooses for a large raster.

    Parameters
    ----------
    bytes_per_embedding
        Size of one pixel's codes, in bytes.
    access
        What it is read for; None for chunks up to 1 MiB in shards up to 64.
    is_divisible
        Whether chunks may be cut along the components.

    Raises
    ------
    InvalidConfigError
        If there is no such way of reading.

    Examples
    --------
    >>> choose_layout(64)
    Layout(chunk=(128, 128), shard=(1024, 1024), parts=1, is_sharded=True)
    >>> choose_layout(64, "browser", is_divisible=True)
    Layout(chunk=(256, 256), shard=(1024, 1024), parts=3, is_sharded=True)
    """
    sizes = sizes_for(access)
    side = sizes.chunk_side(bytes_per_embedding)
    shard = sizes.grow_shard(_ENDLESS, bytes_per_embedding, (side, side), side)
    chunk_bytes = math.ceil(side * side * bytes_per_embedding)
    parts = sizes.count_parts(chunk_bytes, has_mask=not is_divisible)
    return Layout((side, side), shard, parts)


def window_read(layout: Layout, bytes_per_embedding: float, window: tuple[int, int]) -> ReadCost:
    """Return what reading one window costs on average over its possible positions.

    A window of w pixels meets ``1 + (w - 1) / c`` chunks of c pixels in each direction.

    Parameters
    ----------
    layout
        Chunk and shard, in pixels.
    bytes_per_embedding
        Size of one pixel's codes, in bytes.
    window
        Height and width, in pixels, at least 1.

    Raises
    ------
    InvalidConfigError
        If the window has no pixel.

    Examples
    --------
    >>> point = window_read(choose_layout(64), 64, (1, 1))
    >>> point.requests, point.amplification
    (2.0, 16400.0625)
    """
    if min(window) < 1:
        raise InvalidConfigError(f"cost: a window of {window} pixels; expected at least 1 x 1")
    chunks = _count_touched(window, layout.chunk)
    indexes = _count_touched(window, layout.shard) if layout.index_bytes else Fraction(0)
    chunk_bytes = layout.chunk[0] * layout.chunk[1] * bytes_per_embedding
    return ReadCost(
        window=window,
        requests=float(chunks * layout.parts + indexes),
        bytes_fetched=float(chunks) * chunk_bytes + float(indexes) * layout.index_bytes,
        bytes_wanted=window[0] * window[1] * bytes_per_embedding,
    )


def _count_touched(window: tuple[int, int], tile: tuple[int, int]) -> Fraction:
    rows, cols = (1 + Fraction(w - 1, t) for w, t in zip(window, tile, strict=True))
    return rows * cols
