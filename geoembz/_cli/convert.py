"""`geoembz convert`, `append`, `update`, `overviews` and `demo`: what makes and grows stores."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoembz._cli.evaluate import plan_recipe
from geoembz._cli.help import DESCRIPTION, RECIPE, RUNNING
from geoembz._cli.options import (
    DryRun,
    License,
    Scheduler,
    Seed,
    Workers,
    fit_options,
    printed,
    read_options,
    storage_options,
    takes,
)
from geoembz._cli.output import Output
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    from geoembz import FitOptions, ReadOptions, StorageOptions


@takes(fit=fit_options, storage=storage_options, read=read_options, output=printed)
def convert(
    source: Annotated[
        list[str],
        typer.Argument(metavar="SRC…", help="Files, globs, directories, lists, URLs, STAC items."),
    ],
    store: Annotated[str, typer.Argument(metavar="DST", help="New store, such as out.zarr.")],
    *,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recipe, such as l2-pca64-int4-lloyd or aef.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    max_loss: Annotated[
        str | None,
        typer.Option(
            metavar="1%",
            help="Plan first: the smallest recipe within this loss.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="With --max-loss: raster, polygons or points to judge by.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(metavar="C", help="Attribute or column of the label.", rich_help_panel=RECIPE),
    ] = None,
    basis: Annotated[
        str | None,
        typer.Option(
            metavar="STORE", help="Use this store's encoding; fit nothing.", rich_help_panel=RECIPE
        ),
    ] = None,
    fit: "FitOptions",
    storage: "StorageOptions",
    read: "ReadOptions",
    output: Output,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="YEAR",
            help="Make a time axis, and this its first date.",
            rich_help_panel=DESCRIPTION,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="Model that made the embeddings.", rich_help_panel=DESCRIPTION
        ),
    ] = None,
    license_: License = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What searches should compare by, such as cosine-w0.5.",
            rich_help_panel=DESCRIPTION,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare the store with its inputs, place by place.",
            rich_help_panel=RUNNING,
        ),
    ] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store at DST.", rich_help_panel=RUNNING)
    ] = False,
    break_lock: Annotated[
        bool,
        typer.Option(
            "--break-lock", help="Take DST from a conversion that is dead.", rich_help_panel=RUNNING
        ),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Convert embeddings to a compressed Zarr store.

    Tiles become one mosaic per CRS. An interrupted conversion leaves a journal in DST; the same
    command finishes it.

    Examples
    --------
    geoembz convert tiles/*.tif out.zarr --recipe pca64-int8
    geoembz convert vectors.npy out.zarr --like scene.tif --int4
    geoembz convert scene.tif out.zarr --max-loss 1% --labels sites.gpkg
    """
    if max_loss is not None:
        from geoembz import ExperimentOptions

        if len(source) != 1:
            raise InvalidConfigError(
                f"--max-loss with {len(source)} inputs; it plans on one: run `geoembz plan` on a "
                "tile that is like the others, and pass its --recipe"
            )
        quantizer = f"--{fit.quantizer}"
        named = {"--recipe": recipe, "--pca": fit.pca, quantizer: fit.quantizer, "--basis": basis}
        given = [name for name, value in named.items() if value is not None]
        experiment = ExperimentOptions(
            labels=labels, label_column=label_column, vector=read.vector, seed=fit.seed
        )
        recipe = plan_recipe(source[0], max_loss, experiment, given, output)
    from geoembz import convert as convert_source

    options: dict[str, Any] = {
        "recipe": recipe,
        "basis": basis,
        "model": model,
        "license": license_,
        "metric": metric,
        "time": time,
        "read": read,
        "fit": fit,
        "storage": storage,
        "check": check,
        "workers": workers,
        "scheduler": scheduler,
        "overwrite": overwrite,
        "break_lock": break_lock,
    }
    output.run("shards", convert_source, source, store, dry=dry_run, **options)


def growth_options(
    recode: Annotated[
        bool, typer.Option("--recode", help="Accept a store with another encoding as SRC.")
    ] = False,
    seed: Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    break_lock: Annotated[
        bool,
        typer.Option(
            "--break-lock", help="Take STORE from a command that is dead.", rich_help_panel=RUNNING
        ),
    ] = False,
) -> dict[str, Any]:
    """Return the keywords of how a store is written to that is there already."""
    return {
        "recode": recode,
        "seed": seed,
        "workers": workers,
        "scheduler": scheduler,
        "break_lock": break_lock,
    }


@takes(read=read_options, how=growth_options, output=printed)
def append(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Store with a time axis.")],
    source: Annotated[
        list[str], typer.Argument(metavar="SRC…", help="What `convert` takes, on the same grid.")
    ],
    time: Annotated[str, typer.Option(metavar="YEAR", help="YYYY, YYYY-MM or YYYY-MM-DD.")],
    *,
    read: "ReadOptions",
    output: Output,
    replace: Annotated[bool, typer.Option("--replace", help="Write over the date.")] = False,
    how: dict[str, Any],
    dry_run: DryRun = False,
) -> None:
    """Append a date to a store that has a time axis.

    The store's own encoding is used. Readers see the store as it was until the end; the same
    command finishes an interrupted one.

    Examples
    --------
    geoembz append out.zarr tiles-2025/*.tif --time 2025
    geoembz append out.zarr corrected.tif --time 2024 --replace
    """
    from geoembz import append as append_source

    how |= {"time": time, "read": read, "replace_date": replace}
    output.run("shards", append_source, store, source, dry=dry_run, **how)


@takes(read=read_options, how=growth_options, output=printed)
def update(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="Store of a raster, or of several.")
    ],
    source: Annotated[
        list[str], typer.Argument(metavar="SRC…", help="What `convert` takes, on STORE's pixels.")
    ],
    *,
    read: "ReadOptions",
    output: Output,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace pixels that hold an embedding, too.")
    ] = False,
    time: Annotated[
        str | None, typer.Option(metavar="DATE", help="Which date, of a store that has several.")
    ] = None,
    how: dict[str, Any],
    dry_run: DryRun = False,
) -> None:
    """Fill pixels of a store that hold no embedding yet.

    Grid and encoding are the store's own. Readers see each pixel as it was or as it will be; the
    same command finishes an interrupted one.

    Examples
    --------
    geoembz update out.zarr late-tile.tif
    geoembz update out.zarr corrected.tif --replace --time 2024
    """
    from geoembz import update as update_store

    how |= {"time": time, "read": read, "replace": replace}
    output.run("shards", update_store, store, source, dry=dry_run, **how)


@takes(output=printed)
def overviews(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="Store of a raster, or of several.")
    ],
    *,
    output: Output,
    levels: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many; until both sides are below 512 pixels if unset."),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace the levels that STORE has.", rich_help_panel=RUNNING
        ),
    ] = False,
    break_lock: Annotated[
        bool,
        typer.Option(
            "--break-lock",
            help="Take STORE from a conversion that is dead.",
            rich_help_panel=RUNNING,
        ),
    ] = False,
) -> None:
    """Add coarser levels to a store, for maps and quick looks.

    Levels have 2, 4, 8 … times the pixel size, and hold means of the store's vectors. Readers see
    the store as it was until the end; the same command finishes an interrupted one.

    Examples
    --------
    geoembz overviews out.zarr
    geoembz overviews out.zarr --levels 4 --overwrite
    """
    from geoembz import overviews as add_overviews

    with output.progress("shards") as progress:
        summary = add_overviews(
            store,
            levels=levels,
            workers=workers,
            scheduler=scheduler,
            overwrite=overwrite,
            break_lock=break_lock,
            progress=progress,
        )
    output.show(summary)


@takes(output=printed)
def repack(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Store, an archive or not.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="New store on this machine.")],
    *,
    output: Output,
    archive: Annotated[
        bool, typer.Option("--archive/--no-archive", help="Make an archive, or unpack one.")
    ] = True,
    workers: Workers = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store at OUT.", rich_help_panel=RUNNING)
    ] = False,
    break_lock: Annotated[
        bool,
        typer.Option(
            "--break-lock", help="Take OUT from a conversion that is dead.", rich_help_panel=RUNNING
        ),
    ] = False,
) -> None:
    """Pack a store as an archive, or unpack one bit for bit.

    An archive is smaller, and slower to read.

    Examples
    --------
    geoembz repack out.zarr archive.zarr
    geoembz repack archive.zarr out.zarr --no-archive
    """
    from geoembz import repack as repack_store

    with output.progress("shards") as progress:
        summary = repack_store(
            store,
            out,
            archive=archive,
            workers=workers,
            overwrite=overwrite,
            break_lock=break_lock,
            progress=progress,
        )
    output.show(summary)


@takes(output=printed)
def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to write.", show_default=True)
    ] = Path("geoembz-demo"),
    *,
    output: Output,
    size: Annotated[int, typer.Option(metavar="N", help="Side of the scene, in pixels.")] = 512,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of the scene.")] = 0,
    later: Annotated[
        bool, typer.Option("--later", help="Write the scene of a year later too, and its changes.")
    ] = False,
) -> None:
    """Make a synthetic scene, convert it, and show what that lost.

    Examples
    --------
    geoembz demo
    geoembz demo there --size 1024 --later
    """
    from geoembz import run_demo

    made = run_demo(directory, size=size, seed=seed, later=later, say=output.tell)
    output.show(made, [f"see it on a map: geoembz view {shlex.quote(made.summary.store)}"])
