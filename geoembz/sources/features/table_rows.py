"""Places in Parquet and CSV, found as those of tables of embeddings are."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz.errors import SourceError
from geoembz.sources.features.rows import FeatureRows, numbered
from geoembz.sources.tables.csv_files import CsvFiles
from geoembz.sources.tables.open import open_files
from geoembz.sources.tables.places import Places, find_places

TEXT_TABLE = ".txt"
"""CSV by another name."""

_BATCH_ROWS = 65_536
_MOST_BYTES, _MOST_LONG_BYTES = 2**31, 2**28
"""Largest columns of features, and of rows that are long: all are held in memory."""

_LONG_ROW_BYTES = 2**14


def read_table_rows(path: Path, crs: str | None, unknown_crs: str | None) -> FeatureRows:
    """Read features from a GeoParquet, Parquet or CSV file.

    Parameters
    ----------
    path
        The file.
    crs
        Replaces the declared CRS.
    unknown_crs
        CRS of columns `x` and `y`, and of geometries whose CRS is declared unknown; None refuses.

    Raises
    ------
    SourceError
        If the file cannot be read, its columns are too large, or none says where rows lie.
    InvalidConfigError
        If the CRS is needed and unknown.
    """
    name = str(path)
    is_text = path.suffix.lower() == TEXT_TABLE
    files = CsvFiles.open([name]) if is_text else open_files([name], crs=crs, allow_empty=True)
    places = find_places(name, files.schema, files.footer, crs, unknown_crs)
    batches, size, count = [], 0, 0
    for batch in files.scan(files.schema.names, _BATCH_ROWS):
        batches.append(batch)
        size, count = size + batch.nbytes, count + len(batch)
        most = _MOST_LONG_BYTES if size > count * _LONG_ROW_BYTES else _MOST_BYTES
        if size > most:
            raise SourceError(
                f"{name}: columns of {count:,} rows take more than {most // 2**20} MB; expected "
                "features that fit into memory: leave large columns out, or split the file"
            )
    table = pa.Table.from_batches(batches, files.schema)
    hidden = () if places.kind in {"xy", "box"} else places.columns
    columns = table.drop_columns(list(hidden))
    columns = columns if columns.num_columns else numbered(len(table))
    axes = places.columns if places.kind in {"xy", "box"} else ()
    bounds = [places.bounds(name, batch) for batch in batches]
    every = np.concatenate(bounds) if bounds else np.empty((0, 4))
    if _are_points(places, every):
        return FeatureRows(name, places.crs, every[:, :2], None, columns, axes)
    geometries = [geometry for batch in batches for geometry in places.geometries(batch)]
    return FeatureRows(name, places.crs, None, tuple(geometries), columns, axes)


def _are_points(places: Places, bounds: NDArray[np.float64]) -> bool:
    """Whether all rows are points: bounds without extent, or none at all."""
    if places.kind == "box":
        return False
    known = bounds[np.isfinite(bounds).all(axis=1)]
    return bool((known[:, :2] == known[:, 2:]).all())
