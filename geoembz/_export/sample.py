"""Vectors at points, and pooled over polygons: only the chunks that they touch are read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.lookup import (
    Found,
    MeasureHits,
    ReadHits,
    ViewOptions,
    chunk_shape,
    for_hits,
    look_up,
    look_up_layers,
)
from geoembz._export.pixels import point_hits, polygon_hits
from geoembz._export.region import Region, open_regions
from geoembz._geo import BBox, box_around, parse_crs, same_crs
from geoembz._geo.geoparquet import write_emb
from geoembz._geo.grid import Grid
from geoembz._util.arrow import pa
from geoembz._util.results import Result
from geoembz._util.threads import check_workers, worker_count
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import store_for
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features import Features, read_features, write_features
from geoembz.sources.features.write import (
    EMBEDDING,
    GEOJSON,
    PARQUET,
    check_output,
    vector_array,
)
from geoembz.sources.pooling import Pool, Statistics, check_pools
from geoembz.store import StoreReader, View
from geoembz.store.grids import open_readers

STATUSES = ("valid", "nodata", "outside")
"""Of a feature: it has a vector; the store has no data there; it lies on no pixel of the store."""


@dataclass(frozen=True)
class Sampled(Result):
    """Features with their vectors.

    Parameters
    ----------
    features
        As they were given, CRS included.
    vectors
        Shape ``(n, length)``, float32 (NaN where there is no embedding) or codes; of polygons, as
        pooled in the first way that was asked for.
    pixels
        Valid pixels that each vector was made from, int64, shape ``(n,)``: 0 or 1 for a point.
    space
        ``original``, ``reduced`` or ``codes``.
    chunks_read
        Chunks of the store that were read.
    status
        Of each feature: ``valid``, ``nodata`` (the store has no data there) or ``outside`` (it
        lies on no pixel of the store, or nowhere), str, shape ``(n,)``.
    pooled
        Vectors of polygons by the name of the pooling, `vectors` first; empty for points.
    layers
        Numbers of each layer at the points, by name, masked where there is none, shape ``(n,)``;
        empty where they were not asked for.
    out
        File that was written, if any.
    """

    features: Features
    vectors: NDArray[Any]
    pixels: NDArray[np.int64]
    space: View
    chunks_read: int
    status: NDArray[np.str_]
    pooled: Mapping[str, NDArray[np.float32]]
    layers: "Mapping[str, np.ma.MaskedArray[Any, Any]]" = field(default_factory=dict)
    out: str | None = None

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which features have a vector."""
        return self.pixels > 0

    def to_arrow(self) -> "pa.Table":
        """Return the features' columns, and those of `new_columns`."""
        table = self.features.columns
        for name, values in self.new_columns().items():
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(name, values)
        return table

    def to_json(self) -> dict[str, Any]:
        """Return what was found as JSON values; the vectors where no file has them."""
        vectors = {
            "vectors": [
                vector.tolist() if is_there else None
                for vector, is_there in zip(self.vectors, self.found, strict=True)
            ]
        }
        return {
            **({} if self.out else vectors),
            "features": len(self.features),
            "kind": self.features.kind,
            "found": int(self.found.sum()),
            "status": {name: int((self.status == name).sum()) for name in STATUSES},
            "length": self.vectors.shape[1],
            "space": self.space,
            "pools": list(self.pooled),
            "layers": list(self.layers),
            "chunks_read": self.chunks_read,
            "out": self.out,
        }

    def _rows(self) -> list[tuple[str, ...]]:
        pools = f", {' and '.join(self.pooled)} of pixels" if self.pooled else ""
        labels = ("with a vector", "without data there", "outside")
        counts = [f"{int((self.status == name).sum()):,}" for name in STATUSES]
        return [
            (self.features.kind, f"{len(self.features):,}"),
            *zip(labels, counts, strict=True),
            ("vectors", f"{self.vectors.shape[1]} numbers, {self.space}{pools}"),
            *([("layers", ", ".join(self.layers))] if self.layers else []),
            ("chunks read", f"{self.chunks_read:,}"),
            ("written", self.out or "nothing (name a file with --out)"),
        ]

    def new_columns(self) -> "dict[str, pa.Array]":
        """Return `status`, `n_pixels`, layers and `embedding`, each null where there is none.

        A layer that has one of these names is `layer_status` and so on. Of several ways of pooling
        the first is `embedding`, others are `embedding_std` and so on.
        """
        others = list(self.pooled.items())[1:]
        named = {EMBEDDING: self.vectors, **{f"{EMBEDDING}_{name}": v for name, v in others}}
        layers = {
            f"layer_{name}" if name in _COLUMNS else name: pa.array(
                values.data, mask=np.ma.getmaskarray(values)
            )
            for name, values in self.layers.items()
        }
        return {
            "status": pa.array(self.status),
            "n_pixels": pa.array(self.pixels),
            **layers,
            **{name: vector_array(vectors, self.found) for name, vectors in named.items()},
        }


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
    pool: Pool | Sequence[Pool] | None = None,
    layers: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Sampled:
    """Take the vectors at points, or one vector of each polygon, pooled over its pixels.

    Every feature keeps its row, and has a status; one that lies outside, or where the store has no
    data, has no vector. A pixel belongs to a polygon if its centre does; a polygon without any
    pixel centre takes the pixels that it touches.

    Of a store of several grids, a point gets its vector from the grid that covers it; where
    several do, from the first one in the store's list that has an embedding there. A polygon takes
    the pixels of all grids.

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
    pool
        How the pixels of a polygon become one vector, or several ways at once: ``mean`` (None is
        that), ``std`` (divided by n), ``min``, ``max``, ``gem`` (generalised mean with p=3: the
        cube root of the mean of cubes, signs kept), or ``mean+std``, one after the other. Each
        number by itself, of the decoded vectors in `space`.
    layers
        Take the numbers of the store's layers at points, too: as values, scaled; each becomes a
        column, and replaces one of its name.
    workers
        Chunks read at once; None for 8 of a disk, and of a server as many as there may be
        requests (``GEOEMBZ_REQUESTS``).
    scheduler
        Where chunks are read, decoded and pooled instead; see `geoembz.convert`. The vectors are
        the same.
    out
        Also write a file: ``.parquet`` (GeoParquet with an ``emb`` footer), ``.csv`` or
        ``.geojson`` (longitude and latitude). Columns `status`, `n_pixels` and `embedding` are
        added, and replace columns of these names.
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
    SchedulerError
        If no scheduler answers, or its workers are lost.

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
    target = None if out is None else check_output(out, _SUFFIXES, overwrite=overwrite)
    pools = check_pools(pool)
    check_workers("sample", workers)
    check_scheduler(scheduler)
    readers = open_readers(store_for(scheduler, store), level=level)
    regions = [region for reader in readers for region in open_regions(reader, bbox, time=time)]
    wanted, view = read_features(features, crs=crs), ViewOptions(space, components, whiten)
    if layers:
        _check_layers(wanted, regions)
    if wanted.points is not None and pool is not None:
        raise InvalidConfigError(
            f"pool {pool!r}: {wanted.name} holds points, of one pixel each; pool polygons, or "
            "leave it out"
        )
    with _open_workers(scheduler, workers) as who:
        if wanted.points is None:
            sampled = _of_polygons(wanted, regions, view, pools, who)
        else:
            sampled = _of_points(wanted, regions, view, who, layers=layers)
    if len(wanted) and (sampled.status == "outside").all():
        _refuse_strangers(
            store.url if isinstance(store, StoreReader) else str(store), regions, wanted
        )
    if target is None:
        return sampled
    emb = _emb(regions[0].reader, sampled)
    write_features(target, wanted, sampled.new_columns(), emb)
    return replace(sampled, out=str(target))


_COLUMNS = ("status", "n_pixels", EMBEDDING, "geometry")
_SUFFIXES = (*PARQUET, ".csv", *GEOJSON)


@contextmanager
def _open_workers(scheduler: str | None, workers: int | None) -> Iterator[Workers | None]:
    """Yield the workers that were asked for; None where neither place nor number was."""
    if scheduler is None and workers is None:
        yield None
        return
    with open_workers(scheduler, worker_count(workers)) as pool:
        yield pool


def _check_layers(wanted: Features, regions: Sequence[Region]) -> None:
    """Refuse to look for layers that there are not, or where no rule says how to pool them."""
    url = regions[0].reader.url
    if wanted.points is None:
        raise InvalidConfigError(
            f"--layers: {wanted.name} holds polygons, and no rule says how layers are pooled; "
            "sample points, or leave it out"
        )
    if not any(region.reader.attributes.layers for region in regions):
        at = " at this level" if regions[0].reader.level else ""
        raise InvalidConfigError(f"--layers: {url} has none{at}; leave it out")


def _of_points(
    wanted: Features,
    regions: Sequence[Region],
    view: ViewOptions,
    pool: Workers | None,
    *,
    layers: bool,
) -> Sampled:
    points = wanted.points
    assert points is not None  # noqa: S101 - asked before

    def place(crs: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        placed = replace(wanted, points=points[rows]).to_crs(crs).points
        assert placed is not None  # noqa: S101 - points stay points
        return placed

    found: Found = look_up(regions, view, len(wanted), place, pool)
    pixels = found.valid.astype(np.int64)
    status = _status(found.covered, pixels)
    numbers = look_up_layers(regions, found, place, pool) if layers else {}
    return Sampled(
        wanted, found.vectors, pixels, view.space, found.chunks_read, status, {}, numbers
    )


def _of_polygons(
    wanted: Features,
    regions: Sequence[Region],
    view: ViewOptions,
    pools: tuple[Pool, ...],
    pool: Workers | None,
) -> Sampled:
    """Pool the pixels in polygons; those of none take what they touch."""
    if view.is_codes:
        raise InvalidConfigError(
            "space codes with polygons: a mean of codes means nothing; "
            "choose 'reduced' or 'original'"
        )
    length = view.length(regions[0].reader)
    statistics = Statistics(pools, length, (len(wanted),))
    covered, chunks_read = np.zeros(len(wanted), np.bool_), 0
    for all_touched in (False, True):
        missing = np.flatnonzero(~covered)
        for region in regions:
            grid = region.reader.attributes.grid
            shapes = wanted.to_crs(grid.crs_wkt).geometries
            assert shapes is not None  # noqa: S101 - polygons stay polygons
            polygons = zip(missing.tolist(), shapes[missing], strict=True)
            known = ((number, polygon) for number, polygon in polygons if polygon is not None)
            hits = polygon_hits(grid, chunk_shape(region), known, all_touched=all_touched)
            task = MeasureHits(ReadHits(region.reader, region.date, view), pools)
            for _, (numbers, measures) in for_hits(region, hits, task, length, pool):
                statistics.add((numbers,), measures)
                covered[numbers] = True
                chunks_read += 1
    pooled: dict[str, NDArray[np.float32]] = {name: statistics.pooled(name).T for name in pools}
    status = _status(covered, statistics.counts)
    return Sampled(
        wanted, pooled[pools[0]], statistics.counts, view.space, chunks_read, status, pooled
    )


def _status(covered: NDArray[np.bool_], pixels: NDArray[np.int64]) -> NDArray[np.str_]:
    valid, nodata, outside = STATUSES
    return np.where(pixels > 0, valid, np.where(covered, nodata, outside))


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


def _emb(reader: StoreReader, sampled: Sampled) -> bytes:
    attributes = reader.attributes
    pooled = f", {next(iter(sampled.pooled))} of pixels" if sampled.pooled else ""
    return write_emb(
        model=attributes.model,
        dimension=sampled.vectors.shape[1],
        kind="pixel",
        quantization=f"geoembz:{reader.encoding.recipe}, space {sampled.space}{pooled}",
        sources=[str(source["uri"]) for source in attributes.sources],
    )
