"""What several commands parse alike."""

from enum import StrEnum
from typing import Annotated

import typer

from geoembz.errors import InvalidConfigError


class SpaceName(StrEnum):
    """Spaces that vectors are read in."""

    ORIGINAL = "original"
    REDUCED = "reduced"
    CODES = "codes"


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
Whiten = Annotated[
    float, typer.Option(metavar="W", help="Weight of small components, 0 to 1; reduced only.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")]

Product = Annotated[
    str | None,
    typer.Option(
        metavar="P", help="aef, olmoearth, tessera, bands or raster.", show_default="found out"
    ),
]
Nodata = Annotated[
    str | None,
    typer.Option(
        metavar="V",
        help="Nodata value, several with commas, or 'none'.",
        show_default="as declared",
    ),
]
SourceCrs = Annotated[
    str | None, typer.Option(metavar="CRS", help="CRS of SRC.", show_default="as declared")
]
Vector = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Of a table: column of the vector, or what its numbered columns begin with.",
        show_default="the only one",
    ),
]
SourceTransform = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C,D,E,F", help="Of an array or Zarr group: affine transform of its pixels."
    ),
]
Like = Annotated[
    str | None,
    typer.Option(metavar="RASTER", help="Of an array or Zarr group: it lies where RASTER does."),
]
Dims = Annotated[
    str | None,
    typer.Option(metavar="band,y,x", help="Of an array: its axes.", show_default="as in --like"),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Go on without inputs that cannot be read.")
]
AsGrid = Annotated[
    bool, typer.Option("--grid", help="Of a table of chips on a regular grid: make a raster.")
]
GridCrs = Annotated[
    str | None,
    typer.Option(metavar="CRS", help="With --grid: CRS of the grid.", show_default="found out"),
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Shards at once.", show_default="one per core")
]

Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
JsonSummary = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
