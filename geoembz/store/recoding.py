"""Give a stored object other codecs: the same numbers, compressed in another way."""

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from geoembz.store.documents import open_codes
from geoembz.store.guard import guard_array
from geoembz.store.packing import repacked
from geoembz.store.writer import ChunkWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr.core.buffer import Buffer

_NAME, _INDEX_ENTRY, _CHECKSUM_BYTES = "array", 16, 4


def recode(content: bytes, document: Mapping[str, Any], *, archive: bool) -> bytes:
    """Return a shard, or a chunk without shards, with the codecs of `repacked`.

    Its numbers go through memory whole. The order of the chunks in a shard stays what it is.

    Parameters
    ----------
    content
        The object.
    document
        The ``zarr.json`` of its array.
    archive
        Which codecs it gets.

    Raises
    ------
    ValueError, RuntimeError
        If it is damaged.
    """
    one = _of_one_object(document)
    origin = (0,) * len(one["shape"])
    key = f"{_NAME}/c/{'/'.join(map(str, origin))}"
    stored: dict[str, Buffer] = {key: default_buffer_prototype().buffer.from_bytes(content)}
    values: NDArray[Any] = np.asarray(guard_array(open_codes(MemoryStore(stored), one, _NAME))[...])
    written: dict[str, Buffer] = {}
    ordered = _is_in_array_order(content, one)
    packed = repacked(one, archive=archive)
    array = open_codes(MemoryStore(written), packed, _NAME, first_axis_slowest=ordered)
    ChunkWriter(array).write(origin, values, np.ones((1,) * len(origin), np.bool_))
    return written[key].to_bytes()


def _of_one_object(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an array that is one stored object."""
    key_encoding = {"name": "default", "configuration": {"separator": "/"}}
    shape = document["chunk_grid"]["configuration"]["chunk_shape"]
    return {**document, "shape": shape, "chunk_key_encoding": key_encoding}


def _is_in_array_order(content: bytes, document: Mapping[str, Any]) -> bool:
    """Whether the chunks of a shard follow each other in C order; else along a Morton curve."""
    codec = document["codecs"][0]
    if codec["name"] != "sharding_indexed":
        return False
    inner = codec["configuration"]["chunk_shape"]
    count = prod(outer // side for outer, side in zip(document["shape"], inner, strict=True))
    index = content[-_INDEX_ENTRY * count - _CHECKSUM_BYTES : -_CHECKSUM_BYTES]
    offsets, sizes = np.frombuffer(index, "<u8").reshape(-1, 2).T
    there = offsets[sizes != np.iinfo(np.uint64).max]
    return bool((there[1:] > there[:-1]).all())
