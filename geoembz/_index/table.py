"""A store as a table for databases: one row for each pixel, its place and its vector."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from geoembz._index.rows import Rows, numbered, read_rows
from geoembz._index.summary import IndexSummary
from geoembz._search.nearest import to_result
from geoembz._search.parts import RasterPart, TablePart
from geoembz._util.arrow import pa, parquet
from geoembz._util.output import output_file
from geoembz.errors import NoValidPixelsError
from geoembz.store import View

_GROUP_ROWS = 65_536
"""Rows of a group: what a database reads at least."""


def write_table(
    parts: Sequence[RasterPart] | Sequence[TablePart], target: Path, space: View
) -> IndexSummary:
    """Write the vectors of some parts as Parquet, stored object by stored object.

    Columns: `row`, `col` (of a table, `sample`), `x`, `y`, `lon`, `lat`, `store`, `time` where
    there is one, and `embedding`, a list of fixed length.

    Raises
    ------
    NoValidPixelsError
        If no pixel holds an embedding.
    """
    writer, count, length = None, 0, 0
    with output_file(target) as partial:
        for table in tables(parts, space):
            if writer is None:
                length = table.schema.field("embedding").type.list_size
                writer = parquet.ParquetWriter(partial, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=_GROUP_ROWS)
            count += len(table)
        if writer is None:
            raise NoValidPixelsError("index: no pixel there holds an embedding; expected some")
        writer.close()
    metric = parts[0].reader.attributes.metric or "cosine"
    size = target.stat().st_size
    return IndexSummary(str(target), "parquet", space, metric, count, length, 0, size)


def tables(parts: Sequence[RasterPart] | Sequence[TablePart], space: View) -> "Iterator[pa.Table]":
    """Yield the rows of some parts, as `write_table` has them, some thousand at a time."""
    every: list[RasterPart | TablePart] = [*parts]
    for rows in read_rows(every):
        for start in range(0, len(rows.positions), _GROUP_ROWS):
            part = slice(start, start + _GROUP_ROWS)
            some = Rows(rows.part, rows.codes[:, part], rows.positions[part])
            yield _table(parts, some, every[rows.part], space)


def _table(
    parts: Sequence[RasterPart] | Sequence[TablePart],
    rows: Rows,
    part: RasterPart | TablePart,
    space: View,
) -> "pa.Table":
    positions = numbered(list(parts), rows)[np.newaxis]
    places = to_result(parts, "", np.zeros(positions.shape), positions, 0, None)
    table = places.to_arrow().drop_columns(["query", "rank", "score"])
    vectors = np.ascontiguousarray(rows.codes.T)
    if space != "codes":
        codes = np.ascontiguousarray(rows.codes)
        decoded = part.encoding.decoder(space).decode(codes)
        vectors = np.ascontiguousarray(decoded.T)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return table.append_column("embedding", column)
