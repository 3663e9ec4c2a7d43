"""Read Parquet in batches of bounded size, whatever the columns hold.

Arrow's reader counts rows. A row of text may be 5 MB, and dictionary pages let a file of kilobytes
decode to gigabytes: so rows are counted after looking at how large they will be in memory.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

TEXT_BYTES = 16 * 2**20
"""Decoded size of the texts and bytes of a batch, about."""

NUMBER_BYTES = 128 * 2**20
"""Largest size of a batch's numbers; vectors are 32 MB of them, see `geoembz.sources.tables`."""

_PROBED_ROWS = 16
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}

type OpenFile = Callable[[Sequence[str]], AbstractContextManager[parquet.ParquetFile]]
"""Opens the file anew, with some columns as dictionaries."""


@dataclass(frozen=True)
class _Leaf:
    """What a footer says about one column of numbers or texts, over some row groups.

    Parameters
    ----------
    path
        Of the column; several parts where it is nested.
    rows, values
        Rows, and numbers or texts in them.
    size
        Bytes of its pages, decompressed; no text is longer.
    width
        Bytes of one number; None for texts.
    is_repeated
        Whether texts are stored once and repeated at will.
    """

    path: str
    rows: int
    values: int
    size: int
    width: int | None
    is_repeated: bool

    @property
    def row_bytes(self) -> float:
        """Mean size of a row in memory; of repeated texts too small."""
        decoded = 4 * self.values + self.size if self.width is None else self.width * self.values
        return decoded / max(self.rows, 1)

    @property
    def is_nested(self) -> bool:
        """Whether it lies in a list or a struct."""
        return "." in self.path


def read_bounded(
    open_file: OpenFile, groups: Sequence[int], columns: Sequence[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield columns of row groups in order, as few rows at once as their size asks for.

    Parameters
    ----------
    open_file
        See `OpenFile`.
    groups
        Numbers of the row groups, ascending.
    columns
        Top-level names.
    batch_rows
        Most rows of a batch.
    """
    with open_file([]) as file:
        leaves = _leaves(file, groups, columns)
        risky = [x for x in leaves if x.is_repeated and batch_rows * x.size > TEXT_BYTES]
        nested = sorted({leaf.path.partition(".")[0] for leaf in risky if leaf.is_nested})
        probed = _probed_bytes(file, groups, nested) if nested else 0.0
        rows = _fitting_rows(leaves, probed, batch_rows)
        flat = [leaf.path for leaf in risky if not leaf.is_nested]
        if not flat:
            yield from file.iter_batches(rows, list(groups), list(columns))
            return
    with open_file(flat) as file:
        for batch in file.iter_batches(rows, list(groups), list(columns)):
            yield from _cut(batch, flat)


def column_bytes(file: parquet.ParquetFile) -> dict[str, int]:
    """Return the size of each top-level column in memory; of repeated texts too small."""
    found: dict[str, int] = {}
    names = set(file.schema_arrow.names)
    for leaf in _leaves(file, range(file.metadata.num_row_groups), names):
        name = leaf.path if leaf.path in names else leaf.path.partition(".")[0]
        found[name] = found.get(name, 0) + int(leaf.row_bytes * leaf.rows)
    return found


def _fitting_rows(leaves: Sequence[_Leaf], probed: float, batch_rows: int) -> int:
    """Return how many rows to read at once; `probed` is the size of a row's nested texts."""
    text = probed + sum(leaf.row_bytes for leaf in leaves if leaf.width is None)
    numbers = sum(leaf.row_bytes for leaf in leaves if leaf.width is not None)
    share = max(text / TEXT_BYTES, numbers / NUMBER_BYTES)
    return max(1, min(batch_rows, int(1 / share))) if share else batch_rows


def _leaves(
    file: parquet.ParquetFile, groups: Sequence[int], columns: Collection[str]
) -> list[_Leaf]:
    """Return the columns of numbers and texts behind top-level ones."""
    metadata, found = file.metadata, []
    wanted = set(columns)
    for index in range(metadata.num_columns):
        described = metadata.schema.column(index)
        if described.path not in wanted and described.path.partition(".")[0] not in wanted:
            continue
        parts = [metadata.row_group(group).column(index) for group in groups]
        kind = described.physical_type
        width = described.length if kind == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS.get(kind)
        encodings = {encoding for part in parts for encoding in part.encodings}
        found.append(
            _Leaf(
                path=described.path,
                rows=sum(metadata.row_group(group).num_rows for group in groups),
                values=sum(part.num_values for part in parts),
                size=sum(part.total_uncompressed_size for part in parts),
                width=width,
                is_repeated=width is None
                and any("DICTIONARY" in name or name == "DELTA_BYTE_ARRAY" for name in encodings),
            )
        )
    return found


def _probed_bytes(
    file: parquet.ParquetFile, groups: Sequence[int], columns: Sequence[str]
) -> float:
    """Return the mean size of the first rows of columns that no footer tells the size of."""
    batch = next(file.iter_batches(_PROBED_ROWS, list(groups[:1]), list(columns)), None)
    return batch.nbytes / len(batch) if batch is not None and len(batch) else 0.0


def _cut(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield a batch in parts whose dictionaries, written out, are of bounded size."""
    sizes = np.zeros(len(batch))
    for name in columns:
        array = batch.column(name)
        if pa.types.is_dictionary(array.type):
            lengths = compute.binary_length(array.dictionary.cast(pa.large_binary()))
            sizes += np.nan_to_num(
                lengths.take(array.indices).cast(pa.float64()).to_numpy(zero_copy_only=False)
            )
    parts = np.cumsum(sizes) // TEXT_BYTES
    edges = np.flatnonzero(np.diff(parts)) + 1
    for start, stop in zip([0, *edges], [*edges, len(batch)], strict=True):
        if stop > start:
            yield batch.slice(start, stop - start)
