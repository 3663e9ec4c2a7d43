"""The files of a table: one schema over all of them, read as streams of record batches.

What several files say together is found here, and CSV is read here; `parquet_files` reads Parquet.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, Protocol

from geoembz._objects.identity import display_name
from geoembz._objects.reading import open_remote
from geoembz._util.arrow import compute as pc
from geoembz._util.arrow import csv, pa
from geoembz.errors import GeoembzError, SourceError
from geoembz.sources.tables.columns import plain_schema, unify_schemas

_BLOCK_BYTES = 16 * 2**20
"""A block must hold a whole row; rows of 4,000 numbers are 80 kB."""


class TableFiles(Protocol):
    """Files of one schema, one after the other."""

    @property
    def schema(self) -> "pa.Schema":
        """All columns, with plain types; see `geoembz.sources.tables.columns`."""
        ...

    @property
    def footer(self) -> Mapping[bytes, bytes] | None:
        """Key-value metadata of the first file."""
        ...

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each row group; empty where they are not known."""
        ...

    def row_bytes(self, columns: Sequence[str]) -> float:
        """Return the mean size of a row of some columns in memory, as far as footers tell it."""
        ...

    def scan(
        self, columns: Sequence[str], batch_rows: int, group: int | None = None
    ) -> "Iterator[pa.RecordBatch]":
        """Read columns of everything, or of one row group, in order and in bounded memory."""
        ...


def place_of(path: str) -> AbstractContextManager[str | IO[bytes]]:
    """Return what pyarrow opens: a path, or an open remote file."""
    return open_remote(path) if "://" in path else nullcontext(path)


@contextmanager
def explain(path: str) -> Iterator[None]:
    """Say which file it is where pyarrow cannot read one: it has its own errors, and Python's.

    Raises
    ------
    SourceError
        In place of whatever pyarrow raises.
    """
    try:
        yield
    except GeoembzError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{display_name(path)}: no such file; expected Parquet or CSV") from error
    except (pa.ArrowException, OSError, ValueError, RuntimeError, KeyError) as error:
        raise SourceError(
            f"{display_name(path)}: cannot be read ({error}); the file is empty, truncated, "
            "damaged or of another format: fetch it again"
        ) from error


def one_schema(paths: Sequence[str], schemas: "Sequence[pa.Schema]") -> "pa.Schema":
    """Return the schema of all files: columns by name, in the first one's order.

    Raises
    ------
    SourceError
        If a file has other columns than the first, or one of a type that does not go together
        with the first one's.
    """
    first = schemas[0]
    for path, schema in zip(paths, schemas, strict=True):
        differing = sorted(set(first.names) ^ set(schema.names))
        try:
            unified = None if differing else unify_schemas([first, schema])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            unified = None
            differing = [
                f"{field.name!r} is {schema.field(field.name).type}, not {field.type}"
                for field in first
                if not schema.field(field.name).type.equals(field.type)
            ]
        if unified is None:
            raise SourceError(
                f"{display_name(path)}: other columns than {display_name(paths[0])} "
                f"({'; '.join(differing[:4])}); expected files of one product and model; convert "
                "them one by one"
            )
    return unify_schemas(schemas)


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
    schema: "pa.Schema"
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
    ) -> "Iterator[pa.RecordBatch]":
        """Read columns; see `TableFiles`. `batch_rows` is a limit."""
        del group
        options = csv.ConvertOptions(
            include_columns=list(columns),
            column_types={name: self.schema.field(name).type for name in columns},
        )
        for path in self.paths:
            with explain(path), _open(path, options) as reader:
                for batch in reader:
                    for start in range(0, len(batch), batch_rows):
                        yield batch.slice(start, batch_rows)


@contextmanager
def _open(
    path: str, options: "csv.ConvertOptions | None" = None
) -> "Iterator[csv.CSVStreamingReader]":
    blocks = csv.ReadOptions(block_size=_BLOCK_BYTES)
    with place_of(path) as place, csv.open_csv(place, blocks, convert_options=options) as reader:
        yield reader


def _types(path: str) -> "pa.Schema":
    """Return a file's columns, of types that all rows fit into.

    pyarrow takes the types of the first block for those of all. A column that is empty or whole
    there may go on otherwise, so such columns are read to the end, and widened until they fit.
    """
    with explain(path):
        with _open(path) as reader:
            found = plain_schema(display_name(path), reader.schema)
            found = _with_large_numbers(path, found)
        unsure = [field.name for field in found if not _holds_fractions_or_text(field.type)]
        while (wrong := _misfit(path, found, unsure)) is not None:
            kind = found.field(wrong).type
            wider = _wider(kind)
            if kind == wider:
                break
            found = found.set(wrong, pa.field(found.names[wrong], wider))
    return found


def _wider(kind: "pa.DataType") -> "pa.DataType":
    """Return what a column becomes when a later row does not fit."""
    wider = {pa.null(): pa.int64(), pa.int64(): pa.float64(), pa.uint64(): pa.float64()}
    return wider.get(kind, pa.string())


def _with_large_numbers(path: str, found: "pa.Schema") -> "pa.Schema":
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


def _misfit(path: str, found: "pa.Schema", unsure: Sequence[str]) -> int | None:
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


def _holds_fractions_or_text(kind: "pa.DataType") -> bool:
    types = pa.types
    return bool(types.is_floating(kind) or types.is_string(kind) or types.is_binary(kind))
