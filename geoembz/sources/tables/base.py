"""The protocol of a table: rows of vectors with places, read from front to back in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz.sources.band_names import BandNames
from geoembz.sources.base import SourceInfo
from geoembz.sources.tables.products import Product


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
    columns: pa.RecordBatch


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


class TableSource(Protocol):
    """A table of embeddings."""

    @property
    def name(self) -> str:
        """What to call the table in messages."""
        ...

    @property
    def product(self) -> Product:
        """What it was recognised as."""
        ...

    @property
    def model(self) -> str | None:
        """URI of the model that the file or the product names."""
        ...

    @property
    def crs(self) -> str:
        """CRS of the places, in a form that PROJ knows."""
        ...

    @property
    def vector(self) -> tuple[str, ...]:
        """Columns of the vector: one of lists, or one per component."""
        ...

    @property
    def dimension(self) -> int:
        """Length of one vector."""
        ...

    @property
    def band_names(self) -> BandNames:
        """One name per component; None where it has none."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers as the table stores them."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Columns of a batch: all but the vector and the columns that only hold the place."""
        ...

    @property
    def other_bytes(self) -> float:
        """Size of a row of `schema`, about; as far as it is known without reading the rows."""
        ...

    @property
    def geometry(self) -> str | None:
        """Name of the WKB column among them; None for tables of x and y."""
        ...

    @property
    def axes(self) -> tuple[str, str]:
        """Names that x and y had, where they were columns; else ``("x", "y")``."""
        ...

    @property
    def info(self) -> tuple[SourceInfo, ...]:
        """The files behind it."""
        ...

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each part that can be begun without reading what stands before; may be empty."""
        ...

    def survey(self) -> Survey:
        """Read everything small, once."""
        ...

    def batches(self) -> Iterator[TableBatch]:
        """Read everything, in order.

        Raises
        ------
        SourceError
            If a row's vector has another length, or the file is damaged.
        """
        ...

    def head(self, group: int, count: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Read the first rows of a part: first row's number and vectors, until `count` are read."""
        ...
