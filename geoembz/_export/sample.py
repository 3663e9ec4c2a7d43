"""Vectors at points, and means over polygons: only the chunks that they touch are read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz._export.pixels import Hits, Totals, point_hits, polygon_hits
from geoembz._export.region import Region, open_regions
from geoembz._geo import BBox, box_around, parse_crs, same_crs
from geoembz._geo.geoparquet import write_emb
from geoembz._geo.grid import Grid
from geoembz._util.results import Result
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features import Features, read_features, write_features
from geoembz.sources.features.write import PARQUET, check_output, vector_array
from geoembz.store import StoreReader, View
from geoembz.store.grids import open_readers


@dataclass(frozen=True)
class Sampled(Result):
    """Features with their vectors.

    Parameters
    ----------
    features
        As they were given, CRS included.
    vectors
        Shape ``(n, length)``, float32 (NaN where there is no embedding) or codes.
    pixels
        Valid pixels that each vector was made from, int64, shape ``(n,)``: 0 or 1 for a point.
    space
        ``original``, ``reduced`` or ``codes``.
    chunks_read
        Chunks of the store that were read.
    out
        File that was written, if any.
    """

    features: Features
    vectors: NDArray[Any]
    pixels: NDArray[np.int64]
    space: View
    chunks_read: int
    out: str | None = None

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which features have a vector."""
        return self.pixels > 0

    def to_arrow(self) -> pa.Table:
        """Return the features' columns, `n_pixels` and `embedding`, null where there is none."""
        table = self.features.columns
        for name, values in self.new_columns().items():
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(name, values)
        return table

    def to_json(self) -> dict[str, Any]:
        """Return a summary as JSON values."""
        return {
            "features": len(self.features),
            "kind": self.features.kind,
            "found": int(self.found.sum()),
            "length": self.vectors.shape[1],
            "space": self.space,
            "chunks_read": self.chunks_read,
            "out": self.out,
        }

    def _rows(self) -> list[tuple[str, ...]]:
        found = int(self.found.sum())
        return [
            (self.features.kind, f"{len(self.features):,}"),
            ("with a vector", f"{found:,}"),
            ("outside, or no data", f"{len(self.features) - found:,}"),
            ("vectors", f"{self.vectors.shape[1]} numbers, {self.space}"),
            ("chunks read", f"{self.chunks_read:,}"),
            ("written", self.out or "nothing (name a file with --out)"),
        ]

    def new_columns(self) -> dict[str, pa.Array]:
        """Return `n_pixels` and `embedding`, null where there is none."""
        vectors = vector_array(self.vectors, self.found)
        return {"n_pixels": pa.array(self.pixels), "embedding": vectors}


def sample(
    store: str | Path | StoreReader,
    features: Any,
    *,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    crs: str | None = None,
    bbox: BBox | None = None,
    time: str | None = None,
    level: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Sampled:
    """Take the vectors at points, or the mean vector of each polygon.

    Every feature keeps its row; one that lies outside, or where the store has no data, has no
    vector. A pixel belongs to a polygon if its centre does; a polygon without any pixel centre
    takes the pixels that it touches.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    features
        Points or polygons; see `geoembz.sources.features.read_features`.
    space
        ``original``, ``reduced``, or, for points, ``codes``.
    components
        Use only the first so many components.
    whiten
        Weight of the metric in reduced space; see `Encoding.decoder`.
    crs
        Replaces the CRS that the features declare.
    bbox
        Leave out pixels outside this box, in the store's CRS.
    time
        Year or date, of a store that has several.
    level
        Number of the level to take them from, where the store has overviews; 0 is the full
        resolution.
    out
        Also write a file: ``.parquet`` (GeoParquet with an ``emb`` footer) or ``.csv``.
    overwrite
        Replace a file that exists.

    Returns
    -------
    sampled
        In the order of the features.

    Raises
    ------
    InvalidConfigError
        If the options cannot work.
    SourceError
        If the features cannot be read, or longitude and latitude are swapped.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "sample.zarr", pca=16)
    >>> dataset = geoembz.open(tmp_path / "sample.zarr")
    >>> place = float(dataset.x[5]), float(dataset.y[5])
    >>> sampled = sample(tmp_path / "sample.zarr", [place], crs=dataset.attrs["proj:code"])
    >>> sampled.vectors.shape
    (1, 128)
    """
    target = None if out is None else check_output(out, (*PARQUET, ".csv"), overwrite=overwrite)
    readers = open_readers(store, level=level)
    regions = [region for reader in readers for region in open_regions(reader, bbox, time=time)]
    wanted = read_features(features, crs=crs)
    if wanted.geometries is not None and space == "codes":
        raise InvalidConfigError(
            "space codes with polygons: a mean of codes means nothing; "
            "choose 'reduced' or 'original'"
        )
    reader = regions[0].reader
    totals = Totals(reader, len(wanted), space, components, whiten)
    for all_touched in (False, True):
        _add(totals, regions, wanted, all_touched=all_touched)
    if len(wanted) and not totals.covered.any():
        _refuse_strangers(
            store.url if isinstance(store, StoreReader) else str(store), regions, wanted
        )
    sampled = Sampled(
        wanted,
        totals.vectors(),
        totals.pixels,
        space,
        totals.chunks_read,
        None if target is None else str(target),
    )
    if target is not None:
        emb = _emb(reader, sampled.vectors.shape[1], space)
        write_features(target, wanted, sampled.new_columns(), emb)
    return sampled


def _add(totals: Totals, regions: Sequence[Region], wanted: Features, *, all_touched: bool) -> None:
    """Add the pixels of features that have none yet; a point has one in one grid at most."""
    missing = np.flatnonzero(totals.covered == 0)
    for region in regions:
        grid = region.reader.attributes.grid
        placed = wanted.to_crs(grid.crs_wkt)
        hits: Iterable[Hits]
        if placed.points is not None:
            missing = np.flatnonzero(totals.covered == 0)
            hits = point_hits(grid, _chunk(region), _only(placed.points, missing))
        else:
            assert placed.geometries is not None  # noqa: S101 - features are the one or the other
            polygons = zip(missing.tolist(), placed.geometries[missing], strict=True)
            known = ((number, polygon) for number, polygon in polygons if polygon is not None)
            hits = polygon_hits(grid, _chunk(region), known, all_touched=all_touched)
        totals.add(region.reader, region.date, _inside(region, hits))


def _only(points: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the points with all but some rows unknown."""
    kept = np.full_like(points, np.nan)
    kept[rows] = points[rows]
    return kept


def _chunk(region: Region) -> tuple[int, int]:
    chunks = region.reader.codes.chunks
    return chunks[-2], chunks[-1]


def _inside(region: Region, hits: Iterable[Hits]) -> Iterator[Hits]:
    """Leave out the pixels outside the region."""
    window = region.window
    for hit in hits:
        rows = hit.pixels // hit.window.width + hit.window.row
        cols = hit.pixels % hit.window.width + hit.window.col
        kept = (rows >= window.row) & (rows < window.row + window.height)
        kept &= (cols >= window.col) & (cols < window.col + window.width)
        if kept.all():
            yield hit
        elif kept.any():
            yield Hits(hit.window, hit.features[kept], hit.pixels[kept])


def _refuse_strangers(url: str, regions: Sequence[Region], wanted: Features) -> None:
    """Say why no feature meets the store: swapped axes, or another place."""
    if wanted.points is not None:
        swapped = replace(wanted, points=wanted.points[:, ::-1])
        count = sum(_count_inside(region, swapped) for region in regions)
        if count:
            raise SourceError(
                f"{wanted.name}: no point lies inside {url}, but {count:,} of "
                f"{len(wanted):,} do with x and y swapped; expected x (longitude) first, y "
                "(latitude) second"
            )
    grids = [region.reader.attributes.grid for region in regions]
    covers = " and ".join(_extent(grid, wanted.crs) for grid in grids[:3])
    raise SourceError(
        f"{wanted.name}: none of {len(wanted):,} {wanted.kind} lies inside {url}, which covers "
        f"{covers}; check the CRS of the {wanted.kind} (--crs)"
    )


def _extent(grid: Grid, crs: str) -> str:
    """Return where a grid lies, in the CRS that was asked in, and in its own if that differs."""
    own = f"{_numbers(grid.bbox)} in {grid.crs_code or parse_crs(grid.crs_wkt).name}"
    if same_crs(crs, grid.crs_wkt):
        return own
    asked = parse_crs(crs)
    label = ":".join(asked.to_authority() or ()) or asked.name
    return f"{_numbers(box_around(grid.bbox, grid.crs_wkt, crs))} in {label} ({own})"


def _numbers(bbox: Sequence[float]) -> str:
    return ", ".join(f"{value:.10g}" for value in bbox)


def _count_inside(region: Region, points: Features) -> int:
    grid = region.reader.attributes.grid
    placed = points.to_crs(grid.crs_wkt).points
    if placed is None:
        return 0
    return sum(len(hits.features) for hits in point_hits(grid, grid.shape, placed))


def _emb(reader: StoreReader, length: int, space: View) -> bytes:
    attributes = reader.attributes
    return write_emb(
        model=attributes.model,
        dimension=length,
        kind="pixel",
        quantization=f"geoembz:{reader.encoding.recipe}, space {space}",
        sources=[str(source["uri"]) for source in attributes.sources],
    )
