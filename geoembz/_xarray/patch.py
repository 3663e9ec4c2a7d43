"""A store, with all of its grids, on one other grid: a lazy dataset of looked-up pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from geoembz._export.cog import number_type, raster_tags
from geoembz._export.lookup import ViewOptions
from geoembz._export.patch import Patch, patch_of_store
from geoembz._geo import BBox
from geoembz._geo.grid import Grid
from geoembz._xarray.rasters import first_dimension, grid_coordinates, window_of
from geoembz._xarray.tables import dimension_coordinate
from geoembz.sources.georeference import make_grid
from geoembz.store import View

_CHUNK_SIDE = 256
"""Of a dask chunk where none is named: its pixels meet few chunks of a store."""


def open_patch(
    store: str | Path,
    *,
    like: str | Path | xr.Dataset | xr.DataArray | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    level: int | None = None,
    chunks: Any = None,
) -> xr.Dataset:
    """Open a store on another grid, over all of its grids (UTM zones), as a lazy dataset.

    Each pixel has what the pixel of the store has that its centre lies in: nothing is
    interpolated. Of several grids that cover it, the first in the store's list counts that has an
    embedding there. Pixels outside are NaN; as codes, nodata.

    Parameters
    ----------
    store
        Path or fsspec URL.
    like
        Raster, or an xarray object with a CRS, whose pixels to have.
    crs, resolution, bbox, bbox_crs, time, level
        As in `geoembz.export`.
    space, components, whiten
        As in `geoembz.open`.
    chunks
        ``None`` for NumPy on access; ``{}`` for dask chunks of 256 x 256 pixels, or as in
        `xarray.Dataset.chunk`.

    Returns
    -------
    dataset
        With the variable `embedding`; in ``codes`` also `valid`, where no code says nodata.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or the pixels lie outside the store.
    SourceError
        If `like` cannot be read.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "patch.zarr", pca=16)
    >>> patch = geoembz.open_patch(tmp_path / "patch.zarr", crs="EPSG:3857", resolution=20)
    >>> patch["embedding"].dims, float(patch.x[1] - patch.x[0])
    (('dimension', 'y', 'x'), 20.0)
    """
    patch = patch_of_store(
        store,
        ViewOptions(space, components, whiten),
        like=None if like is None else grid_of(like),
        crs=crs,
        resolution=resolution,
        bbox=bbox,
        bbox_crs=bbox_crs,
        time=time,
        level=level,
    )
    return patch_dataset(patch, chunks)


def grid_of(like: str | Path | xr.Dataset | xr.DataArray) -> Grid:
    """Return the grid of a raster, or of an xarray object as rioxarray finds it.

    Raises
    ------
    SourceError
        If it has none.
    """
    if isinstance(like, str | Path):
        from geoembz.sources.raster import grid_like

        return grid_like(like, str(like))
    import rioxarray  # noqa: F401 - registers .rio

    a, b, c, d, e, f = (float(value) for value in like.rio.transform(recalc=True)[:6])
    shape = int(like.rio.height), int(like.rio.width)
    return make_grid("like", like.rio.crs, (a, b, c, d, e, f), shape, None)


def patch_dataset(patch: Patch, chunks: Any) -> xr.Dataset:
    """Return a patch as a dataset that looks pixels up when they are asked for."""
    space, reader = patch.view.space, patch.reader
    attributes = {"grid_mapping": "spatial_ref"}
    dims = (first_dimension(reader, space), "y", "x")
    lazy = indexing.LazilyIndexedArray(_LazyPatch(patch))
    variables = {"embedding": xr.Variable(dims, lazy, attributes)}
    if space == "codes" and number_type(reader, space)[1] is None:
        mask = indexing.LazilyIndexedArray(_LazyPatch(patch, is_mask=True))
        variables["valid"] = xr.Variable(("y", "x"), mask, attributes)
    named = dimension_coordinate(reader.attributes.band_names, space)
    coordinates = {**grid_coordinates(patch.grid), **named}
    dataset = xr.Dataset(variables, coordinates, dict(raster_tags(patch.regions[0], space)))
    if chunks is None:
        return dataset
    places = [(r.reader.url, r.reader.level, r.window, r.date) for r in patch.regions]
    sides = {"y": _CHUNK_SIDE, "x": _CHUNK_SIDE} if chunks == {} else chunks
    return dataset.chunk(sides, token=tokenize(places, vars(patch.grid), vars(patch.view)))


class _LazyPatch(BackendArray):
    """The pixels of a patch, or which of them have an embedding; looked up when it is indexed."""

    def __init__(self, patch: Patch, *, is_mask: bool = False) -> None:
        self._patch, self._is_mask = patch, is_mask
        first = () if is_mask else (patch.length,)
        self.shape = (*first, *patch.grid.shape)
        codes = number_type(patch.reader, patch.view.space)[0]
        self.dtype: np.dtype[Any] = np.dtype(np.bool_) if is_mask else codes

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        """Return the elements at `key`, as xarray asks for them."""
        result: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )
        return result

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        *first, rows, cols = key
        window, inner = window_of((rows, cols), self.shape[-2:])
        if not window.size:
            return np.empty(self.shape, self.dtype)[key]
        vectors, valid = self._patch.read(window)
        return (valid if self._is_mask else vectors)[*first, *inner]
