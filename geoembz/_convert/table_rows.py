"""The rows of a table between reading and writing: an external sort into the order of the store.

A table's rows come in the file's order and leave along a curve; neither need fit into memory. So
they are appended to one file per shard, and read back and put in order shard by shard.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.geoparquet import free_name
from geoembz._geo.wkb import point_column
from geoembz._objects.tree import local_faults
from geoembz._util.arrow import pa
from geoembz.encoding._quantization import Codes
from geoembz.errors import SourceError
from geoembz.store.layout import Column

CODES, VALID, X, Y = "codes", "valid", "x", "y"
GEOMETRY = "geometry"

_SAFE = re.compile(r"(?!zarr\.json$)[A-Za-z0-9](?:[A-Za-z0-9 _.:-]{0,198}[A-Za-z0-9_.:-])?")
"""Names that files and objects may have; ``zarr.json`` is the group's own."""

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@dataclass(frozen=True)
class RowFormat:
    """Which columns become arrays and which stay in a file, and how codes travel.

    Parameters
    ----------
    schema
        The table's columns, without vectors and axes.
    numeric
        Those that become arrays.
    code_shape, code_dtype
        Length and type of a code vector.
    geometry
        Name of the WKB column among the others; None where places are x and y.
    """

    schema: "pa.Schema"
    numeric: tuple[Column, ...]
    code_length: int
    code_dtype: np.dtype[np.generic]
    geometry: str | None

    @property
    def others(self) -> tuple[str, ...]:
        """Columns that stay in a file."""
        numeric = {column.name for column in self.numeric}
        return tuple(name for name in self.schema.names if name not in numeric)

    @property
    def spilled(self) -> "pa.Schema":
        """Columns of a row on its way: the table's by number, so that no name meets ours."""
        ours = [
            (CODES, pa.binary(self.code_length * self.code_dtype.itemsize)),
            (VALID, pa.bool_()),
            (X, pa.float64()),
            (Y, pa.float64()),
        ]
        columns = [field.with_name(_key(n)) for n, field in enumerate(self.schema)]
        return pa.schema([*columns, *(pa.field(name, kind) for name, kind in ours)])

    def pack(
        self,
        columns: "pa.RecordBatch",
        places: NDArray[np.float64],
        codes: Codes,
        valid: NDArray[np.bool_],
    ) -> "pa.RecordBatch":
        """Return rows to spill; `codes` has shape ``(n, code_length)``."""
        kind = self.spilled.field(CODES).type
        buffer = pa.py_buffer(np.ascontiguousarray(codes).tobytes())
        packed = pa.FixedSizeBinaryArray.from_buffers(kind, len(codes), [None, buffer])
        x, y = (pa.array(np.ascontiguousarray(places[:, axis])) for axis in (0, 1))
        arrays = [*columns.columns, packed, pa.array(valid), x, y]
        return pa.RecordBatch.from_arrays(arrays, schema=self.spilled)

    def codes(self, rows: "pa.Table") -> Codes:
        """Return the codes ``(n, code_length)`` of spilled rows."""
        array = rows[CODES].combine_chunks()
        data = np.frombuffer(array.buffers()[1], self.code_dtype)
        start = array.offset * self.code_length
        return data[start : start + len(array) * self.code_length].reshape(-1, self.code_length)

    def arrays(self, rows: "pa.Table") -> dict[str, NDArray[Any]]:
        """Return the numeric columns of spilled rows."""
        return {
            column.name: _numbers(rows[self._key_of(column.name)], np.dtype(column.dtype))
            for column in self.numeric
        }

    def file_rows(self, rows: "pa.Table", places: NDArray[np.float64]) -> "pa.Table | None":
        """Return the columns that stay in a file, with a geometry; None where there are none."""
        names = self.others
        if not names:
            return None
        table = rows.select([self._key_of(name) for name in names]).rename_columns(list(names))
        if self.geometry is None:
            points = point_column(places[:, 0], places[:, 1])
            table = table.append_column(free_name(GEOMETRY, self.schema.names), points)
        return table

    def _key_of(self, name: str) -> str:
        return _key(self.schema.get_field_index(name))


def _key(number: int) -> str:
    return f"{number}"


def numeric_columns(
    schema: "pa.Schema", complete: frozenset[str], units: Mapping[str, str] = _UNITS
) -> tuple[Column, ...]:
    """Return the columns that become arrays: numbers and times without a missing value.

    Columns with a missing value stay in the file, which tells it from NaN, and so do those whose
    names are no names of objects.
    """
    found = []
    for field in schema:
        dtype, attributes = _array_type(field.type, units)
        if dtype is not None and field.name in complete and _SAFE.fullmatch(field.name):
            found.append(Column(field.name, dtype.str, attributes))
    return tuple(found)


def _array_type(
    kind: "pa.DataType", units: Mapping[str, str]
) -> tuple[np.dtype[Any] | None, dict[str, Any]]:
    types = pa.types
    if types.is_timestamp(kind):
        zone = {} if kind.tz is None else {"time_zone": kind.tz}
        since = {"units": f"{units[kind.unit]} since 1970-01-01", "calendar": "standard"}
        return np.dtype(np.int64), {**since, **zone}
    if types.is_date32(kind):
        return np.dtype(np.int32), {"units": "days since 1970-01-01", "calendar": "standard"}
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return np.dtype(kind.to_pandas_dtype()), {}
    return None, {}


def _numbers(column: "pa.ChunkedArray", dtype: np.dtype[Any]) -> NDArray[Any]:
    array = column.combine_chunks()
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    elif pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return values


ROW = "row"
"""Column with a row's number in the store; the table's own columns have numbers for names."""

LARGEST_SHARD_BYTES = 2**28
"""Of a shard's rows on their way: all of them are put in order, and written, in memory."""

_LENGTH = struct.Struct("<q")


@dataclass(frozen=True)
class Spill:
    """Rows of a table, sorted into files by shard.

    Parameters
    ----------
    folder
        Where the files are.
    schema
        Columns of the rows, without their numbers.
    shard
        Rows of a shard.
    row_bytes
        Size of what every row has, codes and place; not held against `LARGEST_SHARD_BYTES`.
    """

    folder: Path
    schema: "pa.Schema"
    shard: int
    row_bytes: int = 0

    def append(
        self, rows: NDArray[np.int64], batch: "pa.RecordBatch", skip: frozenset[int]
    ) -> None:
        """Take in rows.

        Parameters
        ----------
        rows
            Number of each row in the store.
        batch
            The rows.
        skip
            First rows of shards that are not wanted.

        Raises
        ------
        SourceError
            If the rows of a shard are too large to be put in order.
        """
        order = np.argsort(rows, kind="stable")
        shards = rows[order] // self.shard
        for part in np.split(order, np.flatnonzero(np.diff(shards)) + 1):
            if not len(part):
                continue
            start = int(rows[part[0]]) // self.shard * self.shard
            if start in skip:
                continue
            taken = batch if len(part) == 1 == len(batch) else batch.take(pa.array(part))
            numbered = taken.append_column(ROW, pa.array(rows[part]))
            content = numbered.serialize()
            with local_faults(str(self.folder)), self._path(start).open("ab") as file:
                file.write(_LENGTH.pack(content.size))
                file.write(content)
                self._check_size(start, file.tell())

    def read(self, start: int) -> "pa.Table":
        """Return the rows of the shard that begins at `start`, in order, and forget them."""
        numbered = self.schema.append(pa.field(ROW, pa.int64()))
        table = pa.Table.from_batches(self._batches(start, numbered), numbered)
        order = np.argsort(np.asarray(table[ROW]))
        ordered = table.take(pa.array(order)).drop_columns([ROW]).combine_chunks()
        self._path(start).unlink()
        return ordered

    def _check_size(self, start: int, size: int) -> None:
        if size - self.row_bytes * self.shard <= LARGEST_SHARD_BYTES:
            return
        raise SourceError(
            f"rows {start} to {start + self.shard - 1} of the store: their columns beside the "
            f"vector take more than {LARGEST_SHARD_BYTES // 2**20} MB, and a shard is put in order "
            "in memory; expected less: leave large columns out, or make shards of fewer rows with "
            "--chunk and --shard"
        )

    def _batches(self, start: int, schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        with self._path(start).open("rb") as file:
            while header := file.read(_LENGTH.size):
                content = pa.py_buffer(file.read(_LENGTH.unpack(header)[0]))
                yield pa.ipc.read_record_batch(content, schema)

    def _path(self, start: int) -> Path:
        return self.folder / f"{start}.rows"
