"""The files of a table: one schema over all of them, read as streams of record batches."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO, Protocol

import pyarrow as pa

from geoembz._objects.identity import display_name
from geoembz._objects.reading import open_remote
from geoembz.errors import GeoembzError, SourceError
from geoembz.sources.tables.columns import unified_schema


class TableFiles(Protocol):
    """Files of one schema, one after the other."""

    @property
    def schema(self) -> pa.Schema:
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
    ) -> Iterator[pa.RecordBatch]:
        """Read columns of everything, or of one row group, in order and in bounded memory."""
        ...


def place_of(path: str) -> AbstractContextManager[str | IO[bytes]]:
    """Return what pyarrow opens: a path, or an open remote file."""
    return open_remote(path) if "://" in path else nullcontext(path)


@contextmanager
def explained(path: str) -> Iterator[None]:
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


def one_schema(paths: Sequence[str], schemas: Sequence[pa.Schema]) -> pa.Schema:
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
            unified = None if differing else unified_schema([first, schema])
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
    return unified_schema(schemas)
