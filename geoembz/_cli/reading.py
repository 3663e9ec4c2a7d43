"""`geoembz sample`, `search`, `index`, `preview` and `export`: what gets data out of stores."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geoembz._cli.help import PART, VECTORS
from geoembz._cli.options import (
    BBoxCrs,
    BBoxText,
    GridName,
    Level,
    Overwrite,
    Pools,
    Seed,
    Store,
    Time,
    Workers,
    explained,
    parse_bbox,
    purpose,
    reading_work_options,
    takes,
    work_options,
)
from geoembz._cli.output import Output
from geoembz.errors import InvalidConfigError, SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# As the library's own types say: to import those would take longer than `--help` may.
Space = Literal["original", "reduced", "codes"]
Format = Literal["cog", "geoparquet"]
Engine = Literal["faiss", "parquet", "lance"]


MetricText = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How to compare: cosine, dot, euclidean, hamming, or cosine-w0.5 and the like.",
        show_default="what the store recommends, or cosine",
    ),
]


@purpose(VECTORS)
def view_options(
    space: Annotated[Space, typer.Option(help="Space of the vectors.")] = "original",
    components: Annotated[
        int | None, typer.Option(metavar="K", help="Only the first K.", show_default="all")
    ] = None,
    whiten: Annotated[
        float, typer.Option(metavar="W", help="Weight of small components, 0 to 1; reduced only.")
    ] = 0.0,
) -> dict[str, Any]:
    """Return the keywords of how vectors are decoded."""
    return {"space": space, "components": components, "whiten": whiten}


@purpose(PART)
def part_options(
    bbox: BBoxText = None, bbox_crs: BBoxCrs = None, time: Time = None, level: Level = None
) -> dict[str, Any]:
    """Return the keywords of which part of a store is read."""
    return {"bbox": parse_bbox(bbox), "bbox_crs": bbox_crs, "time": time, "level": level}


@takes(view=view_options, work=reading_work_options, output=explained)
def sample(
    store: Store,
    features: Annotated[
        str,
        typer.Argument(metavar="FEATURES", help="Points or polygons: GeoJSON, GeoParquet or CSV."),
    ],
    *,
    view: dict[str, Any],
    output: Output,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write .parquet (GeoParquet), .csv or .geojson."
        ),
    ] = None,
    crs: Annotated[
        str | None, typer.Option(metavar="CRS", help="CRS of FEATURES.", show_default="as declared")
    ] = None,
    time: Time = None,
    level: Level = None,
    pool: Pools = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Take the store's layers at points, too.")
    ] = False,
    work: dict[str, Any],
    overwrite: Overwrite = False,
) -> None:
    """Take the vectors at points, or pool those of polygons.

    Only the chunks that the features touch are read. Each feature keeps its row and has a status:
    valid, nodata (the store has no data there) or outside.

    Examples
    --------
    geoembz sample out.zarr sites.geojson --out vectors.parquet
    geoembz sample out.zarr fields.gpkg --pool mean+std --out fields.csv
    """
    from geoembz import sample as sample_store

    place: dict[str, Any] = {"crs": crs, "time": time, "level": level, "pool": pool}
    how: dict[str, Any] = {"out": out, "overwrite": overwrite, "layers": layers, **work}
    with output.progress("chunks"):
        sampled = sample_store(store, features, **how, **place, **view)
    output.show(sampled)


@takes(part=part_options, work=work_options, output=explained)
def search(
    store: Store,
    *,
    part: dict[str, Any],
    output: Output,
    point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="Search for what is here; repeatable.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="Search for what is unlike this; repeatable."),
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="Take all of --point as one example: their mean.")
    ] = False,
    vector: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Search for these vectors.")
    ] = None,
    k: Annotated[int, typer.Option("--k", metavar="K", help="How many to find for each.")] = 10,
    metric: MetricText = None,
    crs: Annotated[
        str | None,
        typer.Option(metavar="CRS", help="CRS of the points.", show_default="lon, lat"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write .parquet (GeoParquet) or .geojson."
        ),
    ] = None,
    work: dict[str, Any],
    coarse: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Read this share of the codes, chosen by overviews: quicker, and about right.",
            show_default="all of them, exact",
        ),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Ask an index of STORE: quicker, and about right."),
    ] = None,
    probes: Annotated[
        int | None,
        typer.Option(metavar="N", help="Lists of the index to look into.", show_default="16"),
    ] = None,
    recall: Annotated[
        bool,
        typer.Option("--recall", help="With --coarse: search exactly, too; say what was missed."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Find the pixels most like a place, or like given vectors.

    Codes are compared as they are stored; the store streams through memory once. `hamming` is for
    binary codes. Without --time, all dates are searched, for a --point's vector only one.

    Examples
    --------
    geoembz search out.zarr --point 9.1,47.2 --k 20 --out found.geojson
    geoembz search out.zarr --vector queries.npy --metric euclidean
    geoembz search out.zarr --point 9.1,47.2 --coarse 0.1 --recall
    """
    from geoembz import open_index, vectors_at
    from geoembz import search as search_store

    if (point is None) == (vector is None):
        raise InvalidConfigError("search: expected either --point X,Y or --vector FILE.npy")
    query: Any
    if vector is not None:
        if against or together:
            raise InvalidConfigError("search: --against and --together go with --point")
        query = _read_vectors(vector)
    else:
        query = vectors_at(
            store,
            [parse_point("point", text) for text in point or ()],
            against=[parse_point("against", text) for text in against] if against else None,
            together=together,
            metric=metric,
            crs=crs,
            time=part["time"],
            level=part["level"],
        )
    if index is None:
        if probes is not None:
            raise InvalidConfigError(
                f"search: --probes {probes} without an index; name one: --index"
            )
        if recall and coarse is None:
            raise InvalidConfigError("search: --recall goes with --coarse; all else is exact")
        how: dict[str, Any] = {"coarse": coarse, "out": out, "overwrite": overwrite}
        with output.progress("blocks"):
            found = search_store(store, query, k, metric, **how, **work, **part)
            if recall:
                exact = search_store(store, query, k, metric, **work, **part)
                found = replace(found, recall=found.recall_of(exact))
        output.show(found)
        return
    given = {"metric": metric, "coarse": coarse, **work, "out": out, **part}
    if named := next((name for name, value in given.items() if value is not None), None):
        raise InvalidConfigError(
            f"search: --{named.replace('_', '-')} with --index, which was made for one metric and "
            "part; leave it out, or build another index"
        )
    opened = open_index(index, store)
    output.show(opened.search(query, k, **({} if probes is None else {"probes": probes})))


@takes(part=part_options, output=explained)
def index(
    store: Store,
    out: Annotated[str, typer.Argument(metavar="OUT", help="New .faiss, .parquet or .lance.")],
    *,
    part: dict[str, Any],
    output: Output,
    to: Annotated[
        Engine | None,
        typer.Option(help="What it is for.", show_default="by the name of OUT"),
    ] = None,
    metric: MetricText = None,
    space: Annotated[
        Space | None,
        typer.Option(help="Vectors of a table.", show_default="reduced"),
    ] = None,
    lists: Annotated[
        int | None,
        typer.Option(metavar="N", help="Lists of FAISS or Lance.", show_default="about 2 √n"),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Hand vectors to FAISS, or to a database as a table.

    `search` compares every vector, exactly; an index answers in milliseconds and finds most of
    the nearest. Ask it by `geoembz search STORE … --index OUT`.

    Examples
    --------
    geoembz index out.zarr out.faiss
    geoembz index out.zarr out.parquet --space reduced
    """
    from geoembz import index as write_index

    how: dict[str, Any] = {"lists": lists, "seed": seed, "workers": workers}
    how |= {"to": to, "metric": metric, "space": space, "overwrite": overwrite}
    with output.progress("blocks"):
        summary = write_index(store, out, **how, **part)
    output.show(summary)


@takes(part=part_options, output=explained)
def preview(
    store: Store,
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="New .png, or .tif that knows where it lies.")
    ],
    *,
    part: dict[str, Any],
    output: Output,
    size: Annotated[int, typer.Option(metavar="N", help="Longest side, in pixels.")] = 1024,
    bands: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Components to show.", show_default="1,2,3"),
    ] = None,
    grid: GridName = None,
    overwrite: Overwrite = False,
) -> None:
    """Show a store's first three components as red, green and blue.

    Examples
    --------
    geoembz preview out.zarr out.png --size 512
    geoembz preview out.zarr out.tif --bands 4,5,6
    """
    from geoembz import preview as preview_store

    shown = _parse_bands(bands)
    how: dict[str, Any] = {"size": size, "bands": shown, "grid": grid, "overwrite": overwrite}
    with output.progress("blocks"):
        summary = preview_store(store, out, **how, **part)
    output.show(summary)


@takes(part=part_options, view=view_options, work=reading_work_options, output=explained)
def export(
    store: Store,
    out: Annotated[str, typer.Argument(metavar="OUT", help="New .tif, or .parquet.")],
    *,
    part: dict[str, Any],
    view: dict[str, Any],
    output: Output,
    to: Annotated[
        Format | None,
        typer.Option(help="What to write.", show_default="by the name of OUT"),
    ] = None,
    grid: GridName = None,
    crs: Annotated[
        str | None,
        typer.Option(
            metavar="CRS",
            help="Write the pixels of another grid, looked up in all grids; also CRS of --bbox.",
            show_default="the store's",
        ),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(
            metavar="R", help="With --crs: side of a pixel.", show_default="about the store's"
        ),
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="RASTER", help="Write the pixels of this raster's grid.")
    ] = None,
    aggregate: Annotated[
        int | None, typer.Option(metavar="N", help="Pool cells of N x N pixels.")
    ] = None,
    pool: Pools = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write this layer of the store, not its vectors."),
    ] = None,
    work: dict[str, Any],
    overwrite: Overwrite = False,
) -> None:
    """Write a store, or a part, as GeoTIFF or GeoParquet.

    Rasters become a cloud-optimized GeoTIFF, tables GeoParquet.

    Examples
    --------
    geoembz export out.zarr part.tif --bbox 9,47,9.5,47.5 --bbox-crs EPSG:4326
    geoembz export out.zarr places.parquet --components 16 --space reduced
    """
    from geoembz import export as export_store

    lattice: dict[str, Any] = {"crs": crs, "resolution": resolution, "like": like}
    cells: dict[str, Any] = {"aggregate": aggregate, "pool": pool}
    how: dict[str, Any] = {"to": to, "grid": grid, "layer": layer, "overwrite": overwrite}
    with output.progress("blocks"):
        summary = export_store(store, out, **how, **lattice, **cells, **part, **view, **work)
    output.show(summary)


def parse_point(option: str, text: str) -> tuple[float, float]:
    """Return the place that an option names.

    Raises
    ------
    InvalidConfigError
        If it is no pair of numbers.
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidConfigError(f"--{option} {text!r}; expected two numbers: X,Y") from error
    return x, y


def _read_vectors(path: Path) -> "NDArray[np.generic]":
    import numpy as np

    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(
            f"{path}: no NumPy array ({error}); expected a .npy file that np.save wrote"
        ) from error


def _parse_bands(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidConfigError(
            f"--bands {text!r}; expected one number or three, such as 4,5,6"
        ) from error
