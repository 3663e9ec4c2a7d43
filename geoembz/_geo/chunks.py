"""How large chunks and shards are where nobody says it: by default, and for one way of reading.

Knows only arithmetic. The sizes were measured (docs/performance.md, "Chunks for a way of reading").
"""

from dataclasses import dataclass
from typing import Literal

from geoembz.errors import InvalidConfigError

type Access = Literal["browser", "points", "bulk"]
"""A way of reading that a store is cut for."""

SMALL_SHARD_BYTES = 8 * 2**20
"""Shards grow to this size even where few are left to share among workers."""

ENOUGH_SHARDS = 16
"""Four shards for each of four workers: larger shards stop growing before fewer remain."""


@dataclass(frozen=True)
class ChunkSizes:
    """Limits on chunks and shards, in bytes before entropy coding.

    Parameters
    ----------
    chunk_bytes
        Largest chunk of whole vectors.
    sides
        Smallest and largest side of a chunk, in pixels.
    shard_bytes
        Largest shard.
    shard_chunks
        Most chunks of a shard, whose index has 16 bytes of each.
    part_bytes, parts
        Chunks larger than `part_bytes` are cut along the components, where these have an order,
        into `parts` at most.
    """

    chunk_bytes: int = 2**20
    sides: tuple[int, int] = (8, 1024)
    shard_bytes: int = 64 * 2**20
    shard_chunks: int = 2**20
    part_bytes: int = 2**20
    parts: int = 1

    def chunk_side(self, bytes_per_pixel: float) -> int:
        """Return the side of a chunk: the largest power of two within the limits.

        Examples
        --------
        >>> ChunkSizes().chunk_side(64), ChunkSizes().chunk_side(4096)
        (128, 16)
        """
        side, largest = self.sides
        while side < largest and (2 * side) ** 2 * bytes_per_pixel <= self.chunk_bytes:
            side *= 2
        return side

    def count_parts(self, chunk_bytes: int, *, has_mask: bool) -> int:
        """Return into how many parts a chunk of whole vectors is cut along the components.

        One where validity is an array of its own: to read that takes two requests already.
        """
        return 1 if has_mask else min(self.parts, max(1, -(-chunk_bytes // self.part_bytes)))

    def grow_shard(
        self, shape: tuple[int, int], bytes_per_pixel: float, first: tuple[int, int], side: int
    ) -> tuple[int, int]:
        """Return a shard: doubled while it stays small, or while enough shards remain.

        Parameters
        ----------
        shape
            Height and width of the raster, in pixels.
        bytes_per_pixel
            Size of one pixel's code.
        first
            Rows and columns of the smallest one.
        side
            Of a chunk.
        """
        rows, cols = first
        while rows < shape[0] or cols < shape[1]:
            grown = (rows * 2, cols) if rows <= cols or cols >= shape[1] else (rows, cols * 2)
            size = grown[0] * grown[1] * bytes_per_pixel
            count = -(-shape[0] // grown[0]) * -(-shape[1] // grown[1])
            if size > self.shard_bytes or (size > SMALL_SHARD_BYTES and count < ENOUGH_SHARDS):
                break
            if grown[0] * grown[1] > self.shard_chunks * side * side:
                break
            if rows >= shape[0] and cols >= shape[1]:
                break
            rows, cols = grown
        return rows, cols


DEFAULT = ChunkSizes()

FOR: dict[str, ChunkSizes] = {
    "browser": ChunkSizes(chunk_bytes=16 * 2**20, sides=(8, 256), parts=3),
    "points": ChunkSizes(chunk_bytes=64 * 2**10, sides=(1, 1024), shard_chunks=1024),
    "bulk": ChunkSizes(chunk_bytes=4 * 2**20),
}
"""Sizes by what a store is read for.

``browser``: a map's tile of 256 x 256 pixels is one place of a shard, in at most three parts, and
its first components are the first part. ``points``: a chunk and an index are small. ``bulk``: few
and large chunks; shards stay what one worker holds.
"""


def sizes_for(access: Access | None) -> ChunkSizes:
    """Return the sizes for a way of reading; None for the default.

    Raises
    ------
    InvalidConfigError
        If there is no such way.
    """
    if access is None:
        return DEFAULT
    if access not in FOR:
        raise InvalidConfigError(f"--for {access!r}; expected one of {', '.join(FOR)}")
    return FOR[access]
