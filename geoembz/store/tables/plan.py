"""What a table store will be: its rows, how they are cut, and the arrays beside the vectors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geoembz._geo.grid import Window
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError

CHUNK_BYTES = 2**19
"""Largest chunk of codes chosen by default."""

SHARD_BYTES = 32 * 2**20
"""Largest shard of codes chosen by default."""

MOST_CHUNK_ROWS, MOST_SHARD_ROWS = 8192, 131_072
"""Rows have other columns too: these bound what one task holds of them."""

OTHER_BYTES = 64 * 2**20
"""Size of the other columns of a default shard, which one task holds in memory."""


@dataclass(frozen=True)
class Column:
    """A numeric column that becomes an array.

    Parameters
    ----------
    name
        Of the column and of the array.
    dtype
        Of the array.
    attributes
        CF attributes, such as the units of a time.
    """

    name: str
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TablePlan:
    """Enough to write a store's shards on any machine and its metadata at the end.

    Parameters
    ----------
    encoding
        The fitted encoding.
    n_rows
        Rows of the table.
    chunk, shard
        Rows of a chunk and of a shard, a multiple of it.
    columns
        Numeric columns.
    """

    encoding: Encoding
    n_rows: int
    chunk: int
    shard: int
    columns: tuple[Column, ...] = ()

    @property
    def has_mask(self) -> bool:
        """Whether validity is an array of its own."""
        return self.encoding.nodata is None

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n_rows // self.chunk)

    def shards(self) -> Iterator[Window]:
        """Return the rows of all shards, as windows one column wide."""
        for start in range(0, self.n_rows, self.shard):
            yield Window(start, 0, min(self.shard, self.n_rows - start), 1)


def choose_rows(
    n_rows: int,
    bytes_per_vector: int,
    *,
    other_bytes: float = 0.0,
    chunk: int | None = None,
    shard: int | None = None,
) -> tuple[int, int]:
    """Choose the rows of a chunk and of a shard.

    Parameters
    ----------
    n_rows
        Rows of the table.
    bytes_per_vector
        Size of one code vector.
    other_bytes
        Size of a row's other columns, about.
    chunk, shard
        What the user asks for.

    Raises
    ------
    InvalidConfigError
        If a number is not positive, or the shard is no multiple of the chunk.

    Examples
    --------
    >>> choose_rows(1_000_000, 64)
    (8192, 131072)
    >>> choose_rows(2_880, 64)
    (2880, 2880)
    >>> choose_rows(1_000_000, 64, other_bytes=1e6)
    (64, 64)
    """
    light = max(1, int(OTHER_BYTES / max(other_bytes, 1.0)))
    rows = chunk if chunk is not None else _power_of_two(CHUNK_BYTES // bytes_per_vector)
    if rows < 1:
        raise InvalidConfigError(f"chunk {chunk}; expected 1 row or more")
    rows = min(rows, n_rows if chunk is None else rows)
    if chunk is None:
        rows = min(rows, MOST_CHUNK_ROWS, _power_of_two(light))
    if shard is None:
        most = min(SHARD_BYTES // bytes_per_vector, MOST_SHARD_ROWS, light)
        whole = -(-n_rows // rows) * rows
        return rows, min(max(most // rows, 1) * rows, whole)
    if shard < rows or shard % rows:
        raise InvalidConfigError(f"shard {shard}; expected a multiple of the chunk, {rows} rows")
    return rows, shard


def _power_of_two(limit: int) -> int:
    return max(1, int(2 ** np.floor(np.log2(max(limit, 1)))))
