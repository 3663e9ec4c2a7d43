"""Open a table: recognise its product, find vector and places, read it in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz._geo.geoparquet import encodings, read_emb
from geoembz._objects.identity import display_name, split_query
from geoembz.errors import SourceError
from geoembz.sources.band_names import BandNames
from geoembz.sources.base import SourceInfo
from geoembz.sources.provenance import identify
from geoembz.sources.tables.base import Survey, TableBatch
from geoembz.sources.tables.choice import find_vector
from geoembz.sources.tables.csv_files import CsvFiles
from geoembz.sources.tables.files import TableFiles
from geoembz.sources.tables.parquet_files import ParquetFiles
from geoembz.sources.tables.places import Places, find_places
from geoembz.sources.tables.products import EARTH_ENGINE, EARTH_INDEX, PLAIN, Product, recognise
from geoembz.sources.tables.vectors import (
    check_numbers,
    check_unit_norm,
    is_list,
    list_length,
    list_vectors,
    value_type,
    wide_vectors,
)

_BATCH_BYTES = 32 * 2**20
"""Decoded size of a batch, about."""

_SMALL_BATCH_ROWS = 65_536

_FIRST_ROWS = 64


def open_table(
    path: str | Path | Sequence[str | Path], *, crs: str | None = None, vector: str | None = None
) -> "Table":
    """Open a table of embeddings.

    The vector is a column of lists or a run of numbered columns, see `find_vector`; the place is a
    GeoParquet geometry, a box, or two columns.

    Parameters
    ----------
    path
        Parquet or CSV, local or a URL; or several files with the same columns, in the order of
        their rows.
    crs
        Replaces the declared CRS.
    vector
        Column of the vector, or what its numbered columns begin with; needed where there is a
        choice.

    Raises
    ------
    SourceError
        If a file is missing or damaged, or vector or place are not found.
    InvalidConfigError
        If the CRS is needed and unknown, or there is no column `vector`.
    """
    paths = [str(part) for part in ([path] if isinstance(path, str | Path) else path)]
    files = open_files(paths, crs=crs)
    name = display_name(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    product, columns = recognise_vector(name, files, vector)
    places = find_places(name, files.schema, files.footer, crs)
    dimension = read_dimension(name, files, columns)
    info = tuple(map(identify, paths))
    return Table(name, files, product, columns, places, dimension, info)


def recognise_vector(
    name: str, files: TableFiles, wanted: str | None
) -> tuple[Product, tuple[str, ...]]:
    """Return what a table is, and the columns of its vector; see `find_vector`.

    Raises
    ------
    SourceError
        If there is no vector, it holds no real numbers, or there are several.
    InvalidConfigError
        If the one that is wanted is not there.
    """
    schema = files.schema
    product = recognise(schema.names)
    if product is EARTH_INDEX and b"emb" not in (files.footer or {}):
        product = PLAIN
    columns = find_vector(
        name, schema, product, wanted=wanted, places=encodings(files.footer).keys()
    )
    if wanted is not None and not set(columns) & set(product.columns):
        product = PLAIN  # its law and its model are those of another column
    check_numbers(name, schema, columns, law=product is EARTH_ENGINE)
    return product, columns


@dataclass(frozen=True)
class Table:
    """An open table; see `TableSource`."""

    name: str
    files: TableFiles
    product: Product
    vector: tuple[str, ...]
    places: Places
    dimension: int
    info: tuple[SourceInfo, ...]

    @property
    def crs(self) -> str:
        """CRS of the places."""
        return self.places.crs

    @property
    def model(self) -> str | None:
        """URI of the model: from the footer ``emb``, else the product's."""
        model = read_emb(self.files.footer).get("model")
        source = model.get("source") if isinstance(model, dict) else None
        parts = urlsplit(str(source or ""))
        return str(source) if parts.scheme and (parts.netloc or parts.path) else self.product.model

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers."""
        kinds = {value_type(self.files.schema.field(name).type) for name in self.vector}
        return np.result_type(*map(_number_type, kinds))

    @property
    def band_names(self) -> BandNames:
        """Names of the numbered columns; a list has none."""
        return self.vector if len(self.vector) > 1 else (None,) * self.dimension

    @property
    def geometry(self) -> str | None:
        """Name of the WKB column."""
        return self.places.columns[0] if self.places.kind == "wkb" else None

    @property
    def axes(self) -> tuple[str, str]:
        """Names of the columns of x and y."""
        columns = self.places.columns
        return (columns[0], columns[1]) if self.places.kind == "xy" else ("x", "y")

    @property
    def schema(self) -> pa.Schema:
        """Columns of a batch."""
        hidden = {*self.vector}
        if self.places.kind in {"xy", "point"}:
            hidden |= set(self.places.columns)
        return pa.schema([field for field in self.files.schema if field.name not in hidden])

    @property
    def other_bytes(self) -> float:
        """Size of a row of `schema`, about."""
        return self.files.row_bytes(self.schema.names)

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each row group."""
        return self.files.group_rows

    def survey(self) -> Survey:
        """Read the places and the scalar columns; see `TableSource.survey`."""
        scalars = [field.name for field in self.schema if _is_scalar(field.type)]
        columns = list(dict.fromkeys([*self.places.columns, *scalars]))
        incomplete: set[str] = set()
        sizes: list[float] = []
        centres = []
        for batch in self.files.scan(columns, _SMALL_BATCH_ROWS):
            bounds = self.places.bounds(self.name, batch)
            centres.append(self.places.centres(bounds))
            known = bounds[np.isfinite(bounds).all(axis=1)]
            if len(known) and not sizes:
                sizes = np.median(known[:, 2:] - known[:, :2], axis=0).tolist()
            incomplete |= {name for name in scalars if batch.column(name).null_count}
        places = np.concatenate(centres) if centres else np.empty((0, 2))
        if not len(places):
            raise SourceError(f"{self.name}: no rows; expected embeddings")
        width, height = sizes or (0.0, 0.0)
        return Survey(places, frozenset(scalars) - incomplete, (width, height))

    def batches(self) -> Iterator[TableBatch]:
        """Read everything; see `TableSource.batches`."""
        start, kept = 0, self.schema.names
        columns = list(dict.fromkeys([*self.vector, *self.places.columns, *kept]))
        for batch in self.files.scan(columns, self._batch_rows):
            vectors = self._vectors(batch, start)
            if not start and self.product.unit_norm:
                check_unit_norm(self.name, vectors)
            bounds = self.places.bounds(self.name, batch)
            yield TableBatch(start, vectors, self.places.centres(bounds), batch.select(kept))
            start += len(batch)

    def head(self, group: int, count: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Read the first rows of a row group; see `TableSource.head`."""
        start = first = sum(self.group_rows[:group])
        for batch in self.files.scan(self.vector, min(self._batch_rows, count), group):
            vectors = self._vectors(batch, start)
            yield start, vectors
            start += len(batch)
            if start - first >= count:
                return

    @property
    def _batch_rows(self) -> int:
        rows = _BATCH_BYTES // (4 * self.dimension)
        return max(256, 1 << (rows.bit_length() - 1))

    def _vectors(self, batch: pa.RecordBatch, start: int) -> NDArray[Any]:
        return row_vectors(self.name, batch, self.vector, self.product, self.dimension, start)


def row_vectors(
    name: str,
    batch: pa.RecordBatch,
    columns: Sequence[str],
    product: Product,
    dimension: int,
    start: int,
) -> NDArray[Any]:
    """Return the vectors of a batch, shape ``(n, dimension)``; missing ones are NaN.

    Parameters
    ----------
    name
        The table, for messages.
    batch
        Rows; `columns` are among its columns.
    columns, product
        As `recognise_vector` found them.
    dimension
        Length of every vector.
    start
        Number of the first row, for messages.

    Raises
    ------
    SourceError
        If a vector has another length.
    """
    if len(columns) > 1:
        return wide_vectors(batch, columns, aef=product is EARTH_ENGINE)
    return list_vectors(
        f"{name}, column {columns[0]!r}", batch.column(columns[0]), dimension, start
    )


def open_files(
    paths: Sequence[str], *, crs: str | None = None, allow_empty: bool = False
) -> TableFiles:
    """Open files of one kind, Parquet or CSV; see `ParquetFiles` and `CsvFiles`.

    Raises
    ------
    SourceError
        If one cannot be read, or they do not belong together.
    """
    is_csv = [split_query(path)[0].lower().endswith(".csv") for path in paths]
    if any(is_csv) and not all(is_csv):
        raise SourceError(
            f"{display_name(paths[0])} and {len(paths) - 1} more: CSV and Parquet together; "
            "expected files of one product and model; convert them one by one"
        )
    if any(is_csv):
        return CsvFiles.open(paths)
    return ParquetFiles.open(paths, crs=crs, allow_empty=allow_empty)


def read_dimension(name: str, files: TableFiles, vector: Sequence[str]) -> int:
    """Return the length of a table's vectors; see `row_vectors`.

    Raises
    ------
    SourceError
        If no row holds a vector.
    """
    if len(vector) > 1:
        return len(vector)
    kind = files.schema.field(vector[0]).type
    if pa.types.is_fixed_size_list(kind) and not is_list(kind.value_type):
        return int(kind.list_size)
    for batch in files.scan(vector, _FIRST_ROWS):
        length = list_length(batch.column(0))
        if length:
            return length
    raise SourceError(f"{name}: column {vector[0]!r} holds no vector; expected embeddings")


def _number_type(kind: pa.DataType) -> np.dtype[np.generic]:
    exact = pa.types.is_decimal(kind)
    return np.dtype(np.float64 if exact else kind.to_pandas_dtype())


def _is_scalar(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_timestamp(kind)
        or types.is_date(kind)
    )
