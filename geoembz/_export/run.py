"""Write a store as a file that other tools read: rasters as GeoTIFF, tables as GeoParquet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from geoembz._export.aggregate import RegionCells, write_cells_cog, write_cells_table
from geoembz._export.blocks import ALONE
from geoembz._export.cog import ExportSummary, export_cog, export_layer
from geoembz._export.lookup import ViewOptions
from geoembz._export.patch import export_patch, patch_of_store
from geoembz._export.region import open_region
from geoembz._export.table import TableExportSummary, export_table
from geoembz._geo import BBox
from geoembz._util.threads import check_workers, worker_count
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import store_for
from geoembz.errors import InvalidConfigError
from geoembz.sources.cells import Cells
from geoembz.sources.features.write import PARQUET, check_output
from geoembz.sources.pooling import Pool
from geoembz.store import StoreReader, TableReader, View
from geoembz.store.open import is_table_store, open_group

type Format = Literal["cog", "geoparquet"]

_TIFF = (".tif", ".tiff")


def export(
    store: str | Path | StoreReader | TableReader,
    out: str | Path,
    *,
    to: Format | None = None,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    grid: str | None = None,
    level: int | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    like: str | Path | None = None,
    aggregate: int | None = None,
    pool: Pool | Sequence[Pool] | None = None,
    layer: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
) -> ExportSummary | TableExportSummary:
    """Write a store, or a part of it: rasters as cloud-optimized GeoTIFF, tables as GeoParquet.

    Blocks are decoded one by one, so memory does not grow with the store. A GeoTIFF is north up,
    with one band per component; a table comes back with every column, its geometry and vectors.

    With `crs` or `like` the pixels are those of another grid, over all grids of the store. Each
    takes what the pixel of the store has that its centre lies in; of several grids, the first in
    the store's list that has an embedding there. Nothing is interpolated.

    With `aggregate` each pixel is a cell of so many pixels of the store each way, pooled, counted
    from the north-west corner. Cells at the edges, and round nodata, are of the pixels that they
    have: `n_pixels`, the last band or a column, says how many. A GeoParquet of cells has one row
    for each that has any, at its centre.

    Parameters
    ----------
    store
        Path, URL, or an open reader.
    out
        ``.tif``, or ``.parquet`` of a table, or of cells.
    to
        ``cog`` or ``geoparquet``; None goes by the name of `out`.
    bbox
        ``(xmin, ymin, xmax, ymax)``: pixels that it touches, or rows whose centres lie in it.
    bbox_crs
        CRS of `bbox`; None for `crs`, or else the store's.
    time
        Year or date to write, of a raster that has several.
    space
        ``original`` or ``reduced`` (float32, NaN without data), or ``codes``.
    components
        Use only the first so many components; not with ``codes``.
    whiten
        Weight of the metric in reduced space, 0 to 1; see `Encoding.decoder`.
    grid
        Name of the grid to write, of a store that has several; None where `bbox` meets only one.
    level
        Number of the level to write, of a raster with overviews; 0 is the full resolution.
    crs
        CRS of the pixels to write, in place of the store's; `bbox` is covered, or the store.
    resolution
        Side of a pixel, in units of `crs`; None for about that of the store's pixels.
    like
        Raster whose pixels to write: says CRS, resolution and extent.
    aggregate
        Side of a cell, in pixels.
    pool
        How the pixels of a cell become one vector, or several ways; see `geoembz.sample`.
    layer
        Write this layer of the store in place of its vectors: numbers as they are stored, with
        nodata, scale and unit.
    workers
        Blocks of a raster that are read at once; None for one after the other, each on all cores,
        or for one process per core with ``scheduler="local"``.
    scheduler
        Where blocks are read, decoded and pooled instead; see `geoembz.convert`. The file is
        written here, and is the same.
    overwrite
        Replace a file that exists.

    Returns
    -------
    summary
        What was written.

    Raises
    ------
    InvalidConfigError
        If the options cannot work.
    StoreError
        If the store cannot be read.
    SchedulerError
        If no scheduler answers, or its workers are lost.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "export.zarr", pca=16)
    >>> geoembz.export(tmp_path / "export.zarr", tmp_path / "out.tif", space="reduced").bands
    16
    >>> cells = tmp_path / "cells.tif"
    >>> geoembz.export(tmp_path / "export.zarr", cells, aggregate=32, pool="std").shape
    (2, 2)
    """
    part: dict[str, Any] = {"bbox": bbox, "bbox_crs": bbox_crs}
    when: dict[str, Any] = {"time": time, "level": level}
    view: dict[str, Any] = {"space": space, "components": components, "whiten": whiten}
    lattice: dict[str, Any] = {"crs": crs, "resolution": resolution, "like": like}
    cells: dict[str, Any] = {"aggregate": aggregate, "pool": pool}
    if isinstance(store, TableReader) or (
        not isinstance(store, StoreReader) and _is_table(str(store), out, to, aggregate)
    ):
        _refuse({**when, "grid": grid}, "tables have no {name}s; leave it out")
        _refuse({**lattice, **cells, "layer": layer}, "tables have no pixels; leave it out")
        _refuse({"workers": workers, "scheduler": scheduler}, "for rasters only; leave it out")
        return export_table(store, out, **part, **view, overwrite=overwrite)
    check_workers("export", workers)
    check_scheduler(scheduler)
    store = store_for(scheduler, store)
    write: Callable[..., ExportSummary | TableExportSummary]
    if layer is not None:
        whole = {"space": None if space == "original" else space, "whiten": whiten or None}
        view_given = {**whole, "components": components}
        _refuse({**lattice, **cells, **view_given}, "of a layer, which is no vector; leave it out")
        how: dict[str, Any] = {**part, **when, "grid": grid, "overwrite": overwrite}
        write = partial(export_layer, store, out, layer, **how)
    elif aggregate is not None:
        _refuse(lattice, "with aggregate, which pools the store's own pixels; choose one")
        suffixes = {"cog": _TIFF, "geoparquet": PARQUET}.get(to or "", (*_TIFF, *PARQUET))
        target, pooled = check_output(out, suffixes, overwrite=overwrite), Cells.of(**cells)
        region = open_region(store, **part, **when, grid=grid)
        found = RegionCells(region, pooled, ViewOptions(**view))
        is_raster = target.suffix.lower() in _TIFF
        write = partial(write_cells_cog if is_raster else write_cells_table, found, target)
    elif any(value is not None for value in lattice.values()):
        _refuse({"pool": pool}, _NO_CELLS)
        _refuse({"grid": grid}, "with crs or like, which look in all grids; leave it out")
        target = check_output(out, _TIFF, overwrite=overwrite)
        patch = patch_of_store(store, ViewOptions(**view), **lattice, **part, **when)
        write = partial(export_patch, patch, target)
    else:
        _refuse({"pool": pool}, _NO_CELLS)
        how = {**part, **when, **view, "grid": grid, "overwrite": overwrite}
        write = partial(export_cog, store, out, **how)
    with _open_workers(scheduler, workers) as who:
        return write(pool=who)


_NO_CELLS = "of which cells? expected a side as well (--aggregate 32)"


@contextmanager
def _open_workers(scheduler: str | None, workers: int | None) -> Iterator[Workers]:
    """Yield the workers that were asked for, else what reads one block after the other."""
    if scheduler is None and workers is None:
        yield ALONE
        return
    with open_workers(scheduler, worker_count(workers)) as who:
        yield who


def _refuse(options: Mapping[str, Any], why: str) -> None:
    """Refuse options that have a value."""
    for name, value in options.items():
        if value is not None:
            raise InvalidConfigError(f"{name} {value!r}: {why.format(name=name)}")


def _is_table(store: str, out: str | Path, to: Format | None, aggregate: int | None) -> bool:
    """Whether a table is meant: by the format, the name of the file, or the kind of the store."""
    if to == "cog" or (to is None and Path(out).suffix.lower() in _TIFF):
        return False
    return (to == "geoparquet" and aggregate is None) or is_table_store(open_group(store))
