"""Queries taken from a store itself: the vectors at places."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export import sample
from geoembz._search.parts import AnyStore
from geoembz.errors import InvalidConfigError
from geoembz.store.tables import TableReader


def vectors_at(
    store: AnyStore, points: Any, *, crs: str | None = None, time: str | None = None
) -> NDArray[np.float32]:
    """Return the vectors of a raster store at places, to search for their like.

    Parameters
    ----------
    store
        Path, URL or open `StoreReader`.
    points
        As `geoembz._export.sample` takes them, such as ``[(x, y)]``.
    crs
        CRS of the points.
    time
        Year or date, of a store that has several.

    Returns
    -------
    vectors
        float32, shape ``(n, dimension)``.

    Raises
    ------
    InvalidConfigError
        If there is no embedding at one of them, or the store is one of a table.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "at.zarr", pca=16)
    >>> tile = geoembz.open(tmp_path / "at.zarr")
    >>> place = float(tile.x[5]), float(tile.y[5])
    >>> vectors_at(tmp_path / "at.zarr", [place], crs=tile.attrs["proj:code"]).shape
    (1, 128)
    """
    if isinstance(store, TableReader):
        raise InvalidConfigError(
            f"{store.url}: a table has no pixel at a point; pass vectors, such as those of its rows"
        )
    sampled = sample(store, points, crs=crs, time=time)
    if not sampled.found.all():
        missing = np.flatnonzero(~sampled.found)[:5].tolist()
        raise InvalidConfigError(
            f"points {missing} (counted from 0): no embedding there; choose places with data"
        )
    return np.asarray(sampled.vectors, dtype=np.float32)
