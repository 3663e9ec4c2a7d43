"""``geoembz plan``: which recipe for this data, within a loss or a budget."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from geoembz._cli.options import Vector
from geoembz._cli.show import say
from geoembz.errors import InvalidConfigError


def plan(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Raster, or table of vectors.")],
    max_loss: Annotated[
        str | None,
        typer.Option(metavar="1%", help="Largest loss; of a score, in points.", show_default="1%"),
    ] = None,
    bytes_: Annotated[
        int | None, typer.Option("--bytes", metavar="N", help="Most bytes of one vector.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="FILE", help="Labels: raster, polygons or points.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="C", help="Attribute or column of the label.")
    ] = None,
    label_nodata: Annotated[
        float | None,
        typer.Option(metavar="V", help="Label that means none.", show_default="as declared"),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(metavar="C", help="Column (or raster) of what must not be split."),
    ] = None,
    vector: Vector = None,
    after: Annotated[
        str | None, typer.Option(metavar="SRC", help="SRC at a second date, for change detection.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="cosine, rank, knn, probe, regression, segmentation, change or retrieval.",
            show_default="what suits the labels",
        ),
    ] = None,
    recipes: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="What to try.", show_default="a ladder")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="KIND", help="As in evaluate.", show_default=False)
    ] = None,
    block_size: Annotated[
        float | None,
        typer.Option(metavar="M", help="Side of split blocks, in metres.", show_default="1/10"),
    ] = None,
    samples: Annotated[int, typer.Option(metavar="N", help="Pixels to draw.")] = 20_000,
    area: Annotated[
        float | None,
        typer.Option(metavar="KM2", help="Area to be stored.", show_default="SRC's own"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of every random choice.")] = 0,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers; - prints.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Try a ladder of recipes on a sample of SRC and recommend one.

    The choice is made on one split of the sample and confirmed on another.
    """
    from geoembz._cli.evaluate import names_in, write_json
    from geoembz._cli.progress import progress_bar
    from geoembz._evaluate import plan as find_plan

    with progress_bar("recipes", enabled=not quiet and sys.stderr.isatty()) as progress:
        found = find_plan(
            source,
            max_loss=None if max_loss is None else share(max_loss),
            budget=bytes_,
            labels=labels,
            label_column=label_column,
            label_nodata=label_nodata,
            groups=groups,
            vector=vector,
            after=after,
            task=task,
            recipes=None if recipes is None else names_in(recipes),
            split=split,
            block_size=block_size,
            samples=samples,
            area_km2=area,
            seed=seed,
            progress=progress,
        )
    written = [] if json_ is None else write_json(found.to_json(), json_)
    if not quiet and str(json_) != "-":
        say("\n".join([found.to_table(), *written]))


def planned_recipe(
    source: str,
    max_loss: str,
    labels: str | None,
    label_column: str | None,
    vector: str | None,
    seed: int,
    named: Mapping[str, object],
    quiet: bool,
) -> str:
    """Plan for ``convert --max-loss``; print the plan and return its recipe's name.

    Raises
    ------
    InvalidConfigError
        If the recipe was named as well.
    """
    if given := [name for name, value in named.items() if value is not None]:
        raise InvalidConfigError(
            f"--max-loss chooses the recipe, but {' and '.join(given)} names one; leave one out"
        )
    from geoembz._evaluate import plan as find_plan

    limit = share(max_loss)
    found = find_plan(
        source,
        max_loss=limit,
        labels=labels,
        label_column=label_column,
        vector=vector,
        seed=seed,
    )
    if not quiet:
        say(found.to_table() + "\n")
    return found.chosen.recipe


def share(text: str) -> float:
    """Read ``1%`` or ``0.01``.

    Raises
    ------
    InvalidConfigError
        If it is neither.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError as error:
        raise InvalidConfigError(f"--max-loss {text!r}; expected 1% or 0.01") from error
    return value / 100 if text.strip().endswith("%") else value
