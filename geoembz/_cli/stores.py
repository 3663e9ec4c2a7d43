"""`geoembz info`, `verify`, `view`, `publish`, `cost`, `basis save`: what concerns whole stores."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoembz._cli.help import DESCRIPTION, RUNNING
from geoembz._cli.options import (
    Access,
    DryRun,
    License,
    Store,
    explained,
    names_in,
    printed,
    takes,
    work_options,
)
from geoembz._cli.output import Output, say_json
from geoembz._text import printable
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    from geoembz import CostOptions


@takes(output=explained)
def info(
    store: Store,
    *,
    output: Output,
    coverage: Annotated[
        bool,
        typer.Option("--coverage", help="Which shards are written, empty or missing, instead."),
    ] = False,
    shares: Annotated[
        bool, typer.Option("--shares", help="With --coverage: count valid pixels of all shards.")
    ] = False,
    geojson: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="With --coverage: write outlines of shards as .geojson."),
    ] = None,
) -> None:
    """Print what a store holds, where it lies, and what it lost.

    Examples
    --------
    geoembz info out.zarr
    geoembz info s3://bucket/out.zarr --coverage --geojson shards.geojson
    """
    if not coverage:
        if shares or geojson is not None:
            raise InvalidConfigError("--shares and --geojson are parts of --coverage; pass it, too")
        from geoembz import info as describe

        output.show(describe(store))
        return
    from geoembz import shard_coverage

    found = shard_coverage(store, shares=shares or None, geojson=geojson)
    output.show(found, [] if geojson is None else [f"wrote {geojson}"])


@takes(work=work_options, output=explained)
def verify(
    store: Store,
    *,
    output: Output,
    against: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Compare with another copy.")
    ] = None,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Compare with the manifest beside the store.")
    ] = False,
    seams: Annotated[
        bool, typer.Option("--seams", help="Look for steps between tiles: `check seams`.")
    ] = False,
    work: dict[str, Any],
) -> None:
    """Read a whole store again and name what is wrong.

    Exit 1 if anything is.

    Examples
    --------
    geoembz verify out.zarr
    geoembz verify out.zarr --against s3://bucket/out.zarr
    """
    from geoembz import verify as verify_store

    with output.progress("shards"):
        found = verify_store(store, against=against, manifest=manifest, seams=seams, **work)
    output.show(found)
    if found.problems:
        raise typer.Exit(1)


@takes(output=printed)
def view(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="Path or URL of a store, or of a map.")
    ],
    maps: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MAP]...", help="Maps made of it, the first on top."),
    ] = None,
    *,
    output: Output,
    port: Annotated[
        int | None,
        typer.Option(metavar="N", help="Port of the page.", show_default="one that is free"),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Show a store on a map in the browser.

    It is served on this machine alone, until Ctrl-C. Click a place, and the map shows what is
    like it. Maps that `geoembz map` made lie over the store, or are shown by themselves.

    Examples
    --------
    geoembz view out.zarr
    geoembz view out.zarr change.tif classes.tif --port 8000 --no-browser
    """
    from geoembz import view as view_store

    with (
        view_store(store, maps or (), port=port, browser=browser, say=output.tell) as viewer,
        suppress(KeyboardInterrupt),  # it is how this command ends
    ):
        output.tell(f"{store}: {viewer.url} (Ctrl-C ends)")
        if output.as_json:
            say_json({"store": store, "url": viewer.url})
        viewer.wait()


@takes(output=printed)
def save_basis(
    store: Store,
    file: Annotated[str, typer.Argument(metavar="FILE", help="New file, such as basis.npz.")],
    *,
    output: Output,
) -> None:
    """Write the encoding of a store to a file, for `convert --basis`.

    Examples
    --------
    geoembz basis save out.zarr basis.npz
    """
    from geoembz import save_basis as save

    encoding = save(store, file)
    output.tell(f"{file}: {printable(encoding.recipe)}, {encoding.hash}")
    if output.as_json:
        say_json({"file": file, "recipe": encoding.recipe, "encoding_hash": encoding.hash})


@takes(output=printed)
def publish(
    store: Store,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Where to: s3://bucket/prefix/name.zarr, or icechunk+s3://bucket/prefix@BRANCH.",
        ),
    ],
    *,
    output: Output,
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="S3 server other than Amazon's.",
            show_default="AWS_ENDPOINT_URL",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Objects in flight, each held in memory.",
            show_default="8",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    anon_check: Annotated[
        bool,
        typer.Option(
            "--anon-check", help="Afterwards read it without credentials.", rich_help_panel=RUNNING
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace another store at the destination.", rich_help_panel=RUNNING
        ),
    ] = False,
    break_lock: Annotated[
        bool,
        typer.Option(
            "--break-lock",
            help="Take the destination from another command.",
            rich_help_panel=RUNNING,
        ),
    ] = False,
    stac: Annotated[
        bool,
        typer.Option(
            help="Write a STAC item and collection beside it.", rich_help_panel=DESCRIPTION
        ),
    ] = True,
    viewer: Annotated[
        bool, typer.Option("--viewer", help="Write the page of `geoembz view` beside it.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="First year, day or moment (UTC) that the embeddings describe, for STAC.",
            show_default="the time axis",
            rich_help_panel=DESCRIPTION,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Last one, to its end; for STAC.", rich_help_panel=DESCRIPTION
        ),
    ] = None,
    license_: License = None,
    message: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Of the commit, where URL is a branch: icechunk+s3://bucket/prefix@main.",
            show_default="what was published",
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Copy a store to object storage, verified and resumable.

    Readers see all of it or nothing. The same command after any interruption goes on where it
    stopped.

    Examples
    --------
    geoembz publish out.zarr s3://bucket/out.zarr --license CC-BY-4.0
    geoembz publish out.zarr s3://bucket/out.zarr --viewer --anon-check
    """
    from geoembz import publish as publish_store

    options: dict[str, Any] = {
        "endpoint_url": endpoint_url,
        "workers": workers,
        "anon_check": anon_check,
        "overwrite": overwrite,
        "break_lock": break_lock,
        "stac": stac,
        "viewer": viewer,
        "start": start,
        "end": end,
        "license": license_,
        "message": message,
    }
    output.run("objects", publish_store, store, url, dry=dry_run, **options)


def cost_options(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Known model: aef, tessera, tessera-encoder, dinov3 …",
            rich_help_panel="What",
        ),
    ] = None,
    dims: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Values per embedding, without --model.", rich_help_panel="What"
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Type of one value.",
            show_default="the model's, or float32",
            rich_help_panel="What",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Compress first, such as pca64-int8 or rot-binary.",
            rich_help_panel="What",
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Recipes side by side, after the uncompressed vectors.",
            rich_help_panel="What",
        ),
    ] = None,
    pixels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of pixels; of rows, where STORE is a table.",
            rich_help_panel="How much",
        ),
    ] = None,
    area_km2: Annotated[
        float | None,
        typer.Option(metavar="KM2", help="Area in square kilometres.", rich_help_panel="How much"),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="'land' (the Earth's) or a file of polygons.",
            show_default="land, or the store's",
            rich_help_panel="How much",
        ),
    ] = None,
    gsd: Annotated[
        float,
        typer.Option(metavar="M", help="Side of one pixel, in metres.", rich_help_panel="How much"),
    ] = 10.0,
    years: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Yearly layers.",
            show_default="1, or the store's",
            rich_help_panel="How much",
        ),
    ] = None,
    provider: Annotated[
        str, typer.Option(metavar="NAME", help="aws, gcs, azure or r2.", rich_help_panel="Where")
    ] = "aws",
    storage_class: Annotated[
        str,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Storage class: standard, standard-ia, nearline …",
            rich_help_panel="Where",
        ),
    ] = "standard",
    reads_per_month: Annotated[
        int,
        typer.Option(
            metavar="N", help="Reads of one window each, a month.", rich_help_panel="How it is read"
        ),
    ] = 0,
    read_window: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Side of that window, in pixels; rows, for a table.",
            rich_help_panel="How it is read",
        ),
    ] = 1,
    access: Access = None,
    overviews: Annotated[
        bool,
        typer.Option(
            "--overviews",
            help="With levels of 2, 4, 8 … times the pixel size.",
            rich_help_panel="What",
        ),
    ] = False,
    egress_tb: Annotated[
        float,
        typer.Option(
            metavar="TB",
            help="Decimal terabytes sent to the internet, a month.",
            rich_help_panel="How it is read",
        ),
    ] = 0.0,
    prices: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="JSON file whose prices replace the packaged ones.",
            rich_help_panel="Where",
        ),
    ] = None,
) -> "CostOptions":
    """Return what is stored, how much of it, where, and how it is read."""
    from geoembz import CostOptions

    return CostOptions(
        model=model,
        dims=dims,
        dtype=dtype,
        recipe=recipe,
        compare=names_in(compare),
        pixels=pixels,
        area_km2=area_km2,
        region=region,
        gsd=gsd,
        years=years,
        provider=provider,
        storage_class=storage_class,
        reads_per_month=reads_per_month,
        read_window=read_window,
        access=access,
        overviews=overviews,
        egress_tb=egress_tb,
        prices=prices,
    )


@takes(options=cost_options, output=printed)
def cost(
    store: Annotated[
        str | None,
        typer.Argument(
            metavar="[STORE]",
            help="An existing store: its measured size is extrapolated.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Output,
    options: "CostOptions",
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a bar chart of schemes (.png, .svg, .pdf)."),
    ] = None,
) -> None:
    """Print what embeddings cost to store, in bytes and US dollars.

    Bytes are exact; dollars are flat and by price list. Without STORE, --model or --dims, print the
    known models side by side.

    Examples
    --------
    geoembz cost --model aef --recipe pca64-int8 --area-km2 357000
    geoembz cost --model dinov3 --compare int8,pca64-int8,binary
    geoembz cost out.zarr --region land --years 8 --plot cost.png
    """
    from geoembz import cost as estimate_cost

    report = estimate_cost(store, options=options, plot=plot)
    output.show(report, [] if plot is None else [f"wrote {plot}"])
