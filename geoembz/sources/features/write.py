"""Write a table of embeddings with its places: GeoParquet with the footers, or CSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from geoembz._geo.geoparquet import write_geo
from geoembz._util.output import output_file
from geoembz.errors import DestinationExistsError, InvalidConfigError
from geoembz.sources.features.model import Features

PARQUET = (".parquet", ".geoparquet", ".gpq")
GEOMETRY, EMBEDDING = "geometry", "embedding"


def check_output(path: str | Path, suffixes: tuple[str, ...], *, overwrite: bool) -> Path:
    """Return a path that may be written, before anything is read.

    Raises
    ------
    InvalidConfigError
        If its suffix is not one of `suffixes` or its folder does not exist.
    DestinationExistsError
        If it exists and `overwrite` is not given.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InvalidConfigError(f"{path}: expected a name that ends in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise InvalidConfigError(f"{path}: no folder {path.parent}; create it first")
    if path.exists() and not overwrite:
        raise DestinationExistsError(f"{path}: exists; choose another name or pass --overwrite")
    return path


def vector_array(vectors: NDArray[Any], known: NDArray[np.bool_]) -> pa.Array:
    """Return vectors ``(n, length)`` as a fixed-size list column, null where not `known`."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=pa.array(~known))


def write_features(
    path: Path,
    features: Features,
    columns: Mapping[str, pa.Array],
    emb: bytes,
) -> None:
    """Write features with new columns beside their own; a file that exists is replaced whole.

    Parameters
    ----------
    path
        ``.parquet`` (GeoParquet) or ``.csv``: there a vector takes one column per component.
    features
        Places and columns; those that share a name with a new one give way.
    columns
        New columns, `embedding` among them.
    emb
        Footer of the embedding, JSON.
    """
    kept = [name for name in features.columns.column_names if name not in columns]
    table = features.columns.select([name for name in kept if name != GEOMETRY])
    for name, values in columns.items():
        table = table.append_column(name, values)
    with output_file(path) as partial:
        if path.suffix.lower() in PARQUET:
            _write_parquet(partial, table, features, emb)
        else:
            _write_csv(partial, table, features)


def _write_parquet(path: Path, table: pa.Table, features: Features, emb: bytes) -> None:
    from pyarrow import parquet

    table = table.append_column(GEOMETRY, features.wkb())
    geo = write_geo(GEOMETRY, features.crs, features.geometry_types, _bbox(features))
    parquet.write_table(table.replace_schema_metadata({b"geo": geo, b"emb": emb}), path)


def _write_csv(path: Path, table: pa.Table, features: Features) -> None:
    from pyarrow import csv

    vectors = table[EMBEDDING].combine_chunks()
    table = table.drop_columns([EMBEDDING])
    if features.points is not None and not {"x", "y"} & set(table.column_names):
        for axis, name in enumerate("xy"):
            table = table.append_column(name, pa.array(features.points[:, axis]))
    for index in range(vectors.type.list_size):
        component = compute.list_element(vectors, index)
        table = table.append_column(f"{EMBEDDING}_{index}", component)
    csv.write_csv(table, path)


def _bbox(features: Features) -> tuple[float, ...] | None:
    if features.points is None:
        return None
    finite = features.points[np.isfinite(features.points).all(axis=1)]
    return (*finite.min(axis=0).tolist(), *finite.max(axis=0).tolist()) if len(finite) else None
