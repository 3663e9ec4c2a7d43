"""A raster of cells, each pooled over so many pixels each way, as GeoTIFF or as a table."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geoembz._export.cog import ExportSummary, band_labels, raster_tags
from geoembz._export.geotiff import Raster, write_cog
from geoembz._export.lookup import ViewOptions, chunk_shape
from geoembz._export.pooling import Pool, Statistics, pooled_length
from geoembz._export.region import Region
from geoembz._export.table import TableExportSummary
from geoembz._export.tiling import window_shape
from geoembz._geo.geoparquet import write_emb, write_geo
from geoembz._geo.grid import Grid, Window, split
from geoembz._geo.wkb import point_column
from geoembz._util.options import check_whole
from geoembz._util.output import output_file
from geoembz.errors import InvalidConfigError
from geoembz.sources.features.write import EMBEDDING, GEOMETRY, vector_array

_BLOCK_BYTES = 16 * 2**20
"""Decoded at once; statistics are taken of copies in float64."""

_TILE_BYTES = 16 * 2**20
"""Of one statistic of the cells that are pooled at once."""

COUNT = "n_pixels"
"""Band and column of how many valid pixels a cell has."""


@dataclass(frozen=True)
class Cells:
    """Cells of a region: squares of pixels, counted from its north-west corner.

    Those in the last row and column have what is left.

    Parameters
    ----------
    region
        The pixels.
    side
        Pixels of a cell, each way.
    pools
        How they become vectors.
    view
        What is pooled.

    Raises
    ------
    InvalidConfigError
        If a cell is smaller than two pixels, or codes are to be pooled.
    """

    region: Region
    side: int
    pools: tuple[Pool, ...]
    view: ViewOptions

    def __post_init__(self) -> None:
        """Refuse what cannot be pooled."""
        check_whole(aggregate=self.side)
        if self.side < 2:
            raise InvalidConfigError(f"aggregate {self.side}; expected 2 pixels each way or more")
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
        pixels = self.region.grid
        a, _, c, _, e, f = pixels.transform
        height, width = (-(-size // self.side) for size in pixels.shape)
        transform = (a * self.side, 0.0, c, 0.0, e * self.side, f)
        return replace(pixels, transform=transform, shape=(height, width))

    def tiles(self) -> Iterator[tuple[Window, Statistics]]:
        """Yield the statistics of some cells at a time, and which these are."""
        for tile in split(self.grid.window, self._tile_shape()):
            statistics = Statistics(self.pools, self.length, tile.shape)
            row, col = tile.row * self.side, tile.col * self.side
            around = Window(row, col, tile.height * self.side, tile.width * self.side)
            height, width = self.region.window.shape
            pixels = around.intersection(Window(0, 0, height, width))
            assert pixels is not None  # noqa: S101 - each cell has a pixel
            self._add(statistics, tile, pixels)
            yield tile, statistics

    def _tile_shape(self) -> tuple[int, int]:
        """Return rows and columns of cells that are pooled at once, of whole chunks if may be."""
        rows, cols = (max(size // self.side, 1) for size in chunk_shape(self.region))
        cell_bytes = self.length * np.dtype(np.float64).itemsize
        while 4 * rows * cols * cell_bytes <= _TILE_BYTES:
            rows, cols = 2 * rows, 2 * cols
        return rows, cols

    def _add(self, statistics: Statistics, tile: Window, pixels: Window) -> None:
        """Decode some pixels, block by block, and add them to their cells."""
        region, view = self.region, self.view
        pixel_bytes = self.length * np.dtype(np.float32).itemsize
        shape = window_shape(chunk_shape(region), pixels.width, pixel_bytes, _BLOCK_BYTES)
        turn = slice(None, None, -1 if region.runs_north else 1)
        for block in split(region.source_of(pixels), shape):
            values = region.reader.read(
                block,
                "reduced" if view.space == "reduced" else "original",
                view.components,
                view.whiten,
                region.date,
            )[:, turn]
            place = region.turned(block)
            rows = np.arange(place.row, place.row + place.height) // self.side - tile.row
            cols = np.arange(place.col, place.col + place.width) // self.side - tile.col
            starts = [np.flatnonzero(np.diff(cells, prepend=-1)) for cells in (rows, cols)]
            groups = (
                slice(int(rows[0]), int(rows[-1]) + 1),
                slice(int(cols[0]), int(cols[-1]) + 1),
            )
            statistics.add(groups, starts, values, ~np.isnan(values[0]))


def write_cells_cog(cells: Cells, target: Path) -> ExportSummary:
    """Write cells as a cloud-optimized GeoTIFF: the bands of each pool, and the count of pixels.

    Parameters
    ----------
    cells
        What to write.
    target
        ``.tif``; a file that exists is replaced whole.
    """
    import rasterio

    lengths = [pooled_length(pool, cells.length) for pool in cells.pools]
    raster = Raster(cells.grid, sum(lengths) + 1, np.dtype(np.float32), np.nan)

    def fill(draft: Any) -> None:
        draft.descriptions = _labels(cells)
        draft.update_tags(
            **raster_tags(cells.region, cells.view.space),
            geoembz_aggregate=str(cells.side),
            geoembz_pool=",".join(cells.pools),
        )
        for tile, statistics in cells.tiles():
            window = rasterio.windows.Window(tile.col, tile.row, tile.width, tile.height)
            bands = [statistics.pooled(pool) for pool in cells.pools]
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


def _labels(cells: Cells) -> tuple[str, ...]:
    names = band_labels(cells.region.reader, cells.view.space, cells.length)
    parts = [part for pool in cells.pools for part in pool.split("+")]
    return (*(f"{part} of {name}" for part in parts for name in names), COUNT)


def write_cells_table(cells: Cells, target: Path) -> TableExportSummary:
    """Write the cells that have data as GeoParquet: centre, place, count of pixels, vectors.

    Parameters
    ----------
    cells
        What to write.
    target
        ``.parquet``; a file that exists is replaced whole.
    """
    from pyarrow import parquet

    nothing = Statistics(cells.pools, cells.length, (1, 1))
    schema = _rows(cells, Window(0, 0, 1, 1), nothing).schema.with_metadata(_footer(cells))
    count = 0
    with (
        output_file(target) as partial,
        parquet.ParquetWriter(partial, schema, compression="zstd") as writer,
    ):
        for tile, statistics in cells.tiles():
            table = _rows(cells, tile, statistics)
            if len(table):
                writer.write_table(table.cast(schema))
            count += len(table)
    size, columns = target.stat().st_size, tuple(schema.names)
    length = pooled_length(cells.pools[0], cells.length)
    return TableExportSummary(str(target), cells.view.space, count, length, columns, size)


def _rows(cells: Cells, tile: Window, statistics: Statistics) -> pa.Table:
    rows, cols = np.nonzero(statistics.counts)
    places = cells.grid.part(tile)
    x, y = places.x[cols], places.y[rows]
    columns: dict[str, Any] = {
        "row": pa.array(rows + tile.row),
        "col": pa.array(cols + tile.col),
        COUNT: pa.array(statistics.counts[rows, cols]),
    }
    for number, pool in enumerate(cells.pools):
        vectors = statistics.pooled(pool)[:, rows, cols].T
        name = f"{EMBEDDING}_{pool}" if number else EMBEDDING
        columns[name] = vector_array(vectors, np.ones(len(rows), np.bool_))
    return pa.table({**columns, GEOMETRY: point_column(x, y)})


def _footer(cells: Cells) -> dict[bytes, bytes]:
    attributes, recipe = cells.region.reader.attributes, cells.region.reader.encoding.recipe
    pooled = f"{cells.pools[0]} of {cells.side} x {cells.side} pixels"
    emb = write_emb(
        model=attributes.model,
        dimension=pooled_length(cells.pools[0], cells.length),
        kind="pixel",
        quantization=f"geoembz:{recipe}, space {cells.view.space}, {pooled}",
        sources=[str(source["uri"]) for source in attributes.sources],
    )
    crs = attributes.grid.crs_code or attributes.grid.crs_wkt
    return {b"geo": write_geo(GEOMETRY, crs, ["Point"], None), b"emb": emb}
