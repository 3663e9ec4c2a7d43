"""``geoembz preview``: a picture of a store."""

from typing import Annotated

import typer

from geoembz._cli.options import (
    BBoxCrs,
    BBoxText,
    GridName,
    Json,
    Overwrite,
    Store,
    Time,
    parse_bbox,
)
from geoembz._cli.show import show
from geoembz.errors import InvalidConfigError


def preview(
    store: Store,
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="New .png, or .tif that knows where it lies.")
    ],
    bbox: BBoxText = None,
    bbox_crs: BBoxCrs = None,
    time: Time = None,
    size: Annotated[int, typer.Option(metavar="N", help="Longest side, in pixels.")] = 1024,
    bands: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Components to show.", show_default="1,2,3"),
    ] = None,
    grid: GridName = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Show a store's first three components as red, green and blue."""
    from geoembz._export import preview as preview_store

    result = preview_store(
        store,
        out,
        bbox=parse_bbox(bbox),
        bbox_crs=bbox_crs,
        size=size,
        bands=_bands(bands),
        time=time,
        grid=grid,
        overwrite=overwrite,
    )
    show(result, as_json=json_)


def _bands(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidConfigError(
            f"--bands {text!r}; expected one number or three, such as 4,5,6"
        ) from error
