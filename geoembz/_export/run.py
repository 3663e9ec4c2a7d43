"""Write a store as a file that other tools read: rasters as GeoTIFF, tables as GeoParquet."""

from pathlib import Path
from typing import Any, Literal

from geoembz._export.cog import ExportSummary, export_cog
from geoembz._export.table import TableExportSummary, export_table
from geoembz._geo import BBox
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader, TableReader, View
from geoembz.store.open import is_table_store, open_group

type Format = Literal["cog", "geoparquet"]


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
    overwrite: bool = False,
) -> ExportSummary | TableExportSummary:
    """Write a store, or a part of it: rasters as cloud-optimized GeoTIFF, tables as GeoParquet.

    Blocks are decoded one by one, so memory does not grow with the store. A GeoTIFF is north up,
    with one band per component; a table comes back with every column, its geometry and vectors.

    Parameters
    ----------
    store
        Path, URL, or an open reader.
    out
        ``.tif``, or ``.parquet``.
    to
        ``cog`` or ``geoparquet``; None goes by the name of `out`.
    bbox
        ``(xmin, ymin, xmax, ymax)``: pixels that it touches, or rows whose centres lie in it.
    bbox_crs
        CRS of `bbox`; None for the store's.
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

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "export.zarr", pca=16)
    >>> geoembz.export(tmp_path / "export.zarr", tmp_path / "out.tif", space="reduced").bands
    16
    """
    options: dict[str, Any] = {
        "bbox": bbox,
        "bbox_crs": bbox_crs,
        "space": space,
        "components": components,
        "whiten": whiten,
        "overwrite": overwrite,
    }
    if isinstance(store, StoreReader) or (
        not isinstance(store, TableReader) and (to or _format_of(str(store), out)) == "cog"
    ):
        return export_cog(store, out, time=time, grid=grid, level=level, **options)
    for name, value in {"time": time, "grid": grid, "level": level}.items():
        if value is not None:
            raise InvalidConfigError(f"{name} {value!r}: tables have no {name}s; leave it out")
    return export_table(store, out, **options)


def _format_of(store: str, out: str | Path) -> Format:
    """Return the format of a file by its name, or else by the kind of the store."""
    if Path(out).suffix.lower() in {".tif", ".tiff"}:
        return "cog"
    return "geoparquet" if is_table_store(open_group(store)) else "cog"
