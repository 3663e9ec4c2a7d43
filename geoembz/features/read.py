"""Read points and polygons: GeoJSON, GeoParquet, Parquet, CSV, and what Python code has at hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geoembz.errors import InvalidConfigError, SourceError
from geoembz.features.model import Features
from geoembz.geoparquet import CRS84, degrees_columns, read_geo
from geoembz.wkb import Geometry, decode

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
        return _from_geojson("features", source.__geo_interface__, crs or _text(declared))
    if isinstance(source, dict):
        return _from_geojson("features", source, crs)
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
            return _from_geojson(str(path), json.loads(path.read_text(encoding="utf-8")), crs)
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


def _from_geojson(name: str, document: Any, crs: str | None) -> Features:
    kind = document.get("type") if isinstance(document, dict) else None
    if kind == "FeatureCollection":
        features = document.get("features", [])
    elif kind == "Feature":
        features = [document]
    elif kind in {"Point", "Polygon", "MultiPolygon"}:
        features = [{"geometry": document}]
    else:
        raise SourceError(f"{name}: GeoJSON of type {kind!r}; expected a FeatureCollection")
    declared = document.get("crs")
    if isinstance(declared, dict):  # GeoJSON of before RFC 7946
        declared = declared.get("properties", {}).get("name")
    rows = [_properties(feature) for feature in features]
    columns = pa.Table.from_pylist(rows) if any(rows) else _no_columns(len(rows))
    geometries = [_plain(feature.get("geometry")) for feature in features]
    return Features.of(name, crs or declared or CRS84, geometries, columns)


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    found = dict(feature.get("properties") or {})
    if "id" in feature and "id" not in found:
        found["id"] = feature["id"]
    return found


def _plain(geometry: dict[str, Any] | None) -> Geometry | None:
    """Return a geometry with lists for tuples: `__geo_interface__` has the latter."""
    if geometry is None:
        return None
    plain: Geometry = json.loads(json.dumps(geometry))
    return plain


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
