"""What a store is, in numbers: what `geoembz info` prints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import zarr

from geoembz._text import aligned, figure, printable
from geoembz._util.results import Result
from geoembz.errors import redact
from geoembz.sources.band_names import list_names
from geoembz.sources.layers import Layer
from geoembz.store.grids import grid_names, open_readers
from geoembz.store.levels import Level, describe_level
from geoembz.store.map_info import MapInfo, describe_map, describe_tiff
from geoembz.store.maps import MapDocument, is_tiff
from geoembz.store.open import is_table_store, open_any_group, open_group
from geoembz.store.packing import is_archive
from geoembz.store.reader import StoreReader
from geoembz.store.table_reader import TableReader


@dataclass(frozen=True)
class LevelInfo:
    """A level below the full resolution at a glance.

    Parameters
    ----------
    level
        Its number, as `open`, `sample`, `search`, `preview` and `export` take it.
    name
        The number, the factor and the size of a pixel, for people: ``1 (2x, 20 m)``.
    factor
        Side of its pixels, in pixels of the full resolution.
    shape
        Height and width, in pixels.
    transform
        Affine coefficients ``(a, b, c, d, e, f)``.
    pixels, valid_pixels
        Pixels of the level, and those that hold an embedding, over all dates.
    cosine, cosine_centred, rmse
        Of the means as they were encoded, as measured when the level was written.
    """

    level: int
    name: str
    factor: int
    shape: tuple[int, int]
    transform: tuple[float, ...]
    pixels: int
    valid_pixels: int
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None

    @classmethod
    def of(cls, number: int, level: Level) -> Self:
        """Describe a level by what the root's attributes say of it."""
        n_pixels = int(level.pixels.get("total", level.grid.window.size))
        return cls(
            number,
            describe_level(number, level.grid, level.factor),
            level.factor,
            level.grid.shape,
            level.grid.transform,
            n_pixels,
            int(level.pixels.get("valid", n_pixels)),
            *(level.fidelity.get(name) for name in ("cosine", "cosine_centred", "rmse")),
        )

    def row(self) -> tuple[str, str]:
        """Return a row of a table."""
        height, width = self.shape
        size = f"{width} x {height} pixels, {self.valid_pixels / self.pixels:.1%} valid"
        return f"level {self.name}", f"{size}, cosine {figure(self.cosine)}"


@dataclass(frozen=True)
class StoreInfo(Result):
    """A store at a glance.

    Parameters
    ----------
    store
        Where it is.
    version
        Format version.
    recipe
        Name of the recipe.
    layout
        ``plain`` or ``codec``.
    encoding_hash
        Content hash of the encoding; stores that share it are comparable vector by vector.
    dimension, n_components
        Length of original and of reduced vectors.
    shape
        Height and width, in pixels.
    chunk, shard
        Rows and columns of chunks and of shards; `shard` is None where there are none.
    dates
        Dates of the time axis; empty where there is none.
    band_names
        Names of the components of the original vectors; empty where none has a name.
    crs
        Authority and code, or the name of the CRS.
    transform
        Affine coefficients ``(a, b, c, d, e, f)``.
    bbox
        ``(xmin, ymin, xmax, ymax)`` in CRS units.
    model
        URI of the model.
    source_data
        URIs of what was converted.
    pixels, valid_pixels
        Pixels of the raster, and those that hold an embedding.
    bytes_per_embedding
        Nominal size of one code.
    bytes_stored
        Size of all objects.
    bytes_per_pixel
        `bytes_stored` / `pixels`.
    explained_variance, cosine, cosine_centred, rmse
        As measured by the conversion.
    metric
        What the store recommends that searches compare by; None for cosines.
    archive
        Whether its chunks are packed to be small, not to be read often (`convert --archive`).
    levels
        The levels below the full resolution, finest first; empty where there are no overviews.
    layers
        The numbers of pixels beside the vectors; empty where there are none.
    evaluation
        What the last `geoembz.evaluate` recorded, in a line; None where it has recorded nothing.
    """

    store: str
    version: str
    recipe: str
    layout: str
    encoding_hash: str
    dimension: int
    n_components: int
    shape: tuple[int, int]
    chunk: tuple[int, int]
    shard: tuple[int, int] | None
    dates: tuple[str, ...]
    band_names: tuple[str | None, ...]
    crs: str
    transform: tuple[float, ...]
    bbox: tuple[float, ...]
    model: str
    source_data: tuple[str, ...]
    pixels: int
    valid_pixels: int
    bytes_per_embedding: int
    bytes_stored: int
    bytes_per_pixel: float
    explained_variance: float
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None
    metric: str | None = None
    archive: bool = False
    levels: tuple[LevelInfo, ...] = ()
    layers: tuple[Layer, ...] = ()
    evaluation: str | None = None

    def _rows(self) -> list[tuple[str, ...]]:
        height, width = self.shape
        cut = f"chunks {self.chunk[1]} x {self.chunk[0]}"
        if self.shard is not None:
            cut += f" in shards {self.shard[1]} x {self.shard[0]}"
        return [
            ("store", self.store),
            ("format", f"{self.version}, layout {self.layout}{_packed(archive=self.archive)}"),
            ("recipe", f"{self.recipe}  ({self.dimension} -> {self.n_components} components)"),
            ("encoding", self.encoding_hash),
            *([("compare by", self.metric)] if self.metric else []),
            ("grid", f"{width} x {height} pixels (width x height), {self.crs}, {cut}"),
            *(level.row() for level in self.levels),
            *([("dates", ", ".join(self.dates))] if self.dates else []),
            *([("bands", list_names(self.band_names))] if self.band_names else []),
            *((f"layer {layer.name}", layer.describe()) for layer in self.layers),
            ("bbox", ", ".join(f"{value:.10g}" for value in self.bbox)),
            ("model", self.model),
            ("source", ", ".join(self.source_data)),
            ("valid pixels", f"{self.valid_pixels:,} of {self.pixels:,}"),
            ("bytes stored", f"{self.bytes_stored:,}"),
            (
                "bytes/pixel",
                f"{self.bytes_per_pixel:.2f}  ({self.bytes_per_embedding} nominal)",
            ),
            ("explained variance", f"{self.explained_variance:.4f}"),
            ("cosine", figure(self.cosine)),
            ("cosine, centred", figure(self.cosine_centred)),
            ("rmse", figure(self.rmse)),
            *([("evaluated", self.evaluation)] if self.evaluation else []),
        ]


@dataclass(frozen=True)
class RootInfo(Result):
    """A store of several grids at a glance.

    Parameters
    ----------
    store
        Where it is.
    version, recipe, encoding_hash, dimension, n_components, model
        As in `StoreInfo`; all grids share them.
    pixels, valid_pixels, bytes_stored
        Sums over all grids; pixels where zones overlap are counted in each.
    grids
        Each grid.
    """

    store: str
    version: str
    recipe: str
    encoding_hash: str
    dimension: int
    n_components: int
    model: str
    pixels: int
    valid_pixels: int
    bytes_stored: int
    grids: tuple[StoreInfo, ...]

    def to_table(self) -> str:
        """Return the information as lines of text, and a line per grid."""
        archive = all(grid.archive for grid in self.grids)
        rows = [
            ("store", self.store),
            ("format", f"{self.version}, {len(self.grids)} grids{_packed(archive=archive)}"),
            ("recipe", f"{self.recipe}  ({self.dimension} -> {self.n_components} components)"),
            ("encoding", self.encoding_hash),
            ("model", self.model),
            ("valid pixels", f"{self.valid_pixels:,} of {self.pixels:,}"),
            ("bytes stored", f"{self.bytes_stored:,}"),
        ]
        header = ("grid", "CRS", "width x height", "valid", "bytes", "cosine", "dates")
        lines = [
            (
                grid.store.rpartition("/")[2],
                grid.crs,
                f"{grid.shape[1]} x {grid.shape[0]}",
                f"{grid.valid_pixels / grid.pixels:.1%}",
                f"{grid.bytes_stored:,}",
                figure(grid.cosine),
                ", ".join(grid.dates),
            )
            for grid in self.grids
        ]
        return f"{aligned(rows)}\n\n{aligned([header, *lines])}"


@dataclass(frozen=True)
class TableInfo(Result):
    """A table store at a glance.

    Parameters
    ----------
    store, version, recipe, encoding_hash, dimension, n_components, model, source_data
        As in `StoreInfo`.
    rows, valid_rows
        Rows of the table, and those that hold an embedding.
    chunk, shard
        Rows of a chunk and of a shard.
    columns
        Numeric columns, kept as arrays.
    table
        File with the other columns.
    crs, bbox
        Where the rows lie.
    bytes_per_embedding, bytes_stored, bytes_per_row
        Nominal size of one code; size of all objects; that by row.
    explained_variance, cosine, cosine_centred, rmse
        As measured by the conversion.
    metric, archive
        As in `StoreInfo`.
    """

    store: str
    version: str
    recipe: str
    encoding_hash: str
    dimension: int
    n_components: int
    rows: int
    valid_rows: int
    chunk: int
    shard: int
    columns: tuple[str, ...]
    table: str | None
    crs: str
    bbox: tuple[float, ...] | None
    model: str
    source_data: tuple[str, ...]
    bytes_per_embedding: int
    bytes_stored: int
    bytes_per_row: float
    explained_variance: float
    cosine: float | None
    cosine_centred: float | None
    rmse: float | None
    metric: str | None = None
    archive: bool = False

    def _rows(self) -> list[tuple[str, ...]]:
        bbox = "unknown" if self.bbox is None else ", ".join(f"{v:.10g}" for v in self.bbox)
        return [
            ("store", self.store),
            ("format", f"{self.version}, a table{_packed(archive=self.archive)}"),
            ("recipe", f"{self.recipe}  ({self.dimension} -> {self.n_components} components)"),
            ("encoding", self.encoding_hash),
            *([("compare by", self.metric)] if self.metric else []),
            ("rows", f"{self.rows:,}, {self.valid_rows:,} with a vector"),
            ("cut", f"chunks of {self.chunk:,} rows in shards of {self.shard:,}"),
            ("columns", ", ".join(self.columns) or "none but the place"),
            ("other columns", self.table or "none"),
            ("crs", self.crs),
            ("bbox", bbox),
            ("model", self.model),
            ("source", ", ".join(self.source_data)),
            ("bytes stored", f"{self.bytes_stored:,}"),
            ("bytes/row", f"{self.bytes_per_row:.2f}  ({self.bytes_per_embedding} nominal)"),
            ("explained variance", f"{self.explained_variance:.4f}"),
            ("cosine", figure(self.cosine)),
            ("cosine, centred", figure(self.cosine_centred)),
            ("rmse", figure(self.rmse)),
        ]


def _packed(*, archive: bool) -> str:
    """Return what is said of an archive behind its format."""
    return ", an archive" if archive else ""


def info(store: str | Path) -> StoreInfo | RootInfo | TableInfo | MapInfo:
    """Describe a store: what it holds, where it lies, what it costs and what it lost.

    Parameters
    ----------
    store
        Path or URL of a store of one grid, of a root of several, or of a table; or of a map, a
        Zarr group or a GeoTIFF.

    Returns
    -------
    info
        Of the kind that the store is.

    Raises
    ------
    StoreError
        If there is no store or map, an unfinished one, or a damaged one.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "info.zarr", pca=16)
    >>> info(tmp_path / "info.zarr").recipe
    'pca16-int8'
    """
    url = str(store)
    if is_tiff(url):
        return describe_tiff(url)
    document = MapDocument.of_group(url, open_any_group(url).attrs.asdict())
    if document is not None:
        return describe_map(url, document)
    group = open_group(url)
    return describe_table(url, group) if is_table_store(group) else describe(url, group)


def describe(store: str, group: zarr.Group | None = None) -> StoreInfo | RootInfo:
    """Describe a store of pixels: one grid, or all below a root; see `info`."""
    group = open_group(store) if group is None else group
    readers = open_readers(store, group=group)
    if not grid_names(store, group.attrs.asdict()):
        return _describe_grid(store, readers[0])
    grids = tuple(_describe_grid(reader.url, reader) for reader in readers)
    first = grids[0]
    return RootInfo(
        store=redact(store),
        version=first.version,
        recipe=first.recipe,
        encoding_hash=first.encoding_hash,
        dimension=first.dimension,
        n_components=first.n_components,
        model=first.model,
        pixels=sum(grid.pixels for grid in grids),
        valid_pixels=sum(grid.valid_pixels for grid in grids),
        bytes_stored=sum(grid.bytes_stored for grid in grids),
        grids=grids,
    )


def _describe_grid(store: str, reader: StoreReader) -> StoreInfo:
    attributes, encoding, grid = reader.attributes, reader.encoding, reader.attributes.grid
    pixels = int(attributes.pixels.get("total", grid.window.size))
    shards = reader.codes.shards
    bytes_stored = reader.stored_bytes()
    return StoreInfo(
        store=redact(store),
        version=attributes.version,
        recipe=encoding.recipe,
        layout=attributes.layout,
        encoding_hash=encoding.hash,
        dimension=encoding.dimension,
        n_components=encoding.n_components,
        shape=grid.shape,
        chunk=(reader.codes.chunks[-2], reader.codes.chunks[-1]),
        shard=None if shards is None else (shards[-2], shards[-1]),
        dates=reader.dates,
        band_names=attributes.band_names,
        crs=grid.crs_code or grid.crs_wkt.partition('"')[2].partition('"')[0],
        transform=grid.transform,
        bbox=grid.bbox,
        model=attributes.model,
        source_data=tuple(str(source.get("uri", "")) for source in attributes.sources),
        pixels=pixels,
        valid_pixels=int(attributes.pixels.get("valid", pixels)),
        bytes_per_embedding=encoding.bytes_per_vector,
        bytes_stored=bytes_stored,
        bytes_per_pixel=bytes_stored / pixels,
        explained_variance=encoding.report.explained_variance,
        cosine=attributes.fidelity.get("cosine"),
        cosine_centred=attributes.fidelity.get("cosine_centred"),
        rmse=attributes.fidelity.get("rmse"),
        metric=attributes.metric,
        archive=reader.is_archive,
        levels=tuple(LevelInfo.of(n, level) for n, level in enumerate(attributes.levels, 1)),
        layers=attributes.layers,
        evaluation=_recorded_evaluation(reader.group.attrs.get("geoembz:report")),
    )


def _recorded_evaluation(report: object) -> str | None:
    """Return in a line what `evaluate` recorded; None where that is nothing, or not ours."""
    try:
        rows, kind = report["n_rows"], report["split"]["kind"]  # type: ignore[index]
        tasks = report["tasks"].items()  # type: ignore[index]
        lost = [f"{name} {100 * task['delta']:+.1f} points" for name, task in tasks]
        kept = f"centred cosine {report['fidelity']['cosine_centred']['mean']:.4f}"  # type: ignore[index]
        return printable(f"{rows:,} vectors, {kind} split: {', '.join([*lost, kept])}", 200)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def describe_table(store: str, group: zarr.Group | None = None) -> TableInfo:
    """Open a table store and describe it.

    Raises
    ------
    StoreError
        If there is no store of a table.
    """
    reader = TableReader.open(store, group)
    attributes, encoding = reader.attributes, reader.encoding
    bytes_stored = reader.stored_bytes()
    return TableInfo(
        store=redact(store),
        version=attributes.version,
        recipe=str(encoding.recipe),
        encoding_hash=encoding.hash,
        dimension=encoding.dimension,
        n_components=encoding.n_components,
        rows=reader.n_rows,
        valid_rows=int(attributes.rows["valid"]),
        chunk=reader.codes.chunks[0],
        shard=(reader.codes.shards or reader.codes.chunks)[0],
        columns=attributes.columns,
        table=attributes.table,
        crs=attributes.crs_code or attributes.crs_wkt.partition('"')[2].partition('"')[0],
        bbox=attributes.bbox,
        model=attributes.model,
        source_data=tuple(str(source["uri"]) for source in attributes.sources),
        bytes_per_embedding=encoding.bytes_per_vector,
        bytes_stored=bytes_stored,
        bytes_per_row=bytes_stored / reader.n_rows,
        explained_variance=encoding.report.explained_variance,
        cosine=attributes.fidelity.get("cosine"),
        cosine_centred=attributes.fidelity.get("cosine_centred"),
        rmse=attributes.fidelity.get("rmse"),
        metric=attributes.metric,
        archive=is_archive(reader.codes.metadata.to_dict()),
    )
