"""``geoembz export``: a store as a file that other tools read."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from geoembz.cli.options import (
    BBoxCrs,
    BBoxText,
    Json,
    Overwrite,
    SpaceName,
    Store,
    Whiten,
    parse_bbox,
    show,
)


class Format(StrEnum):
    """Files that a store is written as."""

    COG = "cog"
    GEOPARQUET = "geoparquet"


def export(
    store: Store,
    out: Annotated[str, typer.Argument(metavar="OUT", help="New .tif, or .parquet.")],
    to: Annotated[
        Format | None,
        typer.Option(help="What to write.", show_default="by the name of OUT"),
    ] = None,
    bbox: BBoxText = None,
    bbox_crs: BBoxCrs = None,
    space: Annotated[SpaceName, typer.Option(help="Vectors to write.")] = SpaceName.ORIGINAL,
    components: Annotated[
        int | None, typer.Option(metavar="K", help="Only the first K.", show_default="all")
    ] = None,
    whiten: Whiten = 0.0,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Write a store, or a part of it: rasters as cloud-optimized GeoTIFF, tables as GeoParquet."""
    from geoembz import export as library

    if to is None:
        to = Format.COG if Path(out).suffix.lower() in {".tif", ".tiff"} else Format.GEOPARQUET
    write = library.export if to is Format.COG else library.export_table
    result = write(
        store,
        out,
        bbox=parse_bbox(bbox),
        bbox_crs=bbox_crs,
        space=space.value,
        components=components,
        whiten=whiten,
        overwrite=overwrite,
    )
    show(result, as_json=json_)
