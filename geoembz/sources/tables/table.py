"""A table of embeddings: rows of vectors with places, read from front to back in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.geoparquet import encodings, read_emb
from geoembz._objects.identity import display_name, split_query
from geoembz._util.arrow import pa
from geoembz.errors import SourceError
from geoembz.sources.band_names import BandNames
from geoembz.sources.provenance import SourceInfo, identify
from geoembz.sources.tables.columns import is_list, value_type
from geoembz.sources.tables.files import CsvFiles, TableFiles
from geoembz.sources.tables.parquet_files import ParquetFiles
from geoembz.sources.tables.places import Places, find_places
from geoembz.sources.tables.products import (
    EARTH_ENGINE,
    EARTH_INDEX,
    PLAIN,
    Product,
    find_vector,
    recognise,
)
from geoembz.sources.tables.vectors import (
    check_numbers,
    check_unit_norm,
    list_length,
    list_vectors,
    wide_vectors,
)

_BATCH_BYTES = 32 * 2**20
"""Decoded size of a batch, about."""

_SMALL_BATCH_ROWS = 65_536
"""Rows at once where places are read and no vectors: a few MB."""

_FIRST_ROWS = 64
"""Rows looked at in each step for the length of the vectors: mostly the first tells."""


@dataclass(frozen=True)
class TableBatch:
    """Consecutive rows.

    Parameters
    ----------
    start
        Number of the first row in the whole table.
    vectors
        Real numbers of any type, shape ``(n, dimension)``; missing vectors are NaN.
    places
        x and y of each row's centre, float64, shape ``(n, 2)``; NaN where unknown.
    columns
        The other columns; see `TableSource.schema`.
    """

    start: int
    vectors: NDArray[Any]
    places: NDArray[np.float64]
    columns: "pa.RecordBatch"


@dataclass(frozen=True)
class Survey:
    """What one pass over a table's small columns tells.

    Parameters
    ----------
    places
        x and y of every row's centre, float64, shape ``(n_rows, 2)``.
    complete
        Names of the columns without a missing value.
    chip_size
        Median width and height of the footprints, in CRS units; zeros for points.
    """

    places: NDArray[np.float64]
    complete: frozenset[str]
    chip_size: tuple[float, float]

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return len(self.places)


def open_table(
    path: str | Path | Sequence[str | Path], *, crs: str | None = None, vector: str | None = None
) -> "TableSource":
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
    product, columns = _recognise_vector(name, files, vector)
    places = find_places(name, files.schema, files.footer, crs)
    dimension = _read_dimension(name, files, columns)
    info = tuple(map(identify, paths))
    return TableSource(name, files, product, columns, places, dimension, info)


def _recognise_vector(
    name: str, files: TableFiles, wanted: str | None
) -> tuple[Product, tuple[str, ...]]:
    """Return what a table is, and the columns of its vector; see `find_vector`."""
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
class TableSource:
    """An open table of embeddings.

    Parameters
    ----------
    name
        What to call the table in messages.
    files
        Those behind it.
    traits
        What it was recognised as.
    vector
        Columns of the vector: one of lists, or one per component.
    places
        How to find a row's place.
    dimension
        Length of one vector.
    info
        Of each file.
    """

    name: str
    files: TableFiles
    traits: Product
    vector: tuple[str, ...]
    places: Places
    dimension: int
    info: tuple[SourceInfo, ...]

    @property
    def crs(self) -> str:
        """CRS of the places, in a form that PROJ knows."""
        return self.places.crs

    @property
    def model(self) -> str | None:
        """URI of the model: from the footer ``emb``, else the product's."""
        model = read_emb(self.files.footer).get("model")
        source = model.get("source") if isinstance(model, dict) else None
        parts = urlsplit(str(source or ""))
        return str(source) if parts.scheme and (parts.netloc or parts.path) else self.traits.model

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers as the table stores them."""
        kinds = {value_type(self.files.schema.field(name).type) for name in self.vector}
        return np.result_type(*map(_number_type, kinds))

    @property
    def band_names(self) -> BandNames:
        """One name per component: numbered columns have them; None in a list."""
        return self.vector if len(self.vector) > 1 else (None,) * self.dimension

    @property
    def geometry(self) -> str | None:
        """Name of the WKB column; None for tables of x and y."""
        return self.places.columns[0] if self.places.kind == "wkb" else None

    @property
    def axes(self) -> tuple[str, str]:
        """Names that x and y had, where they were columns; else ``("x", "y")``."""
        columns = self.places.columns
        return (columns[0], columns[1]) if self.places.kind == "xy" else ("x", "y")

    @property
    def schema(self) -> "pa.Schema":
        """Columns of a batch: all but the vector and the columns that only hold the place."""
        hidden = {*self.vector}
        if self.places.kind in {"xy", "point"}:
            hidden |= set(self.places.columns)
        return pa.schema([field for field in self.files.schema if field.name not in hidden])

    @property
    def other_bytes(self) -> float:
        """Size of a row of `schema`, about; as far as it is known without reading the rows."""
        return self.files.row_bytes(self.schema.names)

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each part that can be begun without reading what stands before; may be empty."""
        return self.files.group_rows

    def survey(self) -> Survey:
        """Read the places and the scalar columns, once."""
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
        """Read everything, in order.

        Raises
        ------
        SourceError
            If a row's vector has another length, or the file is damaged.
        """
        start, kept = 0, self.schema.names
        columns = list(dict.fromkeys([*self.vector, *self.places.columns, *kept]))
        for batch in self.files.scan(columns, self._batch_rows):
            vectors = self._vectors(batch, start)
            if not start and self.traits.unit_norm:
                check_unit_norm(self.name, vectors)
            bounds = self.places.bounds(self.name, batch)
            yield TableBatch(start, vectors, self.places.centres(bounds), batch.select(kept))
            start += len(batch)

    def head(self, group: int, count: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Read the first rows of a part: first row's number and vectors, until `count` are read."""
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

    def _vectors(self, batch: "pa.RecordBatch", start: int) -> NDArray[Any]:
        return _row_vectors(self.name, batch, self.vector, self.traits, self.dimension, start)


def _row_vectors(
    name: str,
    batch: "pa.RecordBatch",
    columns: Sequence[str],
    product: Product,
    dimension: int,
    start: int,
) -> NDArray[Any]:
    """Return the vectors of a batch whose first row is `start`; missing ones are NaN."""
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


def _read_dimension(name: str, files: TableFiles, vector: Sequence[str]) -> int:
    """Return the length of a table's vectors; refuse a table without one."""
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


def _number_type(kind: "pa.DataType") -> np.dtype[np.generic]:
    exact = pa.types.is_decimal(kind)
    return np.dtype(np.float64 if exact else kind.to_pandas_dtype())


def _is_scalar(kind: "pa.DataType") -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_timestamp(kind)
        or types.is_date(kind)
    )


def read_vectors(path: str, vector: str | None = None) -> "tuple[NDArray[Any], pa.Table]":
    """Return the vectors of a Parquet or CSV file, and its other columns, all rows at once.

    Parameters
    ----------
    path
        Local, or a URL.
    vector
        As in `open_table`.

    Returns
    -------
    vectors
        Shape ``(n, dimension)``; missing ones are NaN.
    others
        The other columns, places among them.

    Raises
    ------
    SourceError
        If the file cannot be read, or has no vector.
    InvalidConfigError
        If there is no column `vector`.
    """
    name, files = display_name(path), open_files([path])
    product, columns = _recognise_vector(name, files, vector)
    dimension = _read_dimension(name, files, columns)
    others = pa.schema([field for field in files.schema if field.name not in columns])
    vectors, batches, start = [], [], 0
    for batch in files.scan([*columns, *others.names], _SMALL_BATCH_ROWS // 8):
        vectors.append(_row_vectors(name, batch, columns, product, dimension, start))
        batches.append(batch.select(others.names))
        start += len(batch)
    return np.concatenate(vectors), pa.Table.from_batches(batches, others)
