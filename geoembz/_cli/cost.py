"""`geoembz cost`: parse, one estimate for each scheme, print."""

from pathlib import Path
from typing import Annotated

import typer

from geoembz._cli.options import Json, Quiet
from geoembz._cli.show import say, show


def cost(
    store: Annotated[
        str | None, typer.Argument(help="An existing store: its measured size is extrapolated.")
    ] = None,
    *,
    model: Annotated[
        str | None, typer.Option(help="Known model: aef, tessera, tessera-encoder, dinov3 …")
    ] = None,
    dims: Annotated[int | None, typer.Option(help="Values per embedding, without --model.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Type of one value [default: the model's, or float32].")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Compress first, e.g. pca64-int8 or rot-binary.")
    ] = None,
    pixels: Annotated[
        int | None, typer.Option(help="Number of pixels; of rows, where STORE is a table.")
    ] = None,
    area_km2: Annotated[float | None, typer.Option(help="Area in square kilometres.")] = None,
    region: Annotated[
        str | None,
        typer.Option(help="'land' (the Earth's) or a GeoJSON file [default: land, or the store's]"),
    ] = None,
    gsd: Annotated[float, typer.Option(help="Side of one pixel, in metres.")] = 10.0,
    years: Annotated[
        int | None, typer.Option(help="Yearly layers [default: 1, or the store's].")
    ] = None,
    provider: Annotated[str, typer.Option(help="aws, gcs, azure or r2.")] = "aws",
    storage_class: Annotated[
        str, typer.Option("--class", help="Storage class, e.g. standard, standard-ia, nearline.")
    ] = "standard",
    reads_per_month: Annotated[int, typer.Option(help="Reads of one window each, a month.")] = 0,
    read_window: Annotated[
        int, typer.Option(help="Side of that window, in pixels; rows, for a table.")
    ] = 1,
    egress_tb: Annotated[
        float, typer.Option(help="Decimal terabytes sent to the internet, a month.")
    ] = 0.0,
    prices: Annotated[
        Path | None, typer.Option(help="JSON file whose prices replace the packaged ones.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a bar chart of schemes (.png, .svg, .pdf)."),
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print what embeddings cost to store: bytes exactly, US dollars flat and by price list.

    Without STORE, --model or --dims, print the known models side by side.
    """
    from geoembz._cost import cost as estimate_cost

    report = estimate_cost(
        store,
        model=model,
        dims=dims,
        dtype=dtype,
        recipe=recipe,
        pixels=pixels,
        area_km2=area_km2,
        region=region,
        gsd=gsd,
        years=years,
        provider=provider,
        storage_class=storage_class,
        reads_per_month=reads_per_month,
        read_window=read_window,
        egress_tb=egress_tb,
        prices=prices,
        plot=plot,
    )
    show(report, as_json=json_, quiet=quiet)
    if plot is not None and not quiet:
        say(f"wrote {plot}", err=True)
