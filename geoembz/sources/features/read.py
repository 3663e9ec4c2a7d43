"""Read points and polygons: from files of many formats, and from what Python code has at hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geoembz._geo.geojson import FeatureList, features_of, read_geojson
from geoembz._geo.geoparquet import CRS84
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features.model import Features
from geoembz.sources.features.rows import FeatureRows, numbered
from geoembz.sources.features.table_rows import TEXT_TABLE, read_table_rows
from geoembz.sources.features.vector_files import SUFFIXES, read_vector_file, split_layer
from geoembz.sources.inputs import TABLE_SUFFIXES

_GEOJSON = (".geojson", ".json")
_EXPECTED = (
    "GeoJSON (.geojson, .json), GeoPackage (.gpkg), Shapefile (.shp), FlatGeobuf (.fgb), "
    "GeoParquet (.parquet, .geoparquet, .gpq, .pq) or CSV (.csv)"
)


def read_features(source: Any, *, crs: str | None = None) -> Features:
    """Read points or polygons.

    Parameters
    ----------
    source
        What `read_rows` reads.
    crs
        Replaces the CRS that the input declares; longitude and latitude where it declares none.

    Raises
    ------
    SourceError
        If the input is missing, or holds neither points nor polygons.
    InvalidConfigError
        If it declares no CRS and its columns are `x` and `y`, or `crs` is no CRS.
    MissingPackageError
        If a package is needed that is not installed.

    Examples
    --------
    >>> read_features([[10.0, 50.0], [10.5, 50.1]]).kind
    'points'
    """
    return Features.of_rows(read_rows(source, crs=crs))


def read_rows(
    source: Any, *, crs: str | None = None, unknown_crs: str | None = None
) -> FeatureRows:
    """Read features of any kind: the one reader of files of places.

    Parameters
    ----------
    source
        Path of a GeoJSON, GeoPackage, Shapefile, FlatGeobuf, GeoParquet, Parquet or CSV file (the
        last two with a longitude and a latitude column, or `x` and `y`); an array ``(n, 2)`` of x
        and y; a GeoJSON object; or anything with ``__geo_interface__``, such as a GeoDataFrame.
    crs
        Replaces the CRS that the input declares; longitude and latitude where it declares none.
    unknown_crs
        CRS of columns `x` and `y`, and of what declares that its CRS is unknown; None refuses.

    Raises
    ------
    SourceError
        If the input is missing, damaged, or holds no features.
    InvalidConfigError
        If it declares no CRS and its columns are `x` and `y`, or `crs` is no CRS.
    MissingPackageError
        If a package is needed that is not installed.
    """
    if crs is not None:
        _check_crs(crs)
    if isinstance(source, str | Path):
        return _read_file(str(source), crs, unknown_crs)
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
    return FeatureRows("points", crs or CRS84, array, None, numbered(len(array)))


def is_feature_file(path: str | Path) -> bool:
    """Whether `read_rows` reads such a file, by its name."""
    suffix = Path(split_layer(str(path))[0]).suffix.lower()
    return suffix in {*_GEOJSON, *SUFFIXES, TEXT_TABLE, *TABLE_SUFFIXES}


def _read_file(source: str, crs: str | None, unknown_crs: str | None) -> FeatureRows:
    place, layer = split_layer(source)
    path = Path(place)
    if not path.exists():
        raise SourceError(f"{path}: no such file; expected {_EXPECTED}")
    suffix = path.suffix.lower()
    if not is_feature_file(path):
        raise SourceError(f"{path}: files of type {suffix!r} are not read; expected {_EXPECTED}")
    try:
        if suffix in _GEOJSON:
            return _from_geojson(str(path), read_geojson(path, crs))
        if suffix in SUFFIXES:
            return read_vector_file(path, layer, crs, unknown_crs)
        return read_table_rows(path, crs, unknown_crs)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: cannot be read ({error}); expected {_EXPECTED}") from error


def _from_geojson(name: str, found: FeatureList) -> FeatureRows:
    columns = _columns(found.properties)
    return FeatureRows(name, found.crs, None, tuple(found.geometries), columns)


def _columns(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return properties as columns; one whose values are of several types as text."""
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        return numbered(len(rows))
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.array([None if value is None else _as_text(value) for value in values])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


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
