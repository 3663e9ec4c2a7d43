"""What a search found, as arrays, a table or a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.geoparquet import write_geo
from geoembz._geo.wkb import point_column
from geoembz._text import aligned
from geoembz._util.arrow import pa
from geoembz._util.output import output_file
from geoembz._util.results import Result
from geoembz.sources.features.write import PARQUET

_SHOWN = 10
"""Lines of the table that a command prints for each of the first queries."""


@dataclass(frozen=True, eq=False)
class SearchResult(Result):
    """The k nearest of each query, nearest first.

    Arrays have shape ``(n_queries, k)``, with a smaller k where the store holds fewer vectors.
    Of equal scores the first in the order of grids, dates, rows and columns comes first.

    Parameters
    ----------
    metric
        ``cosine`` and ``dot`` (larger is nearer), ``euclidean`` and ``hamming`` (smaller is).
    scores
        float32, or int32 counts of differing bits.
    rows, cols
        Pixels of the grid, int64. Of a table, `rows` are row numbers and `cols` are 0.
    x, y
        Centres in the CRS of the store they are in, float64.
    lon, lat
        The same in degrees (OGC:CRS84), float64.
    stores
        URL of the store (or grid of a store) of each, str.
    times
        ``datetime64[D]``, NaT where there is no time axis.
    pixels_searched
        Pixels or rows that were compared.
    is_table
        Whether the store is one of a table.
    out
        File that was written, if any.
    """

    metric: str
    scores: NDArray[Any]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    stores: NDArray[np.str_]
    times: NDArray[np.datetime64]
    pixels_searched: int
    is_table: bool = False
    out: str | None = None

    def to_arrow(self) -> "pa.Table":
        """Return one row per found place, with `query` and `rank` from 0 up."""
        return pa.table({name: pa.array(values) for name, values in self._columns().items()})

    def _columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of `to_arrow`."""
        places: NDArray[Any] = np.indices(self.scores.shape)
        columns = {"query": places[0], "rank": places[1], "score": self.scores}
        if self.is_table:
            columns["sample"] = self.rows
        else:
            columns |= {"row": self.rows, "col": self.cols}
        columns |= {"x": self.x, "y": self.y, "lon": self.lon, "lat": self.lat}
        columns |= {"store": self.stores}
        if not np.isnat(self.times).all():
            columns["time"] = self.times
        return {name: values.reshape(-1) for name, values in columns.items()}

    def _found(self) -> list[dict[str, Any]]:
        """Return the rows of `to_arrow`, without pandas, which `pa.array` would import."""
        columns = {name: values.tolist() for name, values in self._columns().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_dataframe(self) -> Any:
        """Return `to_arrow` as a pandas data frame."""
        return self.to_arrow().to_pandas()

    def to_geojson(self) -> dict[str, Any]:
        """Return a FeatureCollection of points in longitude and latitude."""
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
                "properties": {
                    name: value if isinstance(value, int | float | str) else str(value)
                    for name, value in row.items()
                    if name not in {"lon", "lat"}
                },
            }
            for row in self._found()
        ]
        return {"type": "FeatureCollection", "features": features}

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "metric": self.metric,
            "queries": self.scores.shape[0],
            "k": self.scores.shape[1],
            "pixels_searched": self.pixels_searched,
            "found": [feature["properties"] for feature in self.to_geojson()["features"]],
            "out": self.out,
        }

    def to_table(self) -> str:
        """Return the nearest of each query as lines of text."""
        shown = [row for row in self._found() if row["rank"] < _SHOWN]
        names = [name for name in shown[0] if name != "store"] if shown else []
        lines = [names, *([_text(row[name]) for name in names] for row in shown)]
        summary = f"{self.pixels_searched:,} vectors compared by {self.metric}"
        written = [f"written to {self.out}"] if self.out else []
        return "\n".join([aligned(lines), summary, *written])

    def write(self, path: Path) -> None:
        """Write ``.parquet`` (GeoParquet) or ``.geojson``; a file that exists is replaced whole."""
        with output_file(path) as partial:
            if path.suffix.lower() in PARQUET:
                self._write_parquet(partial)
            else:
                partial.write_text(json.dumps(self.to_geojson()), encoding="utf-8")

    def _write_parquet(self, path: Path) -> None:
        from geoembz._util.arrow import parquet

        lon, lat = self.lon.reshape(-1), self.lat.reshape(-1)
        table = self.to_arrow().append_column("geometry", point_column(lon, lat))
        geo = write_geo("geometry", "OGC:CRS84", ["Point"], None)
        parquet.write_table(table.replace_schema_metadata({b"geo": geo}), path)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) and abs(value) < 1000 else str(value)
