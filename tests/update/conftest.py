"""A landscape in 30 tiles, whole and one by one, and the store that all of them make."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz.store import StoreReader
from tests import products

ROWS, COLS, SIDE = 5, 6, 12
FORMS: dict[str, dict[str, Any]] = {
    "int8": {"recipe": "pca4-int8"},
    "int4": {"recipe": "pca4-int4"},
    "binary": {"recipe": "rot-binary"},
    "float": {"recipe": "float32"},
    "parts": {"recipe": "pca4-int8", "shard": "none", "prefix_chunks": 2},
    "parts and mask": {"recipe": "pca4-int4", "shard": "none", "prefix_chunks": 2},
    "archive": {"recipe": "pca4-int8", "archive": True},
    "overviews": {"recipe": "pca4-int4", "overviews": True},
    "codec": {"recipe": "pca4-int8", "layout": "codec"},
}
"""Ways of storing codes."""


@dataclass(frozen=True)
class Landscape:
    """Tiles of 12 pixels, which lie across chunks of 8 and shards of 16; some pixels are nodata.

    Parameters
    ----------
    folder
        Where files are.
    values
        Shape ``(6, height, width)``.
    """

    folder: Path
    values: NDArray[np.float32]
    bases: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def tiles(self) -> list[Path]:
        """Write each tile as a raster."""
        found = []
        for number in range(ROWS * COLS):
            row, col = (SIDE * at for at in divmod(number, COLS))
            part = self.values[:, row : row + SIDE, col : col + SIDE]
            found.append(self.write(f"tile{number:02}", part, row, col))
        return found

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The extent of all tiles."""
        a, _, c, _, e, f = products.UTM_TRANSFORM
        return c, f + e * ROWS * SIDE, c + a * COLS * SIDE, f

    def write(self, name: str, values: NDArray[np.float32], row: int = 0, col: int = 0) -> Path:
        """Write a raster whose corner lies at a pixel of the landscape."""
        a, _, c, _, e, f = products.UTM_TRANSFORM
        transform = (a, 0.0, c + a * col, 0.0, e, f + e * row)
        return products.write_raster(
            self.folder / f"{name}.tif", values, transform=transform, block=16
        )

    def options(self, form: str) -> dict[str, Any]:
        """Return options of `convert` that give one encoding, whatever the input."""
        given = {"chunk": 8, "shard": 16, **FORMS[form]}
        recipe = given.pop("recipe")
        if recipe not in self.bases:
            self.bases[recipe] = self.folder / f"basis-{recipe}.zarr"
            geoembz.convert(self.tiles, self.bases[recipe], recipe=recipe)
        return {**given, "basis": self.bases[recipe], "workers": 1}

    def whole(self, out: Path | str, form: str, **more: Any) -> str:
        """Convert all tiles at once."""
        geoembz.convert(self.tiles, out, **self.options(form), extent=self.extent, **more)
        return str(out)

    def first(self, out: Path | str, form: str, tile: int = 0, **more: Any) -> str:
        """Convert one tile, with room for all."""
        options = {**self.options(form), **more}
        geoembz.convert(self.tiles[tile], out, **options, extent=self.extent)
        return str(out)


def vectors(store: str | Path, date: int = 0) -> NDArray[np.float32]:
    """Return all vectors of a store."""
    reader = StoreReader.open(str(store))
    return reader.read(reader.attributes.grid.window, "original", date=date)


def check_states(
    read: NDArray[np.float32], before: NDArray[np.float32], after: NDArray[np.float32]
) -> None:
    """Each pixel is as it was or as it will be."""
    one, other = (np.isclose(read, known, equal_nan=True).all(axis=0) for known in (before, after))
    assert (one | other).all()


@pytest.fixture(scope="session")
def land(tmp_path_factory: pytest.TempPathFactory) -> Landscape:
    """Return a landscape."""
    values = products.unit_vectors(ROWS * SIDE, COLS * SIDE, 6, seed=3)
    values[:, np.random.default_rng(5).random(values.shape[1:]) < 0.1] = np.nan
    return Landscape(tmp_path_factory.mktemp("land"), values)
