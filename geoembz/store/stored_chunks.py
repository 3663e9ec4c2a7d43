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

from geoembz.store.digests import StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self._encode_or_elide = _encoder(metadata, write_empty_chunks=False)
        self._encode_always = _encoder(metadata, write_empty_chunks=True)

    def write(
        self,
        corner: tuple[int, ...],
        values: NDArray[Any],
        needed: NDArray[np.bool_] | None = None,
    ) -> dict[str, StoredObject]:
        """Write what begins at a chunk's first corner; chunks of fill values only are left out.

        Parameters
        ----------
        corner
            Indices of the first number, multiples of the chunk shape.
        values
            Numbers up to the end of the last chunk, or up to the end of the array.
        needed
            Which of them are to be stored even where all of their chunk are the fill value; as
            many axes as `values`, of the same length or 1.

        Returns
        -------
        stored
            What was written, by key.
        """
        stored = {}
        counts = (-(-n // size) for n, size in zip(values.shape, self._shape, strict=True))
        for place in product(*map(range, counts)):
            start = tuple(i * size for i, size in zip(place, self._shape, strict=True))
            region = tuple(slice(i, i + size) for i, size in zip(start, self._shape, strict=True))
            content = self._encode(values[region], is_needed=_any(needed, region))
            if content is not None:
                first = (i // size for i, size in zip(corner, self._shape, strict=True))
                key = self._put(tuple(i + j for i, j in zip(first, place, strict=True)), content)
                stored[key] = StoredObject.of(content.to_bytes())
        return stored

    def _encode(self, values: NDArray[Any], *, is_needed: bool) -> "Buffer | None":
        values = np.asarray(values, self._dtype)
        if values.shape != self._shape:  # at the array's edges
            whole = np.full(self._shape, self._fill, dtype=self._dtype)
            whole[tuple(map(slice, values.shape))] = values
            values = whole
        content = self._encode_or_elide(values)
        return self._encode_always(values) if content is None and is_needed else content

    def _put(self, place: tuple[int, ...], content: "Buffer") -> str:
        key = f"{self._path}/{self._key(place)}"
        if isinstance(self._store, LocalStore):
            self._store.set_sync(key, content)
        else:
            sync(self._store.set(key, content))
        return key


def _encoder(
    metadata: Any, *, write_empty_chunks: bool
) -> "Callable[[NDArray[Any]], Buffer | None]":
    """Return a function that encodes a whole stored chunk, or leaves it out where it is empty."""
    spec = ArraySpec(
        shape=metadata.chunk_grid.chunk_shape,
        dtype=metadata.data_type,
        fill_value=metadata.fill_value,
        config=ArrayConfig.from_dict({"write_empty_chunks": write_empty_chunks}),
        prototype=default_buffer_prototype(),
    )
    transform = ChunkTransform(codecs=evolve_codecs(metadata.codecs, spec))

    def encode(values: NDArray[Any]) -> "Buffer | None":
        chunk = spec.prototype.nd_buffer.from_numpy_array(values)
        return encode_or_elide_chunk(chunk, spec, transform.encode_chunk)

    return encode


def _any(needed: NDArray[np.bool_] | None, region: tuple[slice, ...]) -> bool:
    if needed is None:
        return False
    axes = zip(needed.shape, region, strict=True)
    return bool(needed[tuple(slice(None) if n == 1 else part for n, part in axes)].any())
