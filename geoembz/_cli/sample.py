"""``geoembz sample``: vectors at points, means over polygons."""

from typing import Annotated

import typer

from geoembz._cli.options import Json, Overwrite, SpaceName, Store, Time, Whiten
from geoembz._cli.show import show


def sample(
    store: Store,
    features: Annotated[
        str,
        typer.Argument(metavar="FEATURES", help="Points or polygons: GeoJSON, GeoParquet or CSV."),
    ],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write .parquet (GeoParquet) or .csv.")
    ] = None,
    space: Annotated[SpaceName, typer.Option(help="Vectors to return.")] = SpaceName.ORIGINAL,
    components: Annotated[
        int | None, typer.Option(metavar="K", help="Only the first K.", show_default="all")
    ] = None,
    whiten: Whiten = 0.0,
    crs: Annotated[
        str | None, typer.Option(metavar="CRS", help="CRS of FEATURES.", show_default="as declared")
    ] = None,
    time: Time = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Take the vectors at points, or the mean vector of each polygon.

    Only the chunks that the features touch are read. A feature outside the store, or where it has
    no data, keeps its row without a vector.
    """
    from geoembz._export import sample as sample_store

    result = sample_store(
        store,
        features,
        space=space.value,
        components=components,
        whiten=whiten,
        crs=crs,
        out=out,
        time=time,
        overwrite=overwrite,
    )
    show(result, as_json=json_)
