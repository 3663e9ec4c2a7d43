"""What a search found, as arrays, a table or a file."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.geoparquet import write_geo
from geoembz._geo.wkb import point_column
from geoembz._text import aligned
from geoembz._util import html
from geoembz._util.arrow import pa
from geoembz._util.output import output_file
from geoembz._util.results import Result
from geoembz.encoding import Metric
from geoembz.errors import InvalidConfigError
from geoembz.sources.features.write import PARQUET

_SHOWN = 10
"""Lines of the table that a command prints for each of the first queries."""


@dataclass(frozen=True)
class CoarseSearch:
    """What a search from coarse to fine read.

    Parameters
    ----------
    level
        Number of the level that chunks were chosen by.
    chunks_read, chunks
        How many chunks of the full resolution were read, and how many there are.
    share
        Of the codes: how many were read, those of the level included.
    """

    level: int
    chunks_read: int
    chunks: int
    share: float


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
        Pixels or rows that were compared: of a search from coarse to fine, at full resolution.
    is_table
        Whether the store is one of a table.
    coarse
        What a search from coarse to fine read; None where all was compared.
    recall
        Share of an exhaustive answer that was found, where that was asked for (``--recall``).
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
    coarse: CoarseSearch | None = None
    recall: float | None = None
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
            "coarse": None if self.coarse is None else asdict(self.coarse),
            "recall": self.recall,
            "found": [
                {name: _json_value(value) for name, value in row.items()} for row in self._found()
            ],
            "out": self.out,
        }

    def to_table(self) -> str:
        """Return the nearest of each query as lines of text."""
        return f"{aligned(self._shown())}\n{self._summary()}"

    def _shown(self) -> list[list[str]]:
        """Return the nearest of each query as rows, after one that names the columns."""
        shown = [row for row in self._found() if row["rank"] < _SHOWN]
        names = [name for name in shown[0] if name != "store"] if shown else []
        return [names, *([_text(row[name]) for name in names] for row in shown)]

    def _summary(self) -> str:
        summary = f"{self.pixels_searched:,} vectors compared by {self.metric}"
        notes = [] if self.coarse is None else [_told(self.coarse)]
        if self.recall is not None:
            notes.append(f"recall {self.recall:.3f} of the {self.scores.shape[1]} nearest")
        notes += [f"written to {self.out}"] if self.out else []
        return "\n".join([summary, *notes])

    def recall_of(
        self, exact: "SearchResult", k: int | None = None, *, slack: float = 1e-5
    ) -> float:
        """Return the share of the k nearest that was found, a mean over queries.

        Parameters
        ----------
        exact
            The answer of an exhaustive search for the same queries.
        k
            Of how many of its nearest; None for all of them.
        slack
            Relative difference of scores that counts as none; places whose score equals that of
            the last of the nearest are as good as it.

        Raises
        ------
        InvalidConfigError
            If the two do not answer the same question.

        Examples
        --------
        >>> files = geoembz.demo.write_demo(tmp_path, size=64)
        >>> _ = geoembz.convert(files.embedding, tmp_path / "r.zarr", pca=16)
        >>> query = geoembz.open(tmp_path / "r.zarr").embedding[:, 3, 4].values
        >>> found = geoembz.search(tmp_path / "r.zarr", query, k=5)
        >>> found.recall_of(geoembz.search(tmp_path / "r.zarr", query, k=10))
        0.5
        """
        if (self.metric, len(self.scores)) != (exact.metric, len(exact.scores)):
            raise InvalidConfigError(
                f"recall: {len(self.scores)} queries by {self.metric}, against {len(exact.scores)} "
                f"by {exact.metric}; compare answers to the same queries"
            )
        ours, theirs = (each.scores[:, :k].astype(np.float64) for each in (self, exact))
        sign = 1 if Metric.parse(self.metric).is_distance else -1
        worst = sign * theirs[:, -1:]
        good = sign * ours <= worst + slack * np.abs(worst)
        return float(good.sum() / theirs.size)

    def _views(self) -> Iterable[str]:
        """Yield the map of what was found, and the table."""
        is_one = len(np.unique(self.stores)) == 1
        x, y = (self.x, self.y) if is_one else (self.lon, self.lat)
        last = max(self.scores.shape[1] - 1, 1)
        places = (
            html.Place(
                float(x[query, rank]),
                float(y[query, rank]),
                query,
                1 - rank / last,
                f"query {query}, rank {rank}: {self.metric} {self.scores[query, rank]:.6g}",
            )
            for query, rank in np.ndindex(self.scores.shape)
        )
        caption = "in the CRS of the store" if is_one else "longitude and latitude"
        yield html.point_map(places, caption=caption, is_degrees=not is_one)
        yield html.table(self._shown(), has_header=True)
        yield html.lines_of(self._summary())

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


def _json_value(value: object) -> object:
    if isinstance(value, float) and not isfinite(value):
        return None  # a row without a place
    return value if isinstance(value, int | float | str) else str(value)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) and abs(value) < 1000 else str(value)


def _told(coarse: CoarseSearch) -> str:
    return (
        f"{coarse.chunks_read:,} of {coarse.chunks:,} chunks, chosen by level {coarse.level}: "
        f"{100 * coarse.share:.3g}% of the codes read, the level's included"
    )
