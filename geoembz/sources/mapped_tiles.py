"""Read uncompressed local GeoTIFF tiles through a memory map.

GDAL copies every block into its cache and from there, number by number, into the caller's array.
Uncompressed tiles are arrays as they lie in the file: mapped into memory nothing is copied, and a
window that is one tile is read in the time of touching it.
"""

import errno
import math
import mmap
import os
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.sources import tiff

_POPULATE_READ = 22
"""Linux' ``MADV_POPULATE_READ``: faster than one page fault after the other, and where the file
cannot be read it fails, while touching the page would end the process."""


@dataclass(frozen=True)
class MappedTiles:
    """The tiles of one file.

    Parameters
    ----------
    path
        The file.
    dtype
        Type of the numbers, in native byte order.
    shape
        Rows and columns of a tile, in pixels.
    offsets
        Where tiles begin, in bytes, uint64: shape ``(n_planes, n_rows, n_cols)``, with one plane
        where the numbers of a pixel lie side by side. Zero where a tile is absent (sparse).
    samples
        Numbers of a pixel in one tile: 1, or all.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    offsets: NDArray[np.uint64]
    samples: int

    @classmethod
    def of(cls, dataset: Any, path: str, directory: tiff.Directory | None) -> Self | None:
        """Return the tiles of an open raster; None where they cannot be mapped.

        Parameters
        ----------
        dataset
            An open `rasterio.DatasetReader`.
        path
            What it was opened from.
        directory
            That of its file.
        """
        if directory is None or not directory.is_native or len(set(dataset.dtypes)) != 1:
            return None
        tags, dtype = directory.tags, np.dtype(dataset.dtypes[0])
        if not _holds_plain_tiles(tags, dataset, dtype):
            return None
        rows, cols = (int(tags[tag][0]) for tag in (tiff.TILE_LENGTH, tiff.TILE_WIDTH))
        planar = _numbers(tags, tiff.PLANES, 1) == [2]
        samples, n_planes = (1, dataset.count) if planar else (dataset.count, 1)
        grid = (n_planes, -(-dataset.height // rows), -(-dataset.width // cols))
        size = rows * cols * samples * dtype.itemsize
        whole = np.where(tags[tiff.TILE_SIZES] == size, tags[tiff.TILE_OFFSETS], 0)
        if whole.size != np.prod(grid):
            return None
        return cls(Path(path), dtype, (rows, cols), whole.astype(np.uint64).reshape(grid), samples)

    @property
    def tile_bytes(self) -> int:
        """Size of one tile, in bytes."""
        return self.shape[0] * self.shape[1] * self.samples * self.dtype.itemsize

    def read(self, window: Window) -> NDArray[Any] | None:
        """Return a window's numbers; None where a tile is absent, or not as long as it should be.

        Returns
        -------
        values
            Shape ``(dimension, height, width)``, not to be written to: where the window lies in one
            tile, the file itself.

        Raises
        ------
        OSError
            If the file has become shorter, or its disk fails.
        """
        rows, cols = self.shape
        touched = (
            range(window.row // rows, (window.row + window.height - 1) // rows + 1),
            range(window.col // cols, (window.col + window.width - 1) // cols + 1),
        )
        offsets = self.offsets[:, touched[0].start : touched[0].stop][
            ..., touched[1].start : touched[1].stop
        ]
        if not offsets.all():
            return None
        with self.path.open("rb") as file:
            end, size = int(offsets.max()) + self.tile_bytes, os.fstat(file.fileno()).st_size
            if end > size:
                raise OSError(f"a tile ends at byte {end:,}, the file at {size:,}")
            if offsets[0].size == 1:
                return self._crop(self._tile(file.fileno(), offsets[:, 0, 0]), window)
            return self._join(file.fileno(), window, touched)

    def _join(self, handle: int, window: Window, touched: tuple[range, range]) -> NDArray[Any]:
        """Copy the parts of several tiles together, in the order that numbers have in them."""
        by_pixel = self.samples > 1
        dimension = self.samples * len(self.offsets)
        out: NDArray[Any] = np.empty(
            (*window.shape, dimension) if by_pixel else (dimension, *window.shape), self.dtype
        )
        values = np.moveaxis(out, -1, 0) if by_pixel else out
        for row, col in product(*touched):
            place = Window(row * self.shape[0], col * self.shape[1], *self.shape)
            part = window.intersection(place)
            if part is not None:
                tile = self._tile(handle, self.offsets[:, row, col])
                to, of = part.relative_to(window).slices, part.relative_to(place).slices
                values[:, *to] = tile[:, *of]
        return values

    def _crop(self, tile: NDArray[Any], window: Window) -> NDArray[Any]:
        """Cut a window out of its tile; pixels stay in one run, as those who flatten them want."""
        row, col = window.row % self.shape[0], window.col % self.shape[1]
        part = tile[:, row : row + window.height, col : col + window.width]
        if window.width == self.shape[1] or self.samples == 1:
            return part
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(part, 0, -1)), -1, 0)

    def _tile(self, handle: int, offsets: NDArray[np.uint64]) -> NDArray[Any]:
        """Return one place's tile of all planes, shape ``(dimension, rows, cols)``."""
        if self.samples > 1:
            return np.moveaxis(self._map(handle, offsets, (*self.shape, self.samples))[0], -1, 0)
        steps = np.diff(offsets.astype(np.int64))
        if (steps > 0).all() and (steps == steps[:1]).all():
            return self._map(handle, offsets, self.shape)
        planes = np.split(offsets, len(offsets))
        return np.concatenate([self._map(handle, plane, self.shape) for plane in planes])

    def _map(
        self, handle: int, offsets: NDArray[np.uint64], shape: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return the arrays at evenly spaced places as one array; its memory ends with it."""
        places = [int(offset) for offset in offsets]
        first = places[0] // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        end = places[-1] + self.tile_bytes
        mapped = mmap.mmap(handle, end - first, access=mmap.ACCESS_READ, offset=first)
        for place in places:
            _populate(mapped, place - first, self.tile_bytes)
        step = places[1] - places[0] if len(places) > 1 else self.tile_bytes
        inner = (math.prod(shape[axis:]) * self.dtype.itemsize for axis in range(1, len(shape) + 1))
        return np.ndarray(
            (len(places), *shape), self.dtype, mapped, places[0] - first, (step, *inner)
        )


def _populate(mapped: mmap.mmap, start: int, size: int) -> None:
    """Bring a part into memory at once, where the system can."""
    if sys.platform != "linux":
        return
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    try:
        mapped.madvise(_POPULATE_READ, first, start + size - first)
    except OSError as error:
        if error.errno != errno.EINVAL:  # kernels before 5.14 do not know it
            raise


def _holds_plain_tiles(
    tags: dict[int, NDArray[np.uint64]], dataset: Any, dtype: np.dtype[Any]
) -> bool:
    """Whether tiles hold the bands' numbers as they are, in this machine's byte order."""
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    needed = {tiff.TILE_LENGTH, tiff.TILE_WIDTH, tiff.TILE_OFFSETS, tiff.TILE_SIZES, tiff.BITS}
    return (
        needed <= set(tags)
        and "COMPRESSION" not in structure
        and structure.get("INTERLEAVE") in {"PIXEL", "BAND"}
        and (tags[tiff.BITS] == 8 * dtype.itemsize).all()
        and _numbers(tags, tiff.COMPRESSION, 1) == [1]
        and _numbers(tags, tiff.FILL_ORDER, 1) == [1]
        and _numbers(tags, tiff.SAMPLES, 1) == [dataset.count]
        and _numbers(tags, tiff.LENGTH, 0) == [dataset.height]
        and _numbers(tags, tiff.WIDTH, 0) == [dataset.width]
    )


def _numbers(tags: dict[int, NDArray[np.uint64]], tag: int, default: int) -> list[int]:
    return tags[tag].tolist() if tag in tags else [default]
