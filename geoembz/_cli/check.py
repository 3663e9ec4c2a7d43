"""`geoembz check seams`: what no single pixel tells."""

from typing import TYPE_CHECKING, Annotated

import typer

from geoembz._cli.help import RUNNING
from geoembz._cli.options import Overwrite, Time, explained, read_options, takes
from geoembz._cli.output import Output

if TYPE_CHECKING:
    from geoembz import ReadOptions


@takes(read=read_options, output=explained)
def seams(
    store: Annotated[
        list[str],
        typer.Argument(metavar="STORE|SRC…", help="A store; or tiles, as `convert` takes them."),
    ],
    *,
    read: "ReadOptions",
    output: Output,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SRC",
            help="Tiles that STORE was made of, or a store that knows them; may be repeated.",
            show_default="as STORE says",
        ),
    ] = None,
    limit: Annotated[
        float,
        typer.Option(
            metavar="EFFECT",
            help="Step from which a border is a seam, in root mean square steps of the inside.",
        ),
    ] = 0.3,
    time: Time = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write seams and other bad borders as .geojson."),
    ] = None,
    overwrite: Overwrite = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Borders at once.",
            show_default="one per core",
            rich_help_panel=RUNNING,
        ),
    ] = None,
) -> None:
    """Measure the steps where tiles and shards meet.

    Exit 1 if any is a seam. A border is compared with cuts parallel to it inside the same tiles.

    Examples
    --------
    geoembz check seams out.zarr --out seams.geojson
    geoembz check seams tiles/*.tif --limit 0.5
    """
    from geoembz import check_seams

    with output.progress("borders") as progress:
        report = check_seams(
            store,
            sources=sources,
            limit=limit,
            time=time,
            read=read,
            out=out,
            overwrite=overwrite,
            workers=workers,
            progress=progress,
        )
    output.show(report, [] if out is None else [f"wrote {out}"])
    if report.seams:
        raise typer.Exit(1)
