"""Parquet files, alone or the parts of one data set, as pyarrow and DuckDB see them.

They are read in batches of bounded size, whatever the columns hold. Arrow's reader counts rows; a
row of text may be 5 MB, and dictionary pages let a file of kilobytes decode to gigabytes: so rows
are counted after looking at how large they will be in memory.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from urllib.parse import unquote

import numpy as np

from geoembz._geo import same_crs
from geoembz._geo.geoparquet import declarations
from geoembz._objects.identity import display_name, split_query
from geoembz._util.arrow import compute, pa, parquet
from geoembz.errors import SourceError
from geoembz.sources.tables.columns import as_wkb, native_columns, plain_batch, plain_schema
from geoembz.sources.tables.files import explain, one_schema, place_of
from geoembz.sources.tables.places import geo_footer

_BUFFER_BYTES = 2**20
"""Read ahead in a column. Without it Parquet's reader takes a whole row group into memory."""

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
TEXT_BYTES = 16 * 2**20
"""Decoded size of the texts and bytes of a batch, about."""

NUMBER_BYTES = 128 * 2**20
"""Largest size of a batch's numbers; vectors are 32 MB of them, see `geoembz.sources.tables`."""

_PROBED_ROWS = 16
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
type OpenFile = Callable[[Sequence[str]], AbstractContextManager[parquet.ParquetFile]]
"""Opens the file anew, with some columns as dictionaries."""


@dataclass(frozen=True)
class _Group:
    """A row group: its file, its number in it, and its rows."""

    path: str
    index: int
    rows: int


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files.

    Parameters
    ----------
    paths
        In the order of the rows; local, or URLs.
    schema
        Of all files; see `one_schema`. Parts of their paths such as ``year=2024`` are columns.
    footer
        Of the first file with rows.
    groups
        Every row group, in order.
    folders
        Values that a file's path says, by column, for each file.
    native
        Columns of native geometries with their encodings, for each file; `schema` has them as WKB.
    sizes
        Bytes of each column in memory, as far as the footers tell it.
    """

    paths: tuple[str, ...]
    schema: "pa.Schema"
    footer: Mapping[bytes, bytes] | None
    groups: tuple[_Group, ...]
    folders: Mapping[str, Mapping[str, int | str | None]]
    native: Mapping[str, Mapping[str, str]]
    sizes: Mapping[str, float]

    @classmethod
    def open(
        cls, paths: Sequence[str], *, crs: str | None = None, allow_empty: bool = False
    ) -> "ParquetFiles":
        """Read the footers; files without rows say nothing.

        Raises
        ------
        SourceError
            If a file is empty, truncated, or has other columns, another CRS (unless one is given)
            or another model than the first.
        """
        schemas, footers, groups, names = [], [], [], []
        sizes: Counter[str] = Counter()
        for path in paths:
            with explain(path), _open(path) as file:
                if not file.metadata.num_rows and not allow_empty:
                    continue
                names.append(path)
                footers.append(geo_footer(file, display_name(path)))
                schemas.append(_schema(path, file, footers[-1]))
                metadata = file.metadata
                numbers = range(metadata.num_row_groups)
                sizes.update(column_bytes(file))
                groups += [_Group(path, n, metadata.row_group(n).num_rows) for n in numbers]
        if not names:
            name = display_name(paths[0]) if paths else "table"
            raise SourceError(f"{name}: no rows; expected embeddings")
        schema = one_schema(names, schemas)
        for path, footer in zip(names, footers, strict=True):
            _check_declarations(path, names[0], footer, footers[0], ignore_crs=crs is not None)
        folders = _folder_values(names, schema.names)
        fields = [
            pa.field(name, _folder_type([values[name] for values in folders.values()]))
            for name in folders[names[0]]
        ]
        native = {
            path: native_columns(footer, schema)
            for path, footer in zip(names, footers, strict=True)
        }
        whole = pa.schema([*schema, *fields])
        return cls(tuple(names), whole, footers[0], tuple(groups), folders, native, sizes)

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each row group, over all files."""
        return [group.rows for group in self.groups]

    def row_bytes(self, columns: Sequence[str]) -> float:
        """Return the mean size of a row; see `TableFiles`."""
        return sum(self.sizes.get(name, 0) for name in columns) / max(sum(self.group_rows), 1)

    def scan(
        self, columns: Sequence[str], batch_rows: int, group: int | None = None
    ) -> "Iterator[pa.RecordBatch]":
        """Read columns; see `TableFiles`."""
        chosen = self.groups if group is None else (self.groups[group],)
        schema = pa.schema([self.schema.field(name) for name in columns])
        for path in dict.fromkeys(part.path for part in chosen):
            numbers = [part.index for part in chosen if part.path == path]
            values = self.folders[path]
            stored = [name for name in columns if name not in values] or self.schema.names[:1]
            with explain(path):
                for batch in read_bounded(partial(_open, path), numbers, stored, batch_rows):
                    batch = _with_wkb(path, batch, self.native[path])
                    yield plain_batch(_with_values(batch, values), schema)


def _schema(path: str, file: "parquet.ParquetFile", footer: Mapping[bytes, bytes]) -> "pa.Schema":
    """Return a file's columns with plain types, native geometries as WKB."""
    schema = plain_schema(display_name(path), file.schema_arrow)
    for name in native_columns(footer, schema):
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.binary()))
    return schema


def _with_wkb(path: str, batch: "pa.RecordBatch", native: Mapping[str, str]) -> "pa.RecordBatch":
    for name, encoding in native.items():
        if (index := batch.schema.get_field_index(name)) >= 0:
            where = f"{display_name(path)}, column {name!r}"
            wkb = as_wkb(where, batch.column(index), encoding)
            batch = batch.set_column(index, name, wkb)
    return batch


@contextmanager
def _open(path: str, dictionaries: Sequence[str] = ()) -> "Iterator[parquet.ParquetFile]":
    with (
        place_of(path) as place,
        parquet.ParquetFile(
            place,
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            read_dictionary=list(dictionaries) or None,
        ) as file,
    ):
        yield file


def _folder_values(
    paths: Sequence[str], columns: Sequence[str]
) -> dict[str, dict[str, int | str | None]]:
    """Return what the folders named ``key=value`` say, for each file; what files say goes first."""
    found: dict[str, dict[str, str | None]] = {}
    for path in paths:
        pairs = [part.partition("=") for part in PurePath(split_query(path)[0]).parts[:-1]]
        found[path] = {
            unquote(key): None if value == _NO_VALUE else unquote(value)
            for key, mark, value in pairs
            if mark and key and unquote(key) not in columns
        }
    keys = [key for key in found[paths[0]] if all(key in values for values in found.values())]
    is_whole = {key: all(_is_whole(values[key]) for values in found.values()) for key in keys}
    return {
        path: {key: _number_or_text(values[key], is_whole[key]) for key in keys}
        for path, values in found.items()
    }


def _number_or_text(value: str | None, is_whole: bool) -> int | str | None:
    return int(value) if is_whole and value is not None else value


def _is_whole(value: str | None) -> bool:
    return value is None or (value.isascii() and value.isdigit() and len(value) < 19)


def _folder_type(values: Sequence[int | str | None]) -> "pa.DataType":
    return pa.int64() if any(isinstance(value, int) for value in values) else pa.string()


def _with_values(
    batch: "pa.RecordBatch", values: Mapping[str, int | str | None]
) -> "pa.RecordBatch":
    for name, value in values.items():
        kind = _folder_type([value])
        batch = batch.append_column(name, pa.repeat(pa.scalar(value, kind), len(batch)))
    return batch


def _check_declarations(
    path: str,
    first: str,
    found: Mapping[bytes, bytes] | None,
    expected: Mapping[bytes, bytes] | None,
    *,
    ignore_crs: bool,
) -> None:
    expected_ones = declarations(expected)
    for what, theirs in declarations(found).items():
        ours = expected_ones[what]
        if theirs == ours or (what == "CRS" and ignore_crs):
            continue
        if what == "CRS" and theirs is not None and ours is not None and same_crs(theirs, ours):
            continue
        raise SourceError(
            f"{display_name(path)}: {what} {_short(theirs)}, but {display_name(first)}: "
            f"{what} {_short(ours)}; expected files of one CRS and model; convert "
            "them one by one"
        )


def _short(text: str | None) -> str:
    """Return a declaration as messages show it: PROJJSON is long."""
    return "undeclared" if text is None else text if len(text) <= 80 else f"{text[:79]}…"


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
) -> "Iterator[pa.RecordBatch]":
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


def column_bytes(file: "parquet.ParquetFile") -> dict[str, int]:
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
    file: "parquet.ParquetFile", groups: Sequence[int], columns: Collection[str]
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
    file: "parquet.ParquetFile", groups: Sequence[int], columns: Sequence[str]
) -> float:
    """Return the mean size of the first rows of columns that no footer tells the size of."""
    batch = next(file.iter_batches(_PROBED_ROWS, list(groups[:1]), list(columns)), None)
    return batch.nbytes / len(batch) if batch is not None and len(batch) else 0.0


def _cut(batch: "pa.RecordBatch", columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
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
