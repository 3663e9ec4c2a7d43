"""A raster of cells, each pooled over so many pixels each way, as GeoTIFF or as a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.blocks import ALONE, read_blocks
from geoembz._export.cog import ExportSummary, band_labels, raster_tags
from geoembz._export.geotiff import Raster, write_cog
from geoembz._export.lookup import ViewOptions, chunk_shape
from geoembz._export.region import Region
from geoembz._export.table import TableExportSummary
from geoembz._export.tiling import window_shape
from geoembz._geo.geoparquet import write_emb, write_geo
from geoembz._geo.grid import Grid, Window, split
from geoembz._geo.wkb import point_column
from geoembz._util.arrow import pa
from geoembz._util.output import output_file
from geoembz._work.executors import Workers
from geoembz.errors import InvalidConfigError
from geoembz.sources.cells import Cells
from geoembz.sources.features.write import EMBEDDING, GEOMETRY, vector_array
from geoembz.sources.pooling import Statistics, pooled_length

_BLOCK_BYTES = 16 * 2**20
"""Decoded at once; statistics are taken of copies in float64."""

_TILE_BYTES = 16 * 2**20
"""Of one statistic of the cells that are pooled at once."""

COUNT = "n_pixels"
"""Band and column of how many valid pixels a cell has."""


@dataclass(frozen=True)
class RegionCells:
    """Cells of a region, counted from its north-west corner.

    Parameters
    ----------
    region
        The pixels.
    cells
        How they are pooled.
    view
        What is pooled.

    Raises
    ------
    InvalidConfigError
        If codes are to be pooled.
    """

    region: Region
    cells: Cells
    view: ViewOptions

    def __post_init__(self) -> None:
        """Refuse what cannot be pooled."""
        if self.view.is_codes:
            raise InvalidConfigError(
                "space codes with aggregate: a mean of codes means nothing; choose 'reduced' or "
                "'original'"
            )

    @property
    def length(self) -> int:
        """How many numbers a pixel has."""
        return self.view.length(self.region.reader)

    @property
    def grid(self) -> Grid:
        """Where the cells lie, the first row in the north."""
        return self.cells.grid(self.region.grid)

    def tiles(self, pool: Workers) -> Iterator[tuple[Window, Statistics]]:
        """Yield the statistics of some cells at a time, and which these are."""
        tiles = [*split(self.grid.window, self._tile_shape())]
        return read_blocks(pool, self.measure, tiles, _TILE_BYTES)

    def measure(self, tile: Window) -> Statistics:
        """Return the statistics of some cells."""
        statistics = self.cells.statistics(self.length, tile)
        for place, vectors in self._blocks(self.cells.pixels(tile, self.region.window.shape)):
            self.cells.add(statistics, tile, place, vectors, ~np.isnan(vectors[0]))
        return statistics

    def _tile_shape(self) -> tuple[int, int]:
        """Return rows and columns of cells that are pooled at once, of whole chunks if may be."""
        rows, cols = (max(size // self.cells.side, 1) for size in chunk_shape(self.region))
        cell_bytes = self.length * np.dtype(np.float64).itemsize
        while 4 * rows * cols * cell_bytes <= _TILE_BYTES:
            rows, cols = 2 * rows, 2 * cols
        return rows, cols

    def _blocks(self, pixels: Window) -> Iterator[tuple[Window, NDArray[np.float32]]]:
        """Decode some pixels block by block: where each lies, and its vectors, north up."""
        region, view = self.region, self.view
        pixel_bytes = self.length * np.dtype(np.float32).itemsize
        shape = window_shape(chunk_shape(region), pixels.width, pixel_bytes, _BLOCK_BYTES)
        space: Any = view.space
        turn = slice(None, None, -1 if region.runs_north else 1)
        for block in split(region.source_of(pixels), shape):
            vectors = region.reader.read(block, space, view.components, view.whiten, region.date)
            yield region.turned(block), vectors[:, turn]


def write_cells_cog(cells: RegionCells, target: Path, pool: Workers = ALONE) -> ExportSummary:
    """Write cells as a cloud-optimized GeoTIFF: the bands of each pool, and the count of pixels.

    Parameters
    ----------
    cells
        What to write.
    target
        ``.tif``; a file that exists is replaced whole.
    pool
        Reads and pools the pixels.
    """
    import rasterio

    count = cells.cells.length(cells.length) + 1
    raster = Raster(cells.grid, count, np.dtype(np.float32), np.nan)

    def fill(draft: Any) -> None:
        draft.descriptions = _labels(cells)
        draft.update_tags(
            **raster_tags(cells.region, cells.view.space),
            geoembz_aggregate=str(cells.cells.side),
            geoembz_pool=",".join(cells.cells.pools),
        )
        for tile, statistics in cells.tiles(pool):
            window = rasterio.windows.Window(tile.col, tile.row, tile.width, tile.height)
            bands = [statistics.pooled(pool) for pool in cells.cells.pools]
            bands.append(statistics.counts[np.newaxis].astype(np.float32))
            draft.write(np.concatenate(bands), window=window)

    write_cog(target, raster, fill)
    return ExportSummary(
        str(target),
        cells.view.space,
        raster.count,
        raster.grid.shape,
        raster.dtype.name,
        raster.nodata,
        target.stat().st_size,
    )


def _labels(cells: RegionCells) -> tuple[str, ...]:
    names = band_labels(cells.region.reader, cells.view.space, cells.length)
    return (*cells.cells.label(names), COUNT)


def write_cells_table(
    cells: RegionCells, target: Path, pool: Workers = ALONE
) -> TableExportSummary:
    """Write the cells that have data as GeoParquet: centre, place, count of pixels, vectors.

    Parameters
    ----------
    cells
        What to write.
    target
        ``.parquet``; a file that exists is replaced whole.
    pool
        Reads and pools the pixels.
    """
    from geoembz._util.arrow import parquet

    first = Window(0, 0, 1, 1)
    nothing = cells.cells.statistics(cells.length, first)
    schema = _rows(cells, first, nothing).schema.with_metadata(_footer(cells))
    count = 0
    with (
        output_file(target) as partial,
        parquet.ParquetWriter(partial, schema, compression="zstd") as writer,
    ):
        for tile, statistics in cells.tiles(pool):
            table = _rows(cells, tile, statistics)
            if len(table):
                writer.write_table(table.cast(schema))
            count += len(table)
    size, columns = target.stat().st_size, tuple(schema.names)
    length = pooled_length(cells.cells.pools[0], cells.length)
    return TableExportSummary(str(target), cells.view.space, count, length, columns, size)


def _rows(cells: RegionCells, tile: Window, statistics: Statistics) -> "pa.Table":
    rows, cols = np.nonzero(statistics.counts)
    places = cells.grid.part(tile)
    x, y = places.x[cols], places.y[rows]
    columns: dict[str, Any] = {
        "row": pa.array(rows + tile.row),
        "col": pa.array(cols + tile.col),
        COUNT: pa.array(statistics.counts[rows, cols]),
    }
    for number, pool in enumerate(cells.cells.pools):
        vectors = statistics.pooled(pool)[:, rows, cols].T
        name = f"{EMBEDDING}_{pool}" if number else EMBEDDING
        columns[name] = vector_array(vectors, np.ones(len(rows), np.bool_))
    return pa.table({**columns, GEOMETRY: point_column(x, y)})


def _footer(cells: RegionCells) -> dict[bytes, bytes]:
    attributes, recipe = cells.region.reader.attributes, cells.region.reader.encoding.recipe
    pooled = f"{cells.cells.pools[0]} of {cells.cells.side} x {cells.cells.side} pixels"
    emb = write_emb(
        model=attributes.model,
        dimension=pooled_length(cells.cells.pools[0], cells.length),
        kind="pixel",
        quantization=f"geoembz:{recipe}, space {cells.view.space}, {pooled}",
        sources=[str(source["uri"]) for source in attributes.sources],
    )
    crs = attributes.grid.crs_code or attributes.grid.crs_wkt
    return {b"geo": write_geo(GEOMETRY, crs, ["Point"], None), b"emb": emb}
