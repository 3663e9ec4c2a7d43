"""`geoembz evaluate` and `plan`: what a compression costs a task, and which one to choose."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoembz._cli.options import (
    BlockSize,
    LabelColumn,
    Labels,
    Seed,
    Vector,
    names_in,
    printed_or_written,
    purpose,
    reading_work_options,
    takes,
)
from geoembz._cli.output import Output
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    from geoembz import ExperimentOptions

Recipes = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="Recipes to fit on training rows and judge.",
        show_default="of plan: a ladder",
    ),
]


@purpose("Experiment")
def experiment_options(
    labels: Labels = None,
    label_column: LabelColumn = None,
    label_nodata: Annotated[
        float | None,
        typer.Option(metavar="V", help="Label that means none.", show_default="as declared"),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="C",
            help="Group column (or raster): groups are never split across folds.",
        ),
    ] = None,
    vector: Vector = None,
    after: Annotated[
        str | None, typer.Option(metavar="SRC", help="SRC at a second date, for change detection.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="given, random, stratified, grouped or blocked.",
            show_default="what the data allow",
        ),
    ] = None,
    block_size: BlockSize = None,
    samples: Annotated[int, typer.Option(metavar="N", help="Pixels to draw.")] = 20_000,
    seed: Seed = 0,
) -> "ExperimentOptions":
    """Return which rows are judged, and how they are divided."""
    from geoembz import ExperimentOptions

    return ExperimentOptions(
        labels=labels,
        label_column=label_column,
        label_nodata=label_nodata,
        groups=groups,
        vector=vector,
        after=after,
        split=split,
        block_size=block_size,
        samples=samples,
        seed=seed,
    )


@takes(experiment=experiment_options, work=reading_work_options, output=printed_or_written)
def evaluate(
    store: Annotated[
        str | None, typer.Argument(metavar="[STORE]", help="Store to judge.", show_default=False)
    ] = None,
    *,
    experiment: "ExperimentOptions",
    output: Output,
    recipes: Recipes = None,
    source: Annotated[
        str | None, typer.Option(metavar="SRC", help="What the store was made from.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(metavar="FILE", help="Table of vectors, .npz or .parquet.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(metavar="N", help="Folds to test.", show_default="1, or 5")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="knn, knn_float_query, knn_whitened, knn_float_query_whitened, "
            "knn_slightly_whitened, knn_float_query_slightly_whitened, hamming, probe, "
            "regression, segmentation, change, retrieval.",
            show_default="what suits the labels",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.html and report.json.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Record the summary in a local store.")
    ] = True,
    work: dict[str, Any],
) -> None:
    """Judge a store or recipes against the uncompressed vectors.

    Everything is fitted on training rows; rasters are split by blocks, because neighbours leak.

    Examples
    --------
    geoembz evaluate out.zarr --source scene.tif --report report
    geoembz evaluate --table vectors.parquet --recipes int8,pca64-int8,rot-binary
    """
    from geoembz import evaluate as evaluate_all

    if report is not None:
        from geoembz._evaluate.plots import require_packages

        require_packages()
    with output.progress("recipes") as progress:
        evaluation = evaluate_all(
            store,
            source=source,
            table=table,
            recipes=names_in(recipes) or (),
            n_folds=folds,
            tasks=names_in(tasks),
            experiment=experiment,
            progress=progress,
            **work,
        )
    notes: list[str] = []
    if report is not None:
        from geoembz import write_report

        notes.append(f"report: {write_report(evaluation, report, store=store, source=source)}")
    if store is not None and record:
        from geoembz import record_in_store

        notes += record_in_store(evaluation, store)
    output.show(evaluation, notes)


@takes(experiment=experiment_options, output=printed_or_written)
def plan(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Raster, or table of vectors.")],
    *,
    experiment: "ExperimentOptions",
    output: Output,
    recipes: Recipes = None,
    max_loss: Annotated[
        str | None,
        typer.Option(metavar="1%", help="Largest loss; of a score, in points.", show_default="1%"),
    ] = None,
    bytes_: Annotated[
        int | None, typer.Option("--bytes", metavar="N", help="Most bytes of one vector.")
    ] = None,
    use: Annotated[
        str | None,
        typer.Option(
            "--use",
            "--task",
            metavar="USE",
            help="What for: search, knn, probe, regression, segmentation, change or retrieval; "
            "without labels cosine or rank.",
            show_default="what suits the labels",
        ),
    ] = None,
    area: Annotated[
        float | None,
        typer.Option(
            "--area-km2",
            "--area",
            metavar="KM2",
            help="Area to be stored, in square kilometres.",
            show_default="SRC's own",
        ),
    ] = None,
) -> None:
    """Try recipes on a sample of SRC and recommend one.

    The choice is made on one split of the sample and confirmed on another.

    Examples
    --------
    geoembz plan scene.tif --max-loss 1%
    geoembz plan scene.tif --labels sites.gpkg --label-column class --bytes 32
    """
    from geoembz import plan as find_plan

    with output.progress("recipes") as progress:
        found = find_plan(
            source,
            max_loss=None if max_loss is None else parse_share(max_loss),
            budget=bytes_,
            use=use,
            recipes=names_in(recipes),
            area_km2=area,
            experiment=experiment,
            progress=progress,
        )
    output.show(found)


def plan_recipe(
    source: str,
    max_loss: str,
    experiment: "ExperimentOptions",
    given: Sequence[str],
    output: Output,
) -> str:
    """Plan for ``convert --max-loss``; print the plan and return its recipe's name.

    Raises
    ------
    InvalidConfigError
        If flags name the recipe as well.
    """
    if given:
        raise InvalidConfigError(
            f"--max-loss chooses the recipe, but {' and '.join(given)} names one; leave one out"
        )
    from geoembz import plan as find_plan

    found = find_plan(source, max_loss=parse_share(max_loss), experiment=experiment)
    output.tell(found.to_table() + "\n")
    return found.chosen.recipe


def parse_share(text: str) -> float:
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
