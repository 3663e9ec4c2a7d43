"""Stored objects are byte for byte those that zarr-python writes by itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from geoembz.store.writer import ChunkWriter

SHAPE = (6, 40, 50)


def create(path: Path, dtype: str, shards: tuple[int, ...] | None) -> zarr.Array[Any]:
    """Create an empty array."""
    return zarr.create_array(
        LocalStore(path),
        name="embedding",
        shape=SHAPE,
        dtype=dtype,
        chunks=(6, 8, 8),
        shards=shards,
        fill_value=-1,
        compressors=[ZstdCodec(level=1, checksum=True)],
        config={"write_empty_chunks": False},
    )


def objects(path: Path) -> dict[str, bytes]:
    """Return every stored object."""
    files = (file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def numbers(dtype: str) -> NDArray[Any]:
    """Return numbers with runs of the fill value."""
    values = np.random.default_rng(0).integers(0, 9, SHAPE).astype(dtype)
    values[:, :16, :24] = -1
    values[:, 30:, 40:] = -1
    return values


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("shards", [(6, 16, 16), (6, 40, 56), None])
def test_objects_are_those_of_zarr(
    dtype: str, shards: tuple[int, ...] | None, tmp_path: Path
) -> None:
    """Whole shards and chunks, clipped ones at the edges, and none where all is fill value."""
    values = numbers(dtype)
    theirs = create(tmp_path / "theirs", dtype, shards)
    theirs[...] = values
    writer = ChunkWriter(create(tmp_path / "ours", dtype, shards))
    rows, cols = (shards or (6, 16, 8))[1:]
    for row in range(0, SHAPE[1], rows):
        for col in range(0, SHAPE[2], cols):
            writer.write((0, row, col), values[:, row : row + rows, col : col + cols])
    assert objects(tmp_path / "ours") == objects(tmp_path / "theirs")
    np.testing.assert_array_equal(theirs[...], values)
