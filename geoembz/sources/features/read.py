"""Read points and polygons: from files of many formats, and from what Python code has at hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import parse_crs
from geoembz._geo.geojson import FeatureList, features_of, read_geojson
from geoembz._geo.geoparquet import CRS84
from geoembz._util.arrow import pa
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features.model import Features, number_rows
from geoembz.sources.features.vector_files import SUFFIXES, read_vector_file, split_layer
from geoembz.sources.inputs import TABLE_SUFFIXES
from geoembz.sources.tables.files import CsvFiles
from geoembz.sources.tables.places import Places, find_places
from geoembz.sources.tables.table import open_files

TEXT_TABLE = ".txt"
"""CSV by another name."""

_BATCH_ROWS = 65_536
_MOST_BYTES, _MOST_LONG_BYTES = 2**31, 2**28
"""Largest columns of features, and of rows that are long: all are held in memory."""

_LONG_ROW_BYTES = 2**14
"""Mean size of a row beyond which it holds outlines of thousands of corners, or embeddings."""

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
    return read_rows(source, crs=crs).points_or_areas()


def read_rows(source: Any, *, crs: str | None = None, unknown_crs: str | None = None) -> Features:
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
        parse_crs(crs)
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
    return Features("points", crs or CRS84, array, None, number_rows(len(array)))


def is_feature_file(path: str | Path) -> bool:
    """Whether `read_rows` reads such a file, by its name."""
    suffix = Path(split_layer(str(path))[0]).suffix.lower()
    return suffix in {*_GEOJSON, *SUFFIXES, TEXT_TABLE, *TABLE_SUFFIXES}


def _read_file(source: str, crs: str | None, unknown_crs: str | None) -> Features:
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
        return _read_table(path, crs, unknown_crs)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: cannot be read ({error}); expected {_EXPECTED}") from error


def _read_table(path: Path, crs: str | None, unknown_crs: str | None) -> Features:
    """Read places found as those of tables of embeddings are; see `read_rows`."""
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
    columns = columns if columns.num_columns else number_rows(len(table))
    axes = places.columns if places.kind in {"xy", "box"} else ()
    bounds = [places.bounds(name, batch) for batch in batches]
    every = np.concatenate(bounds) if bounds else np.empty((0, 4))
    if _are_points(places, every):
        return Features(name, places.crs, every[:, :2], None, columns, axes)
    shapes = [places.geometries(batch) for batch in batches]
    geometries = np.concatenate([np.empty(0, object), *shapes])
    return Features(name, places.crs, None, geometries, columns, axes)


def _are_points(places: Places, bounds: NDArray[np.float64]) -> bool:
    """Whether all rows are points: bounds without extent, or none at all."""
    if places.kind == "box":
        return False
    known = bounds[np.isfinite(bounds).all(axis=1)]
    return bool((known[:, :2] == known[:, 2:]).all())


def _from_geojson(name: str, found: FeatureList) -> Features:
    shapes = np.array([*found.geometries, None], dtype=object)[:-1]
    return Features(name, found.crs, None, shapes, _columns(found.properties))


def _columns(rows: Sequence[Mapping[str, Any]]) -> "pa.Table":
    """Return properties as columns; one whose values are of several types as text."""
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        return number_rows(len(rows))
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> "pa.Array":
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.array([None if value is None else _as_text(value) for value in values])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _text(crs: Any) -> str | None:
    return None if crs is None else str(getattr(crs, "to_wkt", lambda: crs)())
