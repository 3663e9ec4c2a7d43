"""``geoembz search``: the pixels most like a place or a vector."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoembz._cli.options import BBoxCrs, BBoxText, Json, Overwrite, Store, Time, parse_bbox
from geoembz._cli.show import show
from geoembz.errors import InvalidConfigError, SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MetricName(StrEnum):
    """How vectors are compared."""

    COSINE = "cosine"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    HAMMING = "hamming"


def search(
    store: Store,
    point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="Search for what is here; repeatable.")
    ] = None,
    vector: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Search for these vectors.")
    ] = None,
    k: Annotated[int, typer.Option("--k", metavar="K", help="How many to find for each.")] = 10,
    metric: Annotated[MetricName, typer.Option(help="How to compare.")] = MetricName.COSINE,
    crs: Annotated[
        str | None,
        typer.Option(metavar="CRS", help="CRS of --point.", show_default="lon, lat"),
    ] = None,
    bbox: BBoxText = None,
    bbox_crs: BBoxCrs = None,
    time: Time = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write .parquet (GeoParquet) or .geojson.")
    ] = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Find the pixels whose vectors are nearest to a place's, or to given vectors.

    Codes are compared as they are stored; the store streams through memory once. `hamming` is for
    binary codes. Without --time, all dates are searched, for a --point's vector only one.
    """
    from geoembz._search import search as search_store
    from geoembz._search import vectors_at

    if (point is None) == (vector is None):
        raise InvalidConfigError("search: expected either --point X,Y or --vector FILE.npy")
    query: Any
    if vector is not None:
        query = _vectors(vector)
    else:
        query = vectors_at(store, [_point(text) for text in point or ()], crs=crs, time=time)
    result = search_store(
        store,
        query,
        k,
        metric.value,
        bbox=parse_bbox(bbox),
        bbox_crs=bbox_crs,
        time=time,
        out=out,
        overwrite=overwrite,
    )
    show(result, as_json=json_)


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidConfigError(f"--point {text!r}; expected two numbers: X,Y") from error
    return x, y


def _vectors(path: Path) -> "NDArray[np.generic]":
    import numpy as np

    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(
            f"{path}: no NumPy array ({error}); expected a .npy file that np.save wrote"
        ) from error
