"""Labels from a raster, read band of rows by band of rows, on the source's grid or warped to it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.labels import PixelLabels
from geoembz._geo import same_crs, shifts
from geoembz._geo.grid import Grid
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.georeference import refuse_unplaced, same_pixels

_MOST_PIXELS = 4_000_000
"""About how many labelled pixels are kept of a larger raster, drawn at random by class."""

_FEWEST_PER_CLASS = 1_000
"""Of every class in a band of rows as many are kept, whatever its share."""

_BAND_PIXELS = 1 << 22
"""Pixels of labels read at once, in whole rows: memory does not grow with the raster."""


def raster_labels(
    path: Path, grid: Grid, groups: str | None, nodata: float | None, seed: int = 0
) -> PixelLabels:
    """Read labels, and groups, from one-band rasters; see `read_labels`."""
    messages: list[str] = []
    with open_on_grid(path, grid, messages) as raster:
        none = raster.nodata if nodata is None else nodata
        group_path = None if groups is None else _group_path(groups)
        if group_path is None:
            return _collect(grid, raster, none, None, messages, seed)
        with open_on_grid(group_path, grid, messages) as group_raster:
            return _collect(grid, raster, none, group_raster, messages, seed)


def _group_path(groups: str) -> Path:
    if not Path(groups).exists():
        raise InvalidConfigError(
            f"groups {groups!r}: no such file; with raster labels, groups are a raster too; "
            "or leave them out for spatial blocks"
        )
    return Path(groups)


def _collect(
    grid: Grid,
    raster: Any,
    nodata: float | None,
    group_raster: Any,
    messages: list[str],
    seed: int,
) -> PixelLabels:
    height, width = grid.shape
    share = min(1.0, _MOST_PIXELS / (height * width))
    rng = np.random.default_rng(seed)
    step = max(1, _BAND_PIXELS // width)
    parts: list[tuple[NDArray[Any], ...]] = []
    without = 0
    for top in range(0, height, step):
        window = ((top, min(top + step, height)), (0, width))
        values = raster.read(1, window=window)
        inside = raster.dataset_mask(window=window) != 0
        known = inside & is_labelled(values, nodata)
        without += int((~known).sum())
        places = np.flatnonzero(known)
        places = places[_thin(values.ravel()[places], share, rng)]
        labels = values.ravel()[places]
        group = (
            labels if group_raster is None else group_raster.read(1, window=window).ravel()[places]
        )
        parts.append((places // width + top, places % width, labels, group))
    rows, cols, labels, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    return PixelLabels(
        rows=rows.astype(np.int64),
        cols=cols.astype(np.int64),
        labels=labels,
        groups=None if group_raster is None else group,
        exclusions={"pixel without a label": without} if without else {},
        messages=tuple(messages),
    )


def is_labelled(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Return which values are a label: finite, and not the one that means none."""
    known = np.ones(values.shape, np.bool_)
    if values.dtype.kind == "f":
        known &= np.isfinite(values)
    if nodata is not None and not np.isnan(nodata):
        known &= values != nodata
    return known


def _thin(
    labels: NDArray[Any], share: float, rng: np.random.Generator
) -> NDArray[np.integer] | slice:
    """Return about `share` of the positions, at least `_FEWEST_PER_CLASS` of each class."""
    if share >= 1.0:
        return slice(None)
    codes, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    if len(counts) > _FEWEST_PER_CLASS:  # quantities, not classes
        return np.flatnonzero(rng.random(len(labels)) < share)
    kept = np.maximum(share, np.minimum(1.0, _FEWEST_PER_CLASS / counts))
    return np.flatnonzero(rng.random(len(labels)) < kept[codes])


@contextmanager
def open_on_grid(path: Path, grid: Grid, messages: list[str]) -> Iterator[Any]:
    """Open a one-band raster on the grid, warped by nearest neighbour where it lies on another."""
    from rasterio.errors import RasterioError

    from geoembz.sources.gdal import open_gdal

    try:
        raster = open_gdal(str(path))
    except RasterioError as error:
        raise SourceError(f"{path}: not a raster that GDAL can open ({error})") from error
    with raster:
        if raster.count != 1:
            raise SourceError(f"{path}: {raster.count} bands; expected labels in one band")
        refuse_unplaced(str(path), raster)
        if raster.crs is None:
            raise SourceError(f"{path}: no CRS; expected georeferenced labels")
        in_crs = same_crs(raster.crs.to_wkt(version="WKT2_2019"), grid.crs_wkt)
        if in_crs and _same_place(raster.transform, raster.shape, grid):
            yield raster
            return
        messages.append(
            f"{path.name}: lies on another grid ({raster.crs.to_string()[:40]}, {raster.height} x "
            f"{raster.width}); reprojected to the source's by nearest neighbour"
        )
        turns = [0.0]
        if in_crs:  # then GDAL takes longitudes for plain numbers
            left, _, right, _ = raster.bounds
            turns = shifts(grid.crs_wkt, (left, right), (grid.bbox[0], grid.bbox[2])) or turns
        with ExitStack() as stack:
            yield _Mosaic([stack.enter_context(_warp(raster, grid, turn)) for turn in turns])


def _warp(raster: Any, grid: Grid, turn: float) -> Any:
    """Return a raster, moved east by `turn`, on a grid's pixels by nearest neighbour."""
    from rasterio import Affine
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    return WarpedVRT(
        raster,
        src_transform=Affine.translation(turn, 0.0) @ raster.transform,
        crs=grid.crs_wkt,
        transform=Affine(*grid.transform),
        height=grid.shape[0],
        width=grid.shape[1],
        resampling=Resampling.nearest,
        add_alpha=raster.nodata is None,
    )


class _Mosaic:
    """Rasters on one grid as one: the first that covers a pixel holds."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts, self.nodata = parts, parts[0].nodata

    def read(self, band: int, window: Any) -> NDArray[Any]:
        """Return the values of a window."""
        values: NDArray[Any] = self._parts[0].read(band, window=window)
        known = _cover(self._parts[0], window) != 0
        for part in self._parts[1:]:
            values = np.where(known, values, part.read(band, window=window))
            known |= _cover(part, window) != 0
        return values

    def dataset_mask(self, window: Any) -> NDArray[Any]:
        """Return what is 0 where no raster covers a pixel."""
        return np.asarray(np.maximum.reduce([_cover(part, window) for part in self._parts]))


def _cover(warped: Any, window: Any) -> NDArray[Any]:
    """Return what is 0 where a warped raster has nothing: by its alpha band, which GDAL ignores."""
    mask: NDArray[Any] = (
        warped.dataset_mask(window=window) if warped.count == 1 else warped.read(2, window=window)
    )
    return mask


def _same_place(transform: Any, shape: tuple[int, int], grid: Grid) -> bool:
    """Whether rows and columns coincide."""
    if not transform.is_rectilinear:
        return False
    return same_pixels(grid, replace(grid, transform=tuple(transform)[:6], shape=shape))
