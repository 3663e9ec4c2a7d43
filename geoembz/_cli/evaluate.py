"""``geoembz evaluate``: what a compression costs a task."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoembz._cli.options import Vector
from geoembz._cli.show import say, say_json
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    from geoembz._evaluate import Evaluation


def evaluate(
    store: Annotated[
        str | None, typer.Argument(metavar="[STORE]", help="Store to judge.", show_default=False)
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SRC", help="What the store was made from.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(metavar="FILE", help="Table of vectors, .npz or .parquet.")
    ] = None,
    recipes: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Recipes to fit on training rows and judge.")
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
    block_size: Annotated[
        float | None,
        typer.Option(metavar="M", help="Side of split blocks, in metres.", show_default="1/10"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="given, random, stratified, grouped or blocked.",
            show_default="what the data allow",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(metavar="N", help="Folds to test.", show_default="1, or 5")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="SRC", help="SRC at a second date, for change detection.")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="knn, hamming, probe, regression, segmentation, change, retrieval.",
            show_default="what suits the labels",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(metavar="N", help="Pixels to draw.")] = 20_000,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of every random choice.")] = 0,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers; - prints.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.html and report.json.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Record the summary in a local store.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Judge a store, or recipes on a table, against the uncompressed vectors.

    Everything is fitted on training rows; rasters are split by blocks, because neighbours leak.
    """
    from geoembz._cli.progress import progress_bar
    from geoembz._evaluate import evaluate as evaluate_all

    with progress_bar("recipes", enabled=not quiet and sys.stderr.isatty()) as progress:
        evaluation = evaluate_all(
            store,
            source=source,
            table=table,
            recipes=names_in(recipes),
            labels=labels,
            label_column=label_column,
            label_nodata=label_nodata,
            groups=groups,
            vector=vector,
            after=after,
            split=split,
            block_size=block_size,
            n_folds=folds,
            tasks=None if tasks is None else names_in(tasks),
            samples=samples,
            seed=seed,
            progress=progress,
        )
    written = _write(evaluation, json_, report, store, source)
    if store is not None and record:
        from geoembz._evaluate.record import record_in_store

        written += record_in_store(evaluation, store)
    if not quiet and str(json_) != "-":
        say("\n".join([evaluation.to_table(), "", *written]).rstrip())


def write_json(document: dict[str, Any], path: Path) -> list[str]:
    """Write JSON to a file, or to standard output for ``-``; return what to tell the user."""
    if str(path) == "-":
        say_json(document)
        return []
    text = json.dumps(document, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidConfigError(
            f"--json {path}: cannot be written ({error.strerror}); expected a path of a file, or - "
            "to print"
        ) from error
    return [f"numbers: {path}"]


def names_in(text: str | None) -> list[str]:
    """Return the names in a comma-separated list."""
    return [] if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _write(
    evaluation: "Evaluation",
    json_: Path | None,
    report: Path | None,
    store: str | None,
    source: str | None,
) -> list[str]:
    written = [] if json_ is None else write_json(evaluation.to_json(), json_)
    if report is not None:
        from geoembz._evaluate.report import write_report

        written.append(f"report: {write_report(evaluation, report, store=store, source=source)}")
    return written
