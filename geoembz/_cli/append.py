"""`geoembz append`: one more date for a store with a time axis.

Registered by `geoembz._cli.app` with ``app.command()(append)``.
"""

import sys
from typing import Annotated

import typer

from geoembz._cli.options import (
    AsGrid,
    Dims,
    GridCrs,
    JsonSummary,
    Like,
    Nodata,
    Product,
    Quiet,
    SkipBad,
    SourceCrs,
    SourceTransform,
    Workers,
)


def append(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Store with a time axis.")],
    source: Annotated[
        list[str], typer.Argument(metavar="SRC…", help="What `convert` takes, on the same grid.")
    ],
    time: Annotated[str, typer.Option(metavar="YEAR", help="YYYY, YYYY-MM or YYYY-MM-DD.")],
    product: Product = None,
    nodata: Nodata = None,
    crs: SourceCrs = None,
    skip_bad: SkipBad = False,
    grid: AsGrid = False,
    grid_crs: GridCrs = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the date.")] = False,
    recode: Annotated[
        bool, typer.Option("--recode", help="Accept a store with another encoding as SRC.")
    ] = False,
    transform: SourceTransform = None,
    like: Like = None,
    dims: Dims = None,
    workers: Workers = None,
    break_lock: Annotated[
        bool, typer.Option("--break-lock", help="Take STORE from a conversion that is dead.")
    ] = False,
    json_: JsonSummary = False,
    quiet: Quiet = False,
) -> None:
    """Append a date to a store that has a time axis, with the store's own encoding.

    Readers see the store as it was until the end; the same command finishes an interrupted one.
    """
    from geoembz._cli.progress import progress_bar
    from geoembz._cli.show import show
    from geoembz._convert import append as append_source
    from geoembz.sources import ReadOptions

    inputs = ReadOptions(
        nodata=nodata,
        crs=crs,
        transform=transform,
        like=like,
        dims=dims,
        product=product,
        skip_bad=skip_bad,
        grid=grid,
        grid_crs=grid_crs,
    )
    with progress_bar("shards", enabled=not (quiet or json_) and sys.stderr.isatty()) as progress:
        summary = append_source(
            store,
            source,
            time=time,
            read=inputs,
            replace_date=replace,
            recode=recode,
            workers=workers,
            break_lock=break_lock,
            progress=progress,
        )
    show(summary, as_json=json_, quiet=quiet)
