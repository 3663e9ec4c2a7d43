"""Read points and polygons: GeoJSON, GeoParquet, Parquet, CSV, and what Python code has at hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geoembz.errors import InvalidConfigError, SourceError
from geoembz.features.model import Features
from geoembz.geojson import FeatureList, features_of, read_geojson
from geoembz.geoparquet import CRS84, degrees_columns, read_geo
from geoembz.wkb import decode

_EXPECTED = "GeoJSON (.geojson, .json), GeoParquet (.parquet, .geoparquet, .gpq) or CSV (.csv)"


def read_features(source: Any, *, crs: str | None = None) -> Features:
    """Read points or polygons.

    Parameters
    ----------
    source
        Path of a GeoJSON, GeoParquet, Parquet or CSV file (the last two with a longitude and a
        latitude column, or `x` and `y`); an array ``(n, 2)`` of x and y; a GeoJSON object; or
        anything with ``__geo_interface__``, such as a GeoDataFrame.
    crs
        Replaces the CRS that the input declares; longitude and latitude where it declares none.

    Raises
    ------
    SourceError
        If the input is missing, or holds neither points nor polygons.
    InvalidConfigError
        If it declares no CRS and its columns are `x` and `y`, or `crs` is no CRS.

    Examples
    --------
    >>> read_features([[10.0, 50.0], [10.5, 50.1]]).kind
    'points'
    """
    if crs is not None:
        _check_crs(crs)
    if isinstance(source, str | Path):
        return _read_file(Path(source), crs)
    if hasattr(source, "__geo_interface__"):
        declared = getattr(source, "crs", None)
        declared_or_given = crs or _text(declared)
        found = features_of(source.__geo_interface__, "features", declared_or_given)
        return _from_geojson("features", found)
    if isinstance(source, dict):
        return _from_geojson("features", features_of(source, "features", crs))
    array = np.asarray(source, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise InvalidConfigError(
            f"points: an array of shape {array.shape}; expected (n, 2): x (or longitude) and y"
        )
    return Features("points", crs or CRS84, array, None, _no_columns(len(array)))


def _read_file(path: Path, crs: str | None) -> Features:
    if not path.exists():
        raise SourceError(f"{path}: no such file; expected {_EXPECTED}")
    suffix = path.suffix.lower()
    try:
        if suffix in {".geojson", ".json"}:
            return _from_geojson(str(path), read_geojson(path, crs))
        if suffix in {".parquet", ".geoparquet", ".gpq"}:
            return _from_parquet(path, crs)
        if suffix in {".csv", ".txt"}:
            from pyarrow import csv

            return _from_columns(str(path), csv.read_csv(path), crs)
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        if isinstance(error, InvalidConfigError):
            raise
        raise SourceError(f"{path}: cannot be read ({error}); expected {_EXPECTED}") from error
    raise SourceError(f"{path}: files of type {suffix!r} are not read; expected {_EXPECTED}")


def _from_geojson(name: str, found: FeatureList) -> Features:
    columns = _columns(found.properties)
    return Features.of(name, found.crs, found.geometries, columns)


def _columns(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return properties as columns; one whose values are of several types as text."""
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        return _no_columns(len(rows))
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.array([None if value is None else _as_text(value) for value in values])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _from_parquet(path: Path, crs: str | None) -> Features:
    from pyarrow import parquet

    table = parquet.read_table(path)
    column = read_geo(str(path), table.schema.metadata)
    if column is None or column.name not in table.column_names:
        return _from_columns(str(path), table, crs)
    values = table[column.name].combine_chunks()
    columns = table.drop_columns([column.name])
    if column.encoding == "point":
        points = np.column_stack([values.field(axis).to_numpy(False) for axis in "xy"])
        return Features(str(path), crs or column.crs, points, None, columns)
    if column.encoding != "WKB":
        raise SourceError(
            f"{path}: geometries are encoded as {column.encoding!r}; expected WKB; write them so"
        )
    geometries = [None if value is None else decode(value) for value in values.to_pylist()]
    return Features.of(str(path), crs or column.crs, geometries, columns)


def _from_columns(name: str, table: pa.Table, crs: str | None) -> Features:
    found = degrees_columns(table.column_names)
    if found is None and {"x", "y"} <= set(table.column_names):
        if crs is None:
            raise InvalidConfigError(f"{name}: columns x and y, but no CRS; give it with --crs")
        found = ("x", "y")
    if found is None:
        raise SourceError(
            f"{name}: columns {', '.join(table.column_names[:12])}; expected longitude and "
            "latitude (lon, lat), x and y, or a GeoParquet geometry"
        )
    axes = [np.asarray(table[axis].cast(pa.float64()), np.float64) for axis in found]
    if found != ("x", "y") and np.nanmax(np.abs(axes[1]), initial=0.0) > 90:
        raise SourceError(
            f"{name}: column {found[1]!r} holds latitudes beyond 90 degrees; "
            "longitude and latitude are swapped, or the columns are no degrees"
        )
    return Features(name, crs or CRS84, np.column_stack(axes), None, table)


def _no_columns(count: int) -> pa.Table:
    return pa.table({"row": pa.array(np.arange(count))})


def _text(crs: Any) -> str | None:
    return None if crs is None else str(getattr(crs, "to_wkt", lambda: crs)())


def _check_crs(crs: str) -> None:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        CRS.from_user_input(crs)
    except CRSError as error:
        raise InvalidConfigError(
            f"crs {crs!r}: {error}; expected a CRS such as EPSG:32633"
        ) from error
