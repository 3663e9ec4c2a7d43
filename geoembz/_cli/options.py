"""Options that several commands share, singly and in groups.

A group is a function whose parameters are options, and which returns what the library takes for
them, such as `ReadOptions`. A command that `takes` a group has its options, and gets their value.
"""

import copy
import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from geoembz._cli.help import DESCRIPTION, INPUT, OUTPUT, RECIPE, RUNNING, STORAGE
from geoembz._cli.output import Output
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    from geoembz import FitOptions, ReadOptions, StorageOptions

Store = Annotated[str, typer.Argument(metavar="STORE", help="Path or URL of a store.")]
BBoxText = Annotated[
    str | None,
    typer.Option("--bbox", metavar="XMIN,YMIN,XMAX,YMAX", help="Only this part of the store."),
]
BBoxCrs = Annotated[
    str | None, typer.Option(metavar="CRS", help="CRS of --bbox.", show_default="the store's")
]
Time = Annotated[
    str | None, typer.Option(metavar="DATE", help="Year or date, of a store that has several.")
]
GridName = Annotated[
    str | None,
    typer.Option(
        "--grid", metavar="NAME", help="One grid, such as utm32n, of a store that has several."
    ),
]
Level = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Level of a store with overviews: 1 has pixels twice as large, 2 four times …",
        show_default="0, the full resolution",
    ),
]
Access = Annotated[
    Literal["browser", "points", "bulk"] | None,
    typer.Option(
        "--for",
        help="Choose chunks and shards for tiles of a map, single pixels, or whole scans.",
        show_default="a bit of each",
    ),
]
Pools = Annotated[
    list[str] | None,
    typer.Option(
        "--pool",
        metavar="HOW",
        help="How pixels become one vector: mean, std, min, max, gem or mean+std; repeatable.",
        show_default="mean",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace a file that exists.", rich_help_panel=RUNNING),
]
Seed = Annotated[int, typer.Option(metavar="S", help="Seed of every random choice.")]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Shards at once.", show_default="one per core", rich_help_panel=RUNNING
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="dask scheduler, such as tcp://host:8786, or 'local': processes, not threads.",
        rich_help_panel=RUNNING,
    ),
]
BlockSize = Annotated[
    float | None,
    typer.Option(metavar="M", help="Side of split blocks, in metres.", show_default="1/10"),
]
License = Annotated[
    str | None,
    typer.Option(
        "--license", metavar="TEXT", help="SPDX name or URL.", rich_help_panel=DESCRIPTION
    ),
]
Labels = Annotated[
    str | None, typer.Option(metavar="FILE", help="Labels: raster, polygons or points.")
]
LabelColumn = Annotated[
    str | None, typer.Option(metavar="C", help="Attribute or column of the label.")
]
Vector = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Of a table: column of the vector, or what its numbered columns begin with.",
        show_default="the only one",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="[FILE]", help="Print all numbers as JSON, or write a file."),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Say what reading took: requests, bytes and seconds.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Say what is done; twice: every finished task, too.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say what would be read and written; do nothing.", rich_help_panel=RUNNING
    ),
]
LogFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Append what is done, and errors, to a log."),
]


def purpose[**P, T](title: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Say under which heading of `--help` the options of a group stand."""

    def titled(group: Callable[P, T]) -> Callable[P, T]:
        vars(group)["purpose"] = title
        return group

    return titled


def takes(**groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace parameters of a command by the options of groups."""
    signatures = {name: _signature(group) for name, group in groups.items()}

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        options: list[inspect.Parameter] = []
        for name, parameter in inspect.signature(command).parameters.items():
            options += signatures[name].parameters.values() if name in groups else [parameter]

        @functools.wraps(command)
        def run(**given: Any) -> Any:
            values = {
                name: group(**{option: given.pop(option) for option in signatures[name].parameters})
                for name, group in groups.items()
            }
            with ExitStack() as stack:
                for value in values.values():
                    if isinstance(value, Output):
                        stack.enter_context(value.logged())
                        stack.enter_context(value.explaining())
                return command(**given, **values)

        keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
        vars(run)["__signature__"] = inspect.Signature(keywords)  # what Typer reads
        run.__annotations__ = {option.name: option.annotation for option in options}
        return run

    return with_options


def _signature(group: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a group, with its heading at all options that have none."""
    signature = inspect.signature(group)
    title = vars(group).get("purpose")
    if title is None:
        return signature
    parameters = [
        parameter.replace(annotation=_under(title, parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


def _under(title: str, annotation: Any) -> Any:
    """Return an annotation whose option stands under a heading, as several commands share it."""
    if get_origin(annotation) is not Annotated:  # `Store` and its kin are, too
        return annotation
    kind, option = get_args(annotation)
    if option.rich_help_panel is not None:
        return annotation
    option = copy.copy(option)
    option.rich_help_panel = title
    return Annotated[kind, option]


def work_options(workers: Workers = None, scheduler: Scheduler = None) -> dict[str, Any]:
    """Return the keywords of who does the work."""
    return {"workers": workers, "scheduler": scheduler}


def reading_work_options(
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Chunks or blocks at once; with --scheduler local, processes.",
            show_default="as suits the store",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    scheduler: Scheduler = None,
) -> dict[str, Any]:
    """Return the same of commands that need no thread for each core: one block is read by many."""
    return work_options(workers, scheduler)


@purpose(OUTPUT)
def printed(
    json_: Json = False, quiet: Quiet = False, verbose: Verbose = 0, log_file: LogFile = None
) -> Output:
    """Return where a command prints."""
    return Output(as_json=json_, quiet=quiet, verbose=verbose, log_file=log_file)


@purpose(OUTPUT)
def explained(
    json_: Json = False,
    explain: Explain = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    log_file: LogFile = None,
) -> Output:
    """Return where a command prints that can say what reading took."""
    if not explain:
        return printed(json_, quiet, verbose, log_file)
    from geoembz import explain as start

    return replace(printed(json_, quiet, verbose, log_file), explanation=start())


@purpose(OUTPUT)
def printed_or_written(
    json_: JsonFile = None, quiet: Quiet = False, verbose: Verbose = 0, log_file: LogFile = None
) -> Output:
    """Return where a command prints that may write its JSON to a file instead."""
    file = None if json_ == "-" else json_
    return Output(json_ == "-", quiet, file, verbose, log_file)


@purpose(INPUT)
def read_options(
    product: Annotated[
        str | None,
        typer.Option(
            metavar="P", help="aef, olmoearth, tessera, bands or raster.", show_default="found out"
        ),
    ] = None,
    nodata: Annotated[
        str | None,
        typer.Option(
            metavar="V",
            help="Nodata value, several with commas, or 'none'.",
            show_default="as declared",
        ),
    ] = None,
    crs: Annotated[
        str | None, typer.Option(metavar="CRS", help="CRS of SRC.", show_default="as declared")
    ] = None,
    transform: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C,D,E,F",
            help="Of an array or Zarr group: affine transform of its pixels.",
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="RASTER", help="Of an array or Zarr group: it lies where RASTER does."
        ),
    ] = None,
    dims: Annotated[
        str | None,
        typer.Option(
            metavar="BAND,Y,X", help="Of an array: its axes.", show_default="as in --like"
        ),
    ] = None,
    overlap: Annotated[
        Literal["first", "last", "mean"] | None,
        typer.Option(
            help="Pixel to keep where tiles overlap: first, last or their mean.",
            show_default="first",
        ),
    ] = None,
    resample: Annotated[
        Literal["nearest"] | None, typer.Option(help="Accept tiles that are not aligned.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go on without inputs that cannot be read.")
    ] = False,
    extent: Annotated[
        str | None,
        typer.Option(
            metavar="XMIN,YMIN,XMAX,YMAX",
            help="Larger or smaller than SRC, in units of its CRS: store the pixels in it.",
            show_default="that of SRC",
        ),
    ] = None,
    vector: Vector = None,
    grid: Annotated[
        bool,
        typer.Option(
            "--grid", help="Store a table of chips that lie on a regular grid as a raster."
        ),
    ] = False,
    grid_crs: Annotated[
        str | None,
        typer.Option(metavar="CRS", help="With --grid: CRS of the grid.", show_default="found out"),
    ] = None,
    aggregate: Annotated[
        int | None, typer.Option(metavar="N", help="Pool cells of N x N pixels of SRC.")
    ] = None,
    pool: Pools = None,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Record the SHA-256 of every input file.")
    ] = False,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="NAME=FILE[:BAND]",
            help="Store numbers of FILE beside the vectors; may be repeated.",
        ),
    ] = None,
) -> "ReadOptions":
    """Return how inputs are read."""
    from geoembz import ReadOptions

    return ReadOptions(
        product=product,
        nodata=nodata,
        crs=crs,
        transform=transform,
        like=like,
        dims=dims,
        overlap=overlap,
        resample=resample,
        skip_bad=skip_bad,
        extent=extent,
        vector=vector,
        grid=grid,
        grid_crs=grid_crs,
        aggregate=aggregate,
        pool=pool,  # type: ignore[arg-type]  # the group refuses what is none
        checksum=checksum,
        layers=layers,
    )


@purpose(RECIPE)
def fit_options(
    pca: Annotated[
        int | None,
        typer.Option(metavar="K", help="Keep K principal components.", show_default="all"),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit codes (the default).")] = False,
    int4: Annotated[bool, typer.Option("--int4", help="4-bit codes.")] = False,
    binary: Annotated[bool, typer.Option("--binary", help="1-bit codes.")] = False,
    float32: Annotated[bool, typer.Option("--float32", help="No quantization.")] = False,
    fit_samples: Annotated[
        int, typer.Option(metavar="N", help="Pixels that the encoding is fitted on.")
    ] = 65_536,
    seed: Seed = 0,
    strict_basis: Annotated[
        bool, typer.Option("--strict-basis", help="Refuse data that lie outside the basis.")
    ] = False,
) -> "FitOptions":
    """Return how the encoding is fitted.

    Raises
    ------
    InvalidConfigError
        If several quantizers are named.
    """
    from geoembz import FitOptions

    flags = {"int8": int8, "int4": int4, "binary": binary, "float32": float32}
    named = [name for name, given in flags.items() if given]
    if len(named) > 1:
        raise InvalidConfigError(
            f"--{' and --'.join(named)} exclude each other; expected one quantizer"
        )
    return FitOptions(
        pca=pca,
        quantizer=named[0] if named else None,
        fit_samples=fit_samples,
        seed=seed,
        strict_basis=strict_basis,
    )


@purpose(STORAGE)
def storage_options(
    layout: Annotated[
        Literal["plain", "codec"],
        typer.Option(help="Integers for any reader, or float32 through our codecs."),
    ] = "plain",
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
    overviews: Annotated[
        bool, typer.Option("--overviews", help="Add levels of 2, 4, 8 … times the pixel size.")
    ] = False,
    archive: Annotated[
        bool, typer.Option("--archive", help="Pack to be small: slow to write, slower to read.")
    ] = False,
    access: Access = None,
) -> "StorageOptions":
    """Return how codes are stored.

    Raises
    ------
    InvalidConfigError
        If ``--shard`` is no number.
    """
    from geoembz import StorageOptions

    try:
        side = shard if shard is None or shard == "none" else int(shard)
    except ValueError as error:
        raise InvalidConfigError(
            f"--shard {shard!r}; expected a number of pixels or 'none'"
        ) from error
    return StorageOptions(layout, chunk, side, prefix_chunks, access, overviews, archive)


def parse_bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """Return the four numbers of ``--bbox``.

    Raises
    ------
    InvalidConfigError
        If they are not four numbers.
    """
    if text is None:
        return None
    try:
        xmin, ymin, xmax, ymax = (float(part) for part in text.replace(" ", ",").split(",") if part)
    except ValueError as error:
        raise InvalidConfigError(
            f"--bbox {text!r}; expected four numbers: XMIN,YMIN,XMAX,YMAX"
        ) from error
    return xmin, ymin, xmax, ymax


def names_in(text: str | None) -> list[str] | None:
    """Return the names in a comma-separated list; None from None."""
    return text if text is None else [name.strip() for name in text.split(",") if name.strip()]
