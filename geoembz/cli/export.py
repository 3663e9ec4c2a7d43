"""``geoembz export``: a store as a file that other tools read."""

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


def export(
    store: Store,
    out: Annotated[str, typer.Argument(metavar="OUT", help="New .tif.")],
    bbox: BBoxText = None,
    bbox_crs: BBoxCrs = None,
    space: Annotated[SpaceName, typer.Option(help="What to write.")] = SpaceName.ORIGINAL,
    components: Annotated[
        int | None, typer.Option(metavar="K", help="Only the first K.", show_default="all")
    ] = None,
    whiten: Whiten = 0.0,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Write a store, or a part of it, as a cloud-optimized GeoTIFF."""
    from geoembz.export import export as export_store

    result = export_store(
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
