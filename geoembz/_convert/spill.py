"""Rows on their way to another order: appended to one file per shard, read back shard by shard.

A table's rows come in the file's order and leave along a curve; neither need fit into memory.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz._objects.tree import local_faults
from geoembz.errors import SourceError

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
    schema: pa.Schema
    shard: int
    row_bytes: int = 0

    def append(self, rows: NDArray[np.int64], batch: pa.RecordBatch, skip: frozenset[int]) -> None:
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

    def read(self, start: int) -> pa.Table:
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

    def _batches(self, start: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self._path(start).open("rb") as file:
            while header := file.read(_LENGTH.size):
                content = pa.py_buffer(file.read(_LENGTH.unpack(header)[0]))
                yield pa.ipc.read_record_batch(content, schema)

    def _path(self, start: int) -> Path:
        return self.folder / f"{start}.rows"
