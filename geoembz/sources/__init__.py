"""Inputs: every product behind one protocol."""

from pathlib import Path

from geoembz.sources.base import Source, SourceData, SourceInfo

__all__ = ["Source", "SourceData", "SourceInfo", "open_source"]


def open_source(
    path: str | Path, *, nodata: float | str | None = None, crs: str | None = None
) -> Source:
    """Open an input as a source of embeddings.

    Parameters
    ----------
    path
        A raster with one band per component: a path, a URL, or a GDAL ``/vsi`` path.
    nodata
        Replaces the declared nodata value; ``"none"`` says that there is none.
    crs
        Replaces the CRS that the input declares.

    Raises
    ------
    SourceError
        If the input is missing, unreadable, or not a raster of embeddings.
    """
    from geoembz.sources.raster import RasterSource

    return RasterSource(path, nodata=nodata, crs=crs)
