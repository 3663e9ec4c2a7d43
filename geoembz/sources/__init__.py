"""Inputs: every product behind one protocol.

`open_sources` is loaded when it is first used: opening inputs takes GDAL, which those who only read
a store need not wait for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoembz.errors import SourceError
from geoembz.sources.base import Source, SourceData
from geoembz.sources.layers import Layer
from geoembz.sources.options import PRODUCTS, ReadOptions
from geoembz.sources.provenance import SourceInfo

if TYPE_CHECKING:
    from geoembz.sources.assemble import open_sources as open_sources

__all__ = [
    "PRODUCTS",
    "Layer",
    "ReadOptions",
    "Source",
    "SourceData",
    "SourceInfo",
    "open_source",
    "open_sources",
]


def __getattr__(name: str) -> Any:
    """Load `open_sources` on first use."""
    if name != "open_sources":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from geoembz.sources.assemble import open_sources

    return open_sources


def open_source(
    path: str | Path | Sequence[str | Path],
    *,
    nodata: float | str | None = None,
    crs: str | None = None,
    product: str | None = None,
    year: int | None = None,
) -> Source:
    """Open inputs that lie on one grid as a source of embeddings.

    Parameters
    ----------
    path
        One or more of: a file or a Zarr store of a product in `PRODUCTS`, a raster with one band
        per component, a glob, a directory, a text file that lists inputs, a STAC item; local, a
        URL, or a GDAL ``/vsi`` path.
    nodata
        Replaces the declared nodata value; ``"none"`` says that there is none.
    crs
        Replaces the CRS that the input declares.
    product
        One of `PRODUCTS`, where content and name do not tell.
    year
        Which year to read of products that hold several.

    Raises
    ------
    SourceError
        If an input is missing, unreadable, no raster of embeddings, or inputs lie in several CRSs.
    """
    from geoembz.sources.assemble import open_sources

    paths = [path] if isinstance(path, str | Path) else list(path)
    options = ReadOptions(product=product, nodata=nodata, crs=crs, year=year)
    sources = open_sources(paths, options)
    if len(sources) > 1:
        raise SourceError(
            f"{next(iter(sources.values())).name}: inputs in {len(sources)} CRSs "
            f"({', '.join(sources)}); expected one; use open_sources, or convert them to one store"
        )
    return next(iter(sources.values()))
