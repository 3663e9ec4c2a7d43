"""`geoembz map …`: rasters made of whole stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geoembz._cli.help import PART, RUNNING
from geoembz._cli.options import (
    BBoxCrs,
    BBoxText,
    BlockSize,
    GridName,
    LabelColumn,
    Labels,
    Level,
    Overwrite,
    Scheduler,
    Seed,
    Store,
    Workers,
    explained,
    parse_bbox,
    purpose,
    takes,
)
from geoembz._cli.output import Output
from geoembz._cli.reading import MetricText, parse_point, part_options
from geoembz.errors import InvalidConfigError

if TYPE_CHECKING:
    from geoembz import MapSummary

Rule = Literal["mean", "logistic"]

Map = Annotated[
    str, typer.Argument(metavar="OUT", help="New .tif (cloud-optimized GeoTIFF), or .zarr.")
]
Crs = Annotated[
    str | None,
    typer.Option(metavar="CRS", help="CRS of the examples.", show_default="lon, lat"),
]

PairMetric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How to compare: cosine, euclidean, or cosine-w0.5 and the like.",
        show_default="what the store recommends, or cosine",
    ),
]


def map_options(
    grid: GridName = None,
    png: Annotated[str | None, typer.Option(metavar="PNG", help="Also write a picture.")] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Overwrite = False,
    break_lock: Annotated[
        bool,
        typer.Option(
            "--break-lock",
            help="Take OUT from a command that seems to hold it.",
            rich_help_panel=RUNNING,
        ),
    ] = False,
) -> dict[str, Any]:
    """Return the keywords of how a map is written."""
    return {
        "grid": grid,
        "png": png,
        "workers": workers,
        "scheduler": scheduler,
        "overwrite": overwrite,
        "break_lock": break_lock,
    }


@contextmanager
def mapped(output: Output) -> Iterator[dict[str, Any]]:
    """Yield the keyword that shows how far a map is."""
    with output.progress("shards") as progress:
        yield {"progress": progress}


@takes(part=part_options, how=map_options, output=explained)
def similar(
    store: Store,
    out: Map,
    *,
    part: dict[str, Any],
    how: dict[str, Any],
    output: Output,
    like: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="Wanted: what is here; repeatable.")
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="Not wanted; repeatable.")
    ] = None,
    examples: Annotated[
        str | None, typer.Option(metavar="FILE", help="Points or polygons of what is wanted.")
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(metavar="C", help="Column of FILE: above 0 (or true) is wanted, else not."),
    ] = None,
    crs: Crs = None,
    metric: MetricText = None,
    rule: Annotated[
        Rule,
        typer.Option(help="Mean of what is wanted less that of what is not, or a fit of both."),
    ] = "mean",
    threshold: Annotated[
        float | None,
        typer.Option(metavar="T", help="Write 1 where at least T (distances: at most), else 0."),
    ] = None,
) -> None:
    """Map how alike every pixel is to some places.

    Its scores are those of `geoembz search`.

    Examples
    --------
    geoembz map similar out.zarr like.tif --like 9.1,47.2
    geoembz map similar out.zarr ponds.tif --examples ponds.geojson
    """
    from geoembz import map_similar

    with mapped(output) as shown:
        summary: MapSummary = map_similar(
            store,
            out,
            like=[parse_point("like", text) for text in like] if like else None,
            unlike=[parse_point("unlike", text) for text in unlike] if unlike else None,
            examples=examples,
            column=column,
            crs=crs,
            metric=metric,
            rule=rule,
            threshold=threshold,
            **part,
            **how,
            **shown,
        )
    output.show(summary)


@purpose(PART)
def place_options(
    bbox: BBoxText = None, bbox_crs: BBoxCrs = None, level: Level = None
) -> dict[str, Any]:
    """Return the keywords of which part of a store is read, at dates of their own."""
    return {"bbox": parse_bbox(bbox), "bbox_crs": bbox_crs, "level": level}


@takes(place=place_options, how=map_options, output=explained)
def change(
    stores: Annotated[
        list[str],
        typer.Argument(metavar="STORE…", help="A store with two dates, or two of one encoding."),
    ],
    out: Map,
    *,
    place: dict[str, Any],
    how: dict[str, Any],
    output: Output,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="Year or date before.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Year or date after.")
    ] = None,
    metric: PairMetric = None,
    difference: Annotated[
        int | None,
        typer.Option(metavar="K", help="Write the difference of the first K components instead."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Map what changed between two dates, and how unusual that is.

    Two bands: the distance of the vectors, and its z-score among those of other pixels.

    Examples
    --------
    geoembz map change out.zarr change.tif --from 2024 --to 2025
    geoembz map change before.zarr after.zarr change.tif --png change.png
    """
    from geoembz import map_change

    if len(stores) > 2:
        raise InvalidConfigError(f"map change: {len(stores)} stores; expected one or two")
    store, other = (*stores, None)[:2]
    with mapped(output) as shown:
        summary: MapSummary = map_change(
            str(store),
            out,
            other=other,
            start=start,
            end=end,
            metric=metric,
            difference=difference,
            seed=seed,
            **place,
            **how,
            **shown,
        )
    output.show(summary)


@purpose("Learning")
def learning_options(
    save_model: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Also save the model, .json, to be given as --model."),
    ] = None,
    labels: Labels = None,
    column: LabelColumn = None,
    label_nodata: Annotated[
        float | None,
        typer.Option(metavar="V", help="Label that means none.", show_default="as declared"),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="C",
            help="Column (or raster) of groups that are held out whole.",
            show_default="each feature, or blocks",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="random, stratified, grouped or blocked.",
            show_default="what the labels allow",
        ),
    ] = None,
    block_size: BlockSize = None,
    samples: Annotated[
        int, typer.Option(metavar="N", help="Labelled pixels to learn from.")
    ] = 20_000,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Return the keywords of which pixels a model learns from, how it is tested, and kept."""
    return {
        "save_model": save_model,
        "labels": labels,
        "column": column,
        "label_nodata": label_nodata,
        "groups": groups,
        "split": split,
        "block_size": block_size,
        "samples": samples,
        "seed": seed,
    }


@takes(learning=learning_options, part=part_options, how=map_options, output=explained)
def classify(
    store: Store,
    out: Map,
    *,
    learning: dict[str, Any],
    part: dict[str, Any],
    how: dict[str, Any],
    output: Output,
    model: Annotated[
        str,
        typer.Option(metavar="M", help="logistic, ridge or knn; or the .json of a saved model."),
    ] = "logistic",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write OUT-probabilities.")
    ] = False,
) -> None:
    """Map classes: learn from labelled places, test on others.

    Examples
    --------
    geoembz map classify out.zarr classes.tif --labels sites.gpkg --column class
    geoembz map classify other.zarr classes.tif --model model.json
    """
    from geoembz import map_classify

    with mapped(output) as shown:
        result = map_classify(
            store,
            out,
            model=model,
            probabilities=probabilities,
            **learning,
            **part,
            **how,
            **shown,
        )
    output.show(result)


@takes(learning=learning_options, part=part_options, how=map_options, output=explained)
def regress(
    store: Store,
    out: Map,
    *,
    learning: dict[str, Any],
    part: dict[str, Any],
    how: dict[str, Any],
    output: Output,
    model: Annotated[
        str, typer.Option(metavar="M", help="ridge or knn; or the .json of a saved model.")
    ] = "ridge",
) -> None:
    """Map a quantity: learn where it is known, predict every pixel.

    It is tested on places that it did not learn from.

    Examples
    --------
    geoembz map regress out.zarr height.tif --labels plots.gpkg --column height
    """
    from geoembz import map_regress

    with mapped(output) as shown:
        result = map_regress(
            store,
            out,
            model=model,
            **learning,
            **part,
            **how,
            **shown,
        )
    output.show(result)


@takes(part=part_options, how=map_options, output=explained)
def cluster(
    store: Store,
    out: Map,
    *,
    part: dict[str, Any],
    how: dict[str, Any],
    output: Output,
    k: Annotated[int, typer.Option("--k", metavar="K", help="How many clusters, up to 255.")],
    samples: Annotated[
        int, typer.Option(metavar="N", help="Pixels to find their centres on.")
    ] = 65_536,
    seed: Seed = 0,
) -> None:
    """Map clusters: k-means on a sample, then every pixel's nearest.

    Examples
    --------
    geoembz map cluster out.zarr clusters.tif --k 12 --png clusters.png
    """
    from geoembz import map_cluster

    with mapped(output) as shown:
        result = map_cluster(store, out, k=k, samples=samples, seed=seed, **part, **how, **shown)
    output.show(result)
