"""`geoembz convert`: any product in, one store out.

Registered by `geoembz._cli.app` with ``app.command()(convert)``.
"""

from enum import StrEnum
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
    Vector,
    Workers,
)
from geoembz._cli.show import show
from geoembz.errors import InvalidConfigError


class Layout(StrEnum):
    """How `embedding` presents itself to Zarr readers."""

    PLAIN = "plain"
    CODEC = "codec"


class Overlap(StrEnum):
    """What holds where tiles overlap."""

    FIRST = "first"
    LAST = "last"
    MEAN = "mean"


class Resample(StrEnum):
    """How tiles with other pixels are taken."""

    NEAREST = "nearest"


def convert(
    source: Annotated[
        list[str],
        typer.Argument(metavar="SRC…", help="Files, globs, directories, lists, URLs, STAC items."),
    ],
    store: Annotated[str, typer.Argument(metavar="DST", help="New store, such as out.zarr.")],
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Recipe, such as l2-pca64-int4-lloyd or aef."),
    ] = None,
    pca: Annotated[
        int | None,
        typer.Option(metavar="K", help="Keep K principal components.", show_default="all"),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit codes (the default).")] = False,
    int4: Annotated[bool, typer.Option("--int4", help="4-bit codes.")] = False,
    binary: Annotated[bool, typer.Option("--binary", help="1-bit codes.")] = False,
    float32: Annotated[bool, typer.Option("--float32", help="No quantization.")] = False,
    max_loss: Annotated[
        str | None,
        typer.Option(metavar="1%", help="Plan first: the smallest recipe within this loss."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --max-loss: labels of the task.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="C", help="With --labels: attribute of the label.")
    ] = None,
    layout: Annotated[
        Layout, typer.Option(help="Integers for any reader, or float32 through our codecs.")
    ] = Layout.PLAIN,
    fit_samples: Annotated[
        int, typer.Option(metavar="N", help="Pixels that the encoding is fitted on.")
    ] = 65_536,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of every random choice.")] = 0,
    basis: Annotated[
        str | None, typer.Option(metavar="STORE", help="Use this store's encoding; fit nothing.")
    ] = None,
    strict_basis: Annotated[
        bool, typer.Option("--strict-basis", help="Refuse data that lie outside the basis.")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option(metavar="N", help="Side of a chunk, in pixels.", show_default="fits 1 MB"),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Side of a shard, in pixels, or 'none'.", show_default="8 to 64 MB"
        ),
    ] = None,
    prefix_chunks: Annotated[
        int | None,
        typer.Option(metavar="N", help="Components per chunk.", show_default="whole vectors"),
    ] = None,
    nodata: Nodata = None,
    crs: SourceCrs = None,
    transform: SourceTransform = None,
    like: Like = None,
    dims: Dims = None,
    time: Annotated[
        str | None, typer.Option(metavar="YEAR", help="Make a time axis, and this its first date.")
    ] = None,
    product: Product = None,
    overlap: Annotated[
        Overlap | None,
        typer.Option(help="Which tile holds where several do.", show_default="first"),
    ] = None,
    resample: Annotated[
        Resample | None, typer.Option(help="Accept tiles that are not aligned.")
    ] = None,
    skip_bad: SkipBad = False,
    vector: Vector = None,
    grid: AsGrid = False,
    grid_crs: GridCrs = None,
    model: Annotated[
        str | None, typer.Option(metavar="URI", help="Model that made the embeddings.")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", metavar="TEXT", help="SPDX name or URL.")
    ] = None,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Record the SHA-256 of every input file.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the store with its inputs, place by place.")
    ] = False,
    workers: Workers = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="dask scheduler, such as tcp://host:8786, or 'local': processes, not threads.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store at DST.")] = False,
    break_lock: Annotated[
        bool, typer.Option("--break-lock", help="Take DST from a conversion that is dead.")
    ] = False,
    json_: JsonSummary = False,
    quiet: Quiet = False,
) -> None:
    """Convert embeddings to a compressed Zarr store; tiles become one mosaic per CRS.

    An interrupted conversion leaves a journal in DST; the same command finishes it.
    """
    quantizer = _chosen(int8=int8, int4=int4, binary=binary, float32=float32)
    if max_loss is not None:
        from geoembz._cli.plan import planned_recipe

        if len(source) != 1:
            raise InvalidConfigError(
                f"--max-loss with {len(source)} inputs; it plans on one: run `geoembz plan` on a "
                "tile that is like the others, and pass its --recipe"
            )
        named = {"--recipe": recipe, "--pca": pca, f"--{quantizer}": quantizer, "--basis": basis}
        quiet_plan = quiet or json_
        recipe = planned_recipe(
            source[0], max_loss, labels, label_column, vector, seed, named, quiet_plan
        )
    from geoembz._cli.progress import show_progress
    from geoembz._convert import convert as convert_source
    from geoembz.sources import parse_transform

    with show_progress("shards", quiet=quiet or json_) as progress:
        summary = convert_source(
            source,
            store,
            recipe=recipe,
            pca=pca,
            quantizer=quantizer,
            layout=layout.value,
            fit_samples=fit_samples,
            seed=seed,
            basis=basis,
            strict_basis=strict_basis,
            chunk=chunk,
            shard=_shard(shard),
            prefix_chunks=prefix_chunks,
            nodata=nodata,
            crs=crs,
            transform=parse_transform(transform),
            like=like,
            dims=dims,
            time=time,
            product=product,
            overlap=None if overlap is None else overlap.value,
            resample=None if resample is None else resample.value,
            skip_bad=skip_bad,
            vector=vector,
            grid=grid,
            grid_crs=grid_crs,
            model=model,
            license=license_,
            checksum=checksum,
            check=check,
            workers=workers,
            scheduler=scheduler,
            overwrite=overwrite,
            break_lock=break_lock,
            progress=progress,
        )
    show(summary, as_json=json_, quiet=quiet)


def _chosen(**flags: bool) -> str | None:
    """Return the one quantizer that was named; None where none was."""
    named = [name for name, given in flags.items() if given]
    if len(named) > 1:
        raise InvalidConfigError(
            f"--{' and --'.join(named)} exclude each other; expected one quantizer"
        )
    return named[0] if named else None


def _shard(text: str | None) -> int | str | None:
    if text is None or text == "none":
        return text
    try:
        return int(text)
    except ValueError as error:
        raise InvalidConfigError(
            f"--shard {text!r}; expected a number of pixels or 'none'"
        ) from error
