"""``geoembz export``: a store as a file that other tools read."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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
from geoembz.errors import InvalidConfigError


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
    from geoembz import _export as library
    from geoembz.store.reader import is_table_store, open_group

    options: dict[str, Any] = {
        "bbox": parse_bbox(bbox),
        "bbox_crs": bbox_crs,
        "space": space.value,
        "components": components,
        "whiten": whiten,
        "overwrite": overwrite,
    }
    if to is None:
        to = Format.COG if Path(out).suffix.lower() in {".tif", ".tiff"} else Format.GEOPARQUET
        if to is Format.GEOPARQUET and not is_table_store(open_group(store)):
            to = Format.COG  # which says that rasters become .tif
    if to is Format.COG:
        show(library.export(store, out, time=time, grid=grid, **options), as_json=json_)
        return
    if time is not None:
        raise InvalidConfigError(f"--time {time}: tables have no time axis; leave it out")
    if grid is not None:
        raise InvalidConfigError(f"--grid {grid}: tables have no grids; leave it out")
    show(library.export_table(store, out, **options), as_json=json_)
