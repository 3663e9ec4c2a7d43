"""`geoembz append`: one more date for a store with a time axis.

Registered by `geoembz.cli.app` with ``app.command()(append)``.
"""

import sys
from typing import Annotated

import typer


def append(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Store with a time axis.")],
    source: Annotated[
        list[str], typer.Argument(metavar="SRC…", help="What `convert` takes, on the same grid.")
    ],
    time: Annotated[str, typer.Option(metavar="YEAR", help="YYYY, YYYY-MM or YYYY-MM-DD.")],
    product: Annotated[
        str | None,
        typer.Option(
            metavar="P", help="aef, olmoearth, tessera, bands or raster.", show_default="found out"
        ),
    ] = None,
    nodata: Annotated[
        str | None,
        typer.Option(metavar="V", help="Nodata value, or 'none'.", show_default="as declared"),
    ] = None,
    crs: Annotated[
        str | None, typer.Option(metavar="CRS", help="CRS of SRC.", show_default="as declared")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go on without inputs that cannot be read.")
    ] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Of a table of chips on a regular grid: make a raster.")
    ] = False,
    grid_crs: Annotated[
        str | None,
        typer.Option(metavar="CRS", help="With --grid: CRS of the grid.", show_default="found out"),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over the date.")] = False,
    recode: Annotated[
        bool, typer.Option("--recode", help="Accept a store with another encoding as SRC.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Shards at once.", show_default="one per core")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Append a date to a store that has a time axis, with the store's own encoding.

    Readers see the store as it was until the end; the same command finishes an interrupted one.
    """
    from geoembz.cli.progress import progress_bar
    from geoembz.cli.show import show
    from geoembz.conversion import append as append_source
    from geoembz.sources import InputOptions, OpenOptions

    inputs = InputOptions(
        OpenOptions(product, nodata, crs),
        skip_bad=skip_bad,
        as_grid=grid or grid_crs is not None,
        grid_crs=grid_crs,
    )
    with progress_bar("shards", enabled=not (quiet or json_) and sys.stderr.isatty()) as progress:
        summary = append_source(
            store,
            source,
            time=time,
            inputs=inputs,
            replace_date=replace,
            recode=recode,
            workers=workers,
            progress=progress,
        )
    show(summary, as_json=json_, quiet=quiet)
