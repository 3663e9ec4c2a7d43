"""``geoembz export``: a store as a file that other tools read."""

from enum import StrEnum
from typing import Annotated

import typer

from geoembz._cli.options import (
    BBoxCrs,
    BBoxText,
    GridName,
    Json,
    Overwrite,
    SpaceName,
    Store,
    Time,
    Whiten,
    parse_bbox,
)
from geoembz._cli.show import show


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
    time: Time = None,
    space: Annotated[SpaceName, typer.Option(help="Vectors to write.")] = SpaceName.ORIGINAL,
    components: Annotated[
        int | None, typer.Option(metavar="K", help="Only the first K.", show_default="all")
    ] = None,
    whiten: Whiten = 0.0,
    grid: GridName = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Write a store, or a part of it: rasters as cloud-optimized GeoTIFF, tables as GeoParquet."""
    from geoembz import export as write

    summary = write(
        store,
        out,
        to=None if to is None else to.value,
        bbox=parse_bbox(bbox),
        bbox_crs=bbox_crs,
        time=time,
        space=space.value,
        components=components,
        whiten=whiten,
        grid=grid,
        overwrite=overwrite,
    )
    show(summary, as_json=json_)
