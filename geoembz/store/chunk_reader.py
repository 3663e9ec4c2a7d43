"""Which reader an array gets: ours on a disk or on a server, or Zarr's."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._objects.explain import stage
from geoembz.store.chunk_form import ReadArray
from geoembz.store.local_chunks import LocalChunks
from geoembz.store.remote_chunks import RemoteChunks


def reader_of(array: zarr.Array[Any]) -> ReadArray:
    """Return what reads an array, without Zarr's pipeline where its form is ours."""
    known = LocalChunks.of(array) or RemoteChunks.of(array)
    return partial(_read_by_zarr, array) if known is None else known.read


def _read_by_zarr(array: zarr.Array[Any], selection: Sequence[int | slice]) -> NDArray[Any]:
    with stage("chunks"):
        return np.asarray(array[tuple(selection)])
