"""Encode and write whole stored chunks in the calling thread.

zarr-python's own codecs make the bytes. What is left out is its event loop, which hands every inner
chunk of a shard from thread to thread: here the workers are busy already, each with a shard.
"""

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.chunk_utils import ChunkTransform, encode_or_elide_chunk, evolve_codecs
from zarr.core.sync import sync
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


class ChunkWriter:
    """Writes whole stored chunks of one array; several threads may share it.

    Parameters
    ----------
    array
        Where to write; its metadata need not be stored (yet).

    Raises
    ------
    TypeError
        If one of its codecs cannot run in the calling thread.
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        metadata: Any = array.metadata
        self._store, self._path, self._key = array.store, array.path, metadata.encode_chunk_key
        self._shape: tuple[int, ...] = metadata.chunk_grid.chunk_shape
        self._dtype, self._fill = array.dtype, metadata.fill_value
        self._spec = ArraySpec(
            shape=self._shape,
            dtype=metadata.data_type,
            fill_value=metadata.fill_value,
            config=ArrayConfig.from_dict({"write_empty_chunks": False}),
            prototype=default_buffer_prototype(),
        )
        self._transform = ChunkTransform(codecs=evolve_codecs(metadata.codecs, self._spec))

    def write(self, corner: tuple[int, ...], values: NDArray[Any]) -> None:
        """Write what begins at a chunk's first corner; chunks of fill values only are left out.

        Parameters
        ----------
        corner
            Indices of the first number, multiples of the chunk shape.
        values
            Numbers up to the end of the last chunk, or up to the end of the array.
        """
        counts = (-(-n // size) for n, size in zip(values.shape, self._shape, strict=True))
        for place in product(*map(range, counts)):
            start = tuple(i * size for i, size in zip(place, self._shape, strict=True))
            region = tuple(slice(i, i + size) for i, size in zip(start, self._shape, strict=True))
            content = self._encode(values[region])
            if content is not None:
                first = (i // size for i, size in zip(corner, self._shape, strict=True))
                self._put(tuple(i + j for i, j in zip(first, place, strict=True)), content)

    def _encode(self, values: NDArray[Any]) -> "Buffer | None":
        if values.shape != self._shape:  # at the array's edges
            whole = np.full(self._shape, self._fill, dtype=self._dtype)
            whole[tuple(map(slice, values.shape))] = values
            values = whole
        chunk = self._spec.prototype.nd_buffer.from_numpy_array(values)
        return encode_or_elide_chunk(chunk, self._spec, self._transform.encode_chunk)

    def _put(self, place: tuple[int, ...], content: "Buffer") -> None:
        key = f"{self._path}/{self._key(place)}"
        if isinstance(self._store, LocalStore):
            self._store.set_sync(key, content)
        else:
            sync(self._store.set(key, content))
