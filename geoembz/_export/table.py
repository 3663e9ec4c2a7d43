"""A table store as GeoParquet or CSV again, its vectors decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import BBox
from geoembz._geo.geoparquet import free_name, read_geo, write_emb, write_geo
from geoembz._geo.wkb import point_column
from geoembz._util.arrow import pa, parquet
from geoembz._util.output import output_file
from geoembz._util.results import Result
from geoembz.errors import InvalidConfigError
from geoembz.sources.features.write import EMBEDDING, GEOMETRY, PARQUET, check_output, vector_array
from geoembz.store import TableReader, View

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK_ROWS = 16_384
"""Rows decoded at once, and of a row group: some tens of MB of vectors."""


@dataclass(frozen=True)
class TableExportSummary(Result):
    """What was written.

    Parameters
    ----------
    out
        The file.
    space
        ``original``, ``reduced`` or ``codes``.
    rows
        Rows written.
    length
        Length of a vector.
    columns
        Columns of the file.
    bytes_written
        Size of the file.
    """

    out: str
    space: str
    rows: int
    length: int
    columns: tuple[str, ...]
    bytes_written: int

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            ("written", self.out),
            ("rows", f"{self.rows:,}, vectors of {self.length} numbers, space {self.space}"),
            ("columns", ", ".join(self.columns)),
            ("size", f"{self.bytes_written:,} bytes"),
        ]


def export_table(
    store: str | Path | TableReader,
    out: str | Path,
    *,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    overwrite: bool = False,
) -> TableExportSummary:
    """Write a table store as GeoParquet: every column, the geometry, and the decoded vectors.

    Rows come in the store's order, block by block, so memory does not grow with the table.

    Parameters
    ----------
    store
        Path, URL, or an open `TableReader`.
    out
        ``.parquet``.
    bbox, bbox_crs, space, components, whiten, overwrite
        As in `geoembz.export`.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or no row lies in the box.
    StoreError
        If the store cannot be read.
    """
    target = check_output(out, PARQUET, overwrite=overwrite)
    reader = store if isinstance(store, TableReader) else TableReader.open(str(store))
    length = reader.length(space, components, whiten)
    selected = None if bbox is None else reader.select(bbox, bbox_crs)
    if selected is not None and not len(selected):
        raise InvalidConfigError(
            f"bbox {bbox}: no row of {reader.url} lies there; it covers {reader.attributes.bbox} "
            f"in {reader.attributes.crs_code or 'its CRS'}"
        )
    writer, count = None, 0
    with output_file(target) as partial:
        for rows, others in _blocks(reader, selected):
            vectors = reader.read(rows, space, components, whiten)
            table = _block_table(reader, rows, others, vectors)
            if writer is None:
                schema = table.schema.with_metadata(_footer(reader, length, space))
                writer = parquet.ParquetWriter(partial, schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))
            count += len(rows)
        if writer is not None:
            writer.close()
    columns = tuple(writer.schema.names) if writer is not None else ()
    size = target.stat().st_size
    return TableExportSummary(str(target), space, count, length, columns, size)


def _blocks(
    reader: TableReader, selected: NDArray[np.int64] | None
) -> "Iterator[tuple[NDArray[np.int64], pa.Table | None]]":
    """Yield row numbers, with the columns that are no arrays."""
    rows = np.arange(reader.n_rows) if selected is None else selected
    if reader.attributes.table is None:
        for start in range(0, len(rows), _BLOCK_ROWS):
            yield rows[start : start + _BLOCK_ROWS], None
        return
    first = 0
    for batch in reader.others():
        low, high = np.searchsorted(rows, (first, first + len(batch)))
        if high > low:
            wanted = rows[low:high]
            yield wanted, pa.Table.from_batches([batch]).take(pa.array(wanted - first))
        first += len(batch)


def _block_table(
    reader: TableReader,
    rows: NDArray[np.int64],
    others: "pa.Table | None",
    vectors: NDArray[Any],
) -> "pa.Table":
    """Put a block's columns together: arrays, others, axes, geometry, vectors."""
    place = reader.attributes.place
    columns: dict[str, Any] = (
        {} if others is None else dict(zip(others.column_names, others.columns, strict=True))
    )
    for name in reader.attributes.columns:
        array = reader.column(name, of_table=True)
        columns[name] = _column(reader.values(array, rows), array.attrs)
    if place.get("geometry") is None:
        x, y = (reader.values(reader.column(axis), rows) for axis in ("x", "y"))
        columns.setdefault(str(place["x"]), pa.array(x))
        columns.setdefault(str(place["y"]), pa.array(y))
        if others is None:
            columns[_geometry(reader)] = point_column(x, y)
    columns[free_name(EMBEDDING, columns)] = vector_array(vectors, reader.known(rows))
    return pa.table(columns)


def _geometry(reader: TableReader) -> str:
    """Return the name of the geometry column: the table's, or that of the points written for it."""
    name = reader.attributes.place.get("geometry")
    if name is None:
        written = read_geo(reader.url, reader.others_footer())
        name = free_name(GEOMETRY, reader.attributes.columns) if written is None else written.name
    return str(name)


def _column(values: NDArray[Any], attributes: Any) -> "pa.Array":
    """Return a numeric column, as time where its units say so."""
    unit, _, since = str(attributes.get("units", "")).partition(" since ")
    units = {"seconds": "s", "milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
    if since and unit == "days":
        return pa.array(values).cast(pa.date32())
    if since and unit in units:
        return pa.array(values).cast(pa.timestamp(units[unit], attributes.get("time_zone")))
    return pa.array(values)


def _footer(reader: TableReader, length: int, space: View) -> dict[bytes, bytes]:
    attributes = reader.attributes
    types = [] if attributes.place.get("geometry") else ["Point"]
    recipe = f"geoembz:{attributes.encoding['recipe']}, space {space}"
    sources = [str(source["uri"]) for source in attributes.sources]
    emb = write_emb(
        model=attributes.model,
        dimension=length,
        kind="chip",
        quantization=recipe,
        sources=sources,
    )
    geo = write_geo(_geometry(reader), attributes.crs_code or attributes.crs_wkt, types, None)
    return {b"geo": geo, b"emb": emb}
