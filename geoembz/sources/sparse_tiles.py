"""Which blocks a GeoTIFF holds: those that were never written to a sparse one are absent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.sources import tiff_directory as tiff


@dataclass(frozen=True)
class PresentBlocks:
    """The blocks of one file that are there.

    Parameters
    ----------
    shape
        Rows and columns of a block, in pixels.
    present
        Whether any band has the block, shape ``(n_rows, n_cols)``.
    """

    shape: tuple[int, int]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Any, path: str) -> Self | None:
        """Return the blocks of an open local GeoTIFF; None where none is absent, or nobody knows.

        Parameters
        ----------
        dataset
            An open `rasterio.DatasetReader`.
        path
            What it was opened from.
        """
        local = Path(path)
        if dataset.driver != "GTiff" or not local.is_file():
            return None
        with local.open("rb") as file:
            tags = tiff.read_directory(file) or {}
        sizes = tags.get(tiff.TILE_SIZES, tags.get(tiff.STRIP_SIZES))
        if sizes is None or sizes.all():
            return None
        rows, cols = dataset.block_shapes[0]
        grid = (-(-dataset.height // rows), -(-dataset.width // cols))
        if sizes.size not in {grid[0] * grid[1], dataset.count * grid[0] * grid[1]}:
            return None
        return cls((rows, cols), (sizes.reshape(-1, *grid) > 0).any(axis=0))

    def touches(self, window: Window) -> bool:
        """Whether a window meets a block that is there."""
        (rows, cols), last_row = self.shape, window.row + window.height - 1
        last_col = window.col + window.width - 1
        touched = self.present[
            window.row // rows : last_row // rows + 1, window.col // cols : last_col // cols + 1
        ]
        return bool(touched.any())
