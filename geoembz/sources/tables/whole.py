"""A whole table in memory: vectors and columns, wherever its rows lie."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz._objects.identity import display_name
from geoembz.sources.tables.open import open_files, read_dimension, recognise_vector, row_vectors

_BATCH_ROWS = 8192


def read_vectors(path: str, vector: str | None = None) -> tuple[NDArray[Any], pa.Table]:
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
    product, columns = recognise_vector(name, files, vector)
    dimension = read_dimension(name, files, columns)
    others = pa.schema([field for field in files.schema if field.name not in columns])
    vectors, batches, start = [], [], 0
    for batch in files.scan([*columns, *others.names], _BATCH_ROWS):
        vectors.append(row_vectors(name, batch, columns, product, dimension, start))
        batches.append(batch.select(others.names))
        start += len(batch)
    return np.concatenate(vectors), pa.Table.from_batches(batches, others)
