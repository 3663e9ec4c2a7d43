"""CSV files with a header, whose types are found by reading them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from geoembz._objects.identity import display_name
from geoembz.errors import SourceError
from geoembz.sources.tables.columns import plain_schema
from geoembz.sources.tables.files import explained, one_schema, place_of

_BLOCK_BYTES = 16 * 2**20
"""A block must hold a whole row; rows of 4,000 numbers are 80 kB."""

_WIDER = {pa.null(): pa.int64(), pa.int64(): pa.float64(), pa.uint64(): pa.float64()}
"""What a column becomes when a later row does not fit; all else becomes text."""


@dataclass(frozen=True)
class CsvFiles:
    """CSV files with a header.

    Parameters
    ----------
    paths
        In the order of the rows.
    schema
        Of all files: a column of whole numbers in one and of fractions in another holds fractions.
    """

    paths: tuple[str, ...]
    schema: pa.Schema
    footer: None = None
    group_rows: Sequence[int] = ()

    @classmethod
    def open(cls, paths: Sequence[str]) -> "CsvFiles":
        """Read the columns whose first rows do not tell their type.

        Raises
        ------
        SourceError
            If a file is no CSV, or has other columns than the first.
        """
        if not paths:
            raise SourceError("table: no file; expected CSV")
        schema = one_schema(paths, [_types(path) for path in paths])
        fields = [
            field.with_type(pa.string()) if pa.types.is_null(field.type) else field
            for field in schema
        ]
        return cls(tuple(paths), pa.schema(fields))

    def row_bytes(self, columns: Sequence[str]) -> float:
        """Return the mean size of a row; CSV does not tell it, and its texts are written out."""
        del columns
        return 0.0

    def scan(
        self, columns: Sequence[str], batch_rows: int, group: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read columns; see `TableFiles`. `batch_rows` is a limit."""
        del group
        options = csv.ConvertOptions(
            include_columns=list(columns),
            column_types={name: self.schema.field(name).type for name in columns},
        )
        for path in self.paths:
            with explained(path), _open(path, options) as reader:
                for batch in reader:
                    for start in range(0, len(batch), batch_rows):
                        yield batch.slice(start, batch_rows)


@contextmanager
def _open(path: str, options: csv.ConvertOptions | None = None) -> Iterator[csv.CSVStreamingReader]:
    blocks = csv.ReadOptions(block_size=_BLOCK_BYTES)
    with place_of(path) as place, csv.open_csv(place, blocks, convert_options=options) as reader:
        yield reader


def _types(path: str) -> pa.Schema:
    """Return a file's columns, of types that all rows fit into.

    pyarrow takes the types of the first block for those of all. A column that is empty or whole
    there may go on otherwise, so such columns are read to the end, and widened until they fit.
    """
    with explained(path):
        with _open(path) as reader:
            found = plain_schema(display_name(path), reader.schema)
            found = _with_large_numbers(path, found)
        unsure = [field.name for field in found if not _holds_fractions_or_text(field.type)]
        while (wrong := _misfit(path, found, unsure)) is not None:
            kind = found.field(wrong).type
            wider = _WIDER.get(kind, pa.string())
            if kind == wider:
                break
            found = found.set(wrong, pa.field(found.names[wrong], wider))
    return found


def _with_large_numbers(path: str, found: pa.Schema) -> pa.Schema:
    """Return a schema in which whole numbers beyond int64 stay whole: ids of S2 cells, hashes.

    pyarrow takes them for float64, which has 53 bits for their 64.
    """
    floats = [field.name for field in found if pa.types.is_floating(field.type)]
    if not floats:
        return found
    texts = csv.ConvertOptions(
        include_columns=floats, column_types=dict.fromkeys(floats, pa.string())
    )
    with _open(path, texts) as reader:
        first = reader.read_next_batch()
    for name in floats:
        written = first[name].filter(pc.not_equal(first[name], ""))
        if len(written) and pc.all(pc.match_substring_regex(written, r"^\s*\d+\s*$")).as_py():
            found = found.set(found.get_field_index(name), pa.field(name, pa.uint64()))
    return found


def _misfit(path: str, found: pa.Schema, unsure: Sequence[str]) -> int | None:
    """Return the number of a column with a value that is not of its type; None without one."""
    if not unsure:
        return None
    options = csv.ConvertOptions(
        include_columns=list(unsure),
        column_types={name: found.field(name).type for name in unsure},
    )
    try:
        with _open(path, options) as reader:
            for _ in reader:
                pass
    except pa.ArrowInvalid as error:
        column = re.match(r"In CSV column #(\d+): ", str(error))
        if column is None:
            raise
        return int(column[1])
    return None


def _holds_fractions_or_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_floating(kind) or types.is_string(kind) or types.is_binary(kind))
