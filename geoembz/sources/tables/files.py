"""Parquet and CSV files as streams of record batches, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, Protocol

import pyarrow as pa
from pyarrow import csv, parquet

from geoembz.errors import SourceError
from geoembz.geography import same_crs
from geoembz.geoparquet import declarations
from geoembz.sources.identity import display_name
from geoembz.sources.remote import open_remote

_BUFFER_BYTES = 2**20
"""Read ahead in a column. Without it Parquet's reader takes a whole row group into memory."""

_CSV_BLOCK_BYTES = 16 * 2**20
"""A block must hold a whole row; rows of 4,000 numbers are 80 kB."""


class TableFiles(Protocol):
    """Files of one schema, one after the other."""

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        ...

    @property
    def footer(self) -> Mapping[bytes, bytes] | None:
        """Key-value metadata of the first file."""
        ...

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each row group; empty where they are not known."""
        ...

    def scan(
        self, columns: Sequence[str], batch_rows: int, group: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of everything, or of one row group, in order."""
        ...


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files.

    Parameters
    ----------
    paths
        In the order of the rows; local, or URLs.
    schema, footer
        Of the first file.
    groups
        File, number in it and rows of each row group.
    """

    paths: tuple[str, ...]
    schema: pa.Schema
    footer: Mapping[bytes, bytes] | None
    groups: tuple[tuple[str, int, int], ...]

    @classmethod
    def open(cls, paths: Sequence[str]) -> "ParquetFiles":
        """Read the footers.

        Raises
        ------
        SourceError
            If a file is empty, truncated, or has other columns, another CRS or another model than
            the first.
        """
        schema, footer, groups = None, None, []
        for path in paths:
            with _open_parquet(path) as file:
                found = file.schema_arrow
                if schema is None:
                    schema, footer = found.remove_metadata(), found.metadata
                _same_columns(path, paths[0], found, schema)
                _same_declarations(path, paths[0], found.metadata, footer)
                metadata = file.metadata
                numbers = range(metadata.num_row_groups)
                groups += [(path, index, metadata.row_group(index).num_rows) for index in numbers]
        if schema is None or not sum(rows for _, _, rows in groups):
            name = display_name(paths[0]) if paths else "table"
            raise SourceError(f"{name}: no rows; expected embeddings")
        return cls(tuple(paths), schema, footer, tuple(groups))

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each row group, over all files."""
        return [rows for _, _, rows in self.groups]

    def scan(
        self, columns: Sequence[str], batch_rows: int, group: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read columns; see `TableFiles`."""
        chosen = self.groups if group is None else (self.groups[group],)
        for path in dict.fromkeys(path for path, _, _ in chosen):
            numbers = [index for owner, index, _ in chosen if owner == path]
            with _open_parquet(path) as file:
                try:
                    yield from file.iter_batches(batch_rows, numbers, list(columns))
                except (pa.ArrowException, OSError) as error:
                    raise _damaged(path, error) from error


@dataclass(frozen=True)
class CsvFiles:
    """CSV files with a header.

    Parameters
    ----------
    paths
        In the order of the rows.
    """

    paths: tuple[str, ...]
    schema: pa.Schema
    footer: Mapping[bytes, bytes] | None = None
    group_rows: Sequence[int] = ()

    @classmethod
    def open(cls, paths: Sequence[str]) -> "CsvFiles":
        """Read the first block of each file.

        Raises
        ------
        SourceError
            If a file is no CSV, or has other columns than the first.
        """
        schema = None
        for path in paths:
            try:
                blocks = csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
                with _place(path) as place, csv.open_csv(place, blocks) as reader:
                    found = reader.schema
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, error) from error
            schema = schema or _widened(found)
            _same_columns(path, paths[0], _widened(found), schema)
        if schema is None:
            raise SourceError("table: no file; expected CSV")
        return cls(tuple(paths), schema)

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
            try:
                blocks = csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
                with (
                    _place(path) as place,
                    csv.open_csv(place, blocks, convert_options=options) as reader,
                ):
                    for batch in reader:
                        for start in range(0, len(batch), batch_rows):
                            yield batch.slice(start, batch_rows)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, error) from error


@contextmanager
def _open_parquet(path: str) -> Iterator[parquet.ParquetFile]:
    with _place(path) as place:
        try:
            file = parquet.ParquetFile(place, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
        with file:
            yield file


def _place(path: str) -> AbstractContextManager[str | IO[bytes]]:
    """Return what pyarrow opens: a path, or an open remote file."""
    return open_remote(path) if "://" in path else nullcontext(path)


def _widened(schema: pa.Schema) -> pa.Schema:
    """Return a CSV's schema with numbers as float64 where a later block may hold fractions."""
    fields = [
        field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in schema
    ]
    return pa.schema(fields)


def _same_columns(path: str, first: str, found: pa.Schema, expected: pa.Schema) -> None:
    if not found.remove_metadata().equals(expected):
        differing = sorted(set(map(str, found)) ^ set(map(str, expected)))
        raise SourceError(
            f"{display_name(path)}: other columns than {display_name(first)} "
            f"({'; '.join(differing[:4])}); expected files of one product and model; convert them "
            "one by one"
        )


def _same_declarations(
    path: str,
    first: str,
    found: Mapping[bytes, bytes] | None,
    expected: Mapping[bytes, bytes] | None,
) -> None:
    ours = declarations(expected)
    for what, theirs in declarations(found).items():
        if not _agree(what, theirs, ours[what]):
            raise SourceError(
                f"{display_name(path)}: {what} {_short(theirs)}, but {display_name(first)}: "
                f"{what} {_short(ours[what])}; expected files of one CRS and model; convert "
                "them one by one"
            )


def _agree(what: str, one: str | None, other: str | None) -> bool:
    if what == "CRS" and one is not None and other is not None:
        return same_crs(one, other)
    return one == other


def _short(text: str | None) -> str:
    """Return a declaration as messages show it: PROJJSON is long."""
    return "undeclared" if text is None else text if len(text) <= 80 else f"{text[:79]}…"


def _damaged(path: str, error: Exception) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{display_name(path)}: no such file; expected Parquet or CSV")
    return SourceError(
        f"{display_name(path)}: cannot be read ({error}); the file is empty, truncated or of "
        "another format: fetch it again"
    )
