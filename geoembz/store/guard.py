"""Read arrays of stores that nobody vouches for: bounded memory, no code but the format's own.

Knows Zarr's codecs. What an array claims is checked before it is read, and what a chunk claims
before it is decompressed.
"""

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.core.metadata import ArrayV3Metadata

from geoembz.errors import StoreError
from geoembz.store.zstd import FRAME_HEADER_BYTES, frame_content_size

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

MOST_CHUNK_BYTES, MOST_SHARD_CHUNKS = 2**28, 2**20
"""Largest chunk, and most chunks of a shard, that are believed: each costs memory to read."""

_GAPS_PER_CHUNK = 8
"""Unwanted bytes between two chunks read in one request: at most this part of a chunk."""


def guarded(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return an array that refuses what costs more than it claims.

    Partial reads of a shard join neighbouring chunks and fetch nothing between: Zarr joins chunks
    up to 1 MiB apart, which can fetch several times what was asked for.

    Raises
    ------
    StoreError
        If its chunks are too large to be believed, or it has codecs that are none of the format's.
    """
    chunk_bytes = prod(array.chunks) * array.dtype.itemsize
    n_chunks = prod(array.shards or array.chunks) // max(1, prod(array.chunks))
    if chunk_bytes > MOST_CHUNK_BYTES or n_chunks > MOST_SHARD_CHUNKS:
        raise StoreError(
            f"{array.store_path}: chunks of {chunk_bytes} bytes, {n_chunks} to a shard; expected "
            f"at most {MOST_CHUNK_BYTES} bytes and {MOST_SHARD_CHUNKS} chunks; the store is damaged"
        )
    metadata = array.metadata
    if not isinstance(metadata, ArrayV3Metadata):
        raise StoreError(f"{array.store_path}: an array of Zarr v2; expected v3")
    codecs = tuple(_guarded_codec(array, codec) for codec in metadata.codecs)
    bound = zarr.AsyncArray(
        metadata=replace(metadata, codecs=codecs),
        store_path=array.store_path,
        config=array._async_array.config,  # noqa: SLF001 - no public name
    )
    gap = chunk_bytes // _GAPS_PER_CHUNK
    return zarr.Array(bound).with_config({"sharding_coalesce_max_gap_bytes": gap})


def _guarded_codec(array: zarr.Array[Any], codec: Any) -> Any:
    """Return a codec that checks before it decompresses, or refuse one that the format lacks."""
    if isinstance(codec, ShardingCodec):
        inner = tuple(_guarded_codec(array, member) for member in codec.codecs)
        return replace(codec, codecs=inner)
    if isinstance(codec, ZstdCodec):
        return _BoundedZstd(level=codec.level, checksum=codec.checksum)
    if isinstance(codec, BytesCodec | Crc32cCodec | TransposeCodec):
        return codec
    raise StoreError(
        f"{array.store_path}: codec {type(codec).__name__} is none of the format's; expected "
        "bytes, zstd, crc32c, transpose and sharding_indexed; the store was not made by geoembz"
    )


class _BoundedZstd(ZstdCodec):
    """Decompresses a frame only if it says that it holds no more than the chunk."""

    def _decode_sync(self, chunk_bytes: "Buffer", chunk_spec: "ArraySpec") -> "Buffer":
        limit = prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        size = frame_content_size(chunk_bytes.to_bytes()[:FRAME_HEADER_BYTES])
        if size is None or size > limit:
            raise ValueError(f"a chunk says that it holds {size} bytes; expected {limit}")
        return super()._decode_sync(chunk_bytes, chunk_spec)
