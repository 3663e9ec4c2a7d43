"""Write a table of embeddings with its places: GeoParquet with the footers, CSV or GeoJSON.

Rows are written in groups, so that no second copy of all vectors is made.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.geoparquet import CRS84, write_geo
from geoembz._objects.files import refuse_inside_store
from geoembz._util.arrow import compute, pa
from geoembz._util.output import output_file
from geoembz.errors import DestinationExistsError, InvalidConfigError
from geoembz.sources.features.model import Features

if TYPE_CHECKING:
    from collections.abc import Mapping

PARQUET = (".parquet", ".geoparquet", ".gpq")
GEOJSON = (".geojson",)
GEOMETRY, EMBEDDING = "geometry", "embedding"

_GROUP_ROWS = 16_384
"""Rows written at once."""


def check_output(path: str | Path, suffixes: tuple[str, ...], *, overwrite: bool) -> Path:
    """Return a path that may be written, before anything is read.

    Raises
    ------
    InvalidConfigError
        If its suffix is not one of `suffixes`, its folder does not exist, or lies in a store.
    DestinationExistsError
        If it exists and `overwrite` is not given.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InvalidConfigError(f"{path}: expected a name that ends in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise InvalidConfigError(f"{path}: no folder {path.parent}; create it first")
    refuse_inside_store(path)
    if path.exists() and not overwrite:
        raise DestinationExistsError(f"{path}: exists; choose another name or pass --overwrite")
    return path


def vector_array(vectors: NDArray[Any], known: NDArray[np.bool_]) -> "pa.Array":
    """Return vectors ``(n, length)`` as a fixed-size list column, null where not `known`."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=pa.array(~known))


def write_features(
    path: Path,
    features: Features,
    columns: "Mapping[str, pa.Array]",
    emb: bytes,
) -> None:
    """Write features with new columns beside their own; a file that exists is replaced whole.

    Parameters
    ----------
    path
        ``.parquet`` (GeoParquet), ``.geojson``, or ``.csv``: there a vector takes one column per
        component.
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
    suffix = path.suffix.lower()
    with output_file(path) as partial:
        if suffix in PARQUET:
            _write_parquet(partial, table, features, emb)
        elif suffix in GEOJSON:
            _write_geojson(partial, table, features)
        else:
            _write_csv(partial, table, features)


def _write_parquet(path: Path, table: "pa.Table", features: Features, emb: bytes) -> None:
    from geoembz._util.arrow import parquet

    table = table.append_column(GEOMETRY, features.wkb())
    geo = write_geo(GEOMETRY, features.crs, features.geometry_types, _bbox(features))
    table = table.replace_schema_metadata({b"geo": geo, b"emb": emb})
    parquet.write_table(table, path, row_group_size=_GROUP_ROWS)


def _write_csv(path: Path, table: "pa.Table", features: Features) -> None:
    from geoembz._util.arrow import csv

    if features.points is not None and not {"x", "y"} & set(table.column_names):
        for axis, name in enumerate("xy"):
            table = table.append_column(name, pa.array(features.points[:, axis]))
    writer = None
    for start in range(0, max(len(table), 1), _GROUP_ROWS):
        rows = _spread(table.slice(start, _GROUP_ROWS))
        writer = writer or csv.CSVWriter(path, rows.schema)
        writer.write_table(rows)
    if writer is not None:
        writer.close()


def _spread(table: "pa.Table") -> "pa.Table":
    """Return a table with a column for each component of its vectors, behind all others."""
    names = [name for name in table.column_names if _is_vector(table[name])]
    spread = table.drop_columns(names)
    for name in names:
        vectors = table[name].combine_chunks()
        for index in range(vectors.type.list_size):
            component = compute.list_element(vectors, index)
            spread = spread.append_column(f"{name}_{index}", component)
    return spread


def _is_vector(column: "pa.ChunkedArray") -> bool:
    return bool(pa.types.is_fixed_size_list(column.type))


def _write_geojson(path: Path, table: "pa.Table", features: Features) -> None:
    """Write a FeatureCollection, a feature on each line; RFC 7946 knows degrees only."""
    placed = features.to_crs(CRS84)
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for start in range(0, len(table), _GROUP_ROWS):
            rows = table.slice(start, _GROUP_ROWS).to_pylist()
            for number, row in enumerate(rows, start):
                properties = {name: _json(value) for name, value in row.items()}
                geometry = _geometry(placed, number)
                feature = {"type": "Feature", "geometry": geometry, "properties": properties}
                file.write(f"{',' if number else ''}\n{json.dumps(feature, allow_nan=False)}")
        file.write("\n]}\n")


def _json(value: Any) -> Any:
    """Return a value as JSON has it: what is not finite as null, dates and the like as text."""
    if isinstance(value, list):
        return [_json(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, int | str) else str(value)


def _geometry(features: Features, number: int) -> Any:
    if features.geometries is None:
        assert features.points is not None  # noqa: S101 - features are the one or the other
        place = features.points[number].tolist()
        is_known = all(map(math.isfinite, place))
        return {"type": "Point", "coordinates": place} if is_known else None
    shape = features.geometries[number]
    return None if shape is None else shape.__geo_interface__


def _bbox(features: Features) -> tuple[float, ...] | None:
    if features.points is None:
        return None
    finite = features.points[np.isfinite(features.points).all(axis=1)]
    return (*finite.min(axis=0).tolist(), *finite.max(axis=0).tolist()) if len(finite) else None
