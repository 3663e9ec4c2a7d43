"""What a GeoParquet file says in its footer: the keys ``geo`` and ``emb``, and back.

References: GeoParquet 1.1; Earth Index's ``emb`` document 0.0.1. No file is opened here.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geoembz._util.bounded_json import parse_object
from geoembz.errors import SourceError

CRS84 = "OGC:CRS84"
"""Longitude, latitude on WGS 84: what GeoParquet and GeoJSON mean where they say nothing."""

LONGITUDES = ("lon", "longitude", "lng", "long", "centre_lon", "center_lon")
LATITUDES = ("lat", "latitude", "centre_lat", "center_lat")


@dataclass(frozen=True)
class GeometryColumn:
    """The primary geometry column of a file.

    Parameters
    ----------
    name
        Of the column.
    encoding
        ``WKB``, or ``point`` for a struct of `x` and `y`.
    crs
        In a form that PROJ knows, coordinates in the order x, y.
    """

    name: str
    encoding: str = "WKB"
    crs: str = CRS84


def read_geo(
    where: str,
    footer: Mapping[bytes, bytes] | None,
    crs: str | None = None,
    unknown_crs: str | None = None,
) -> GeometryColumn | None:
    """Return what the footer says about the primary geometry column; None without ``geo``.

    Parameters
    ----------
    where
        The file, for messages.
    footer
        Its key-value metadata.
    crs
        Replaces the declared CRS.
    unknown_crs
        CRS where the footer says that it is unknown; None refuses that.

    Raises
    ------
    SourceError
        If ``geo`` is there and not what GeoParquet says.
    """
    text = (footer or {}).get(b"geo")
    if text is None:
        return None
    try:
        document = parse_object(text, f"{where}, footer key 'geo'")
        name = document["primary_column"]
        column = document["columns"][name]
        encoding = str(column.get("encoding", "WKB"))
        declared = column.get("crs", CRS84) if crs is None else crs
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(
            f"{where}: its GeoParquet metadata are malformed ({error!r}); expected a footer key "
            "'geo' as GeoParquet 1.1 says"
        ) from error
    declared = unknown_crs if declared is None else declared
    if declared is None:
        raise SourceError(
            f"{where}: GeoParquet metadata say that the CRS of {name!r} is unknown; give it one "
            "with --crs"
        )
    text_crs = declared if isinstance(declared, str) else json.dumps(declared)
    return GeometryColumn(name, "WKB" if encoding.upper() == "WKB" else encoding, text_crs)


def encodings(footer: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return the encoding of each geometry column that the footer lists.

    Examples
    --------
    >>> encodings({b"geo": b'{"columns": {"outline": {"encoding": "polygon"}}}'})
    {'outline': 'polygon'}
    """
    try:
        columns = parse_object((footer or {}).get(b"geo", b"{}"), "geo")["columns"]
        return {str(name): str(column.get("encoding", "WKB")) for name, column in columns.items()}
    except (SourceError, KeyError, AttributeError):  # `read_geo` says what is wrong
        return {}


def declarations(footer: Mapping[bytes, bytes] | None) -> dict[str, str | None]:
    """Return the CRS and the model that a footer declares, as text that can be compared.

    Examples
    --------
    >>> declarations({b"emb": b'{"model": "clay"}'})
    {'CRS': None, 'model': 'clay'}
    """
    try:
        document = parse_object((footer or {}).get(b"geo", b"{}"), "geo")
        crs = document["columns"][document["primary_column"]].get("crs", CRS84)
    except (SourceError, KeyError, TypeError, AttributeError):  # `read_geo` says what is wrong
        crs = None
    found = {"CRS": crs, "model": read_emb(footer).get("model")}
    return {
        name: value if value is None or isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
    }


def degrees_columns(names: Sequence[str]) -> tuple[str, str] | None:
    """Return the names of the longitude and the latitude column; None where one is missing.

    Examples
    --------
    >>> degrees_columns(["id", "Longitude", "LAT"])
    ('Longitude', 'LAT')
    """
    lower = {name.lower(): name for name in reversed(names)}
    x = next((lower[name] for name in LONGITUDES if name in lower), None)
    y = next((lower[name] for name in LATITUDES if name in lower), None)
    return None if x is None or y is None else (x, y)


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that no column has: the wanted one, or that with a number.

    Examples
    --------
    >>> free_name("geometry", ["geometry", "id"])
    'geometry_2'
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def write_geo(
    name: str,
    crs: str,
    geometry_types: Sequence[str],
    bbox: Sequence[float] | None,
) -> bytes:
    """Return the footer's ``geo`` of a file with one WKB column `name`."""
    from pyproj import CRS

    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": list(geometry_types),
        "crs": CRS.from_user_input(crs).to_json_dict(),
    }
    if bbox is not None:
        column["bbox"] = list(bbox)
    return json.dumps(
        {"version": "1.1.0", "primary_column": name, "columns": {name: column}}, sort_keys=True
    ).encode()


def read_emb(footer: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """Return the footer's ``emb`` document; empty where there is none or it is no JSON object."""
    try:
        return parse_object((footer or {}).get(b"emb", b"{}"), "emb")
    except SourceError:
        return {}


def write_emb(
    *, model: str, dimension: int, kind: str, quantization: str, sources: Sequence[str]
) -> bytes:
    """Return the footer's ``emb``: Earth Index's members, and STAC's names for the same.

    Parameters
    ----------
    model
        URI of the model.
    dimension
        Length of a vector in the file.
    kind
        ``pixel`` or ``chip``.
    quantization
        What was done to the numbers: a recipe, or ``None``.
    sources
        URIs of what the embeddings were taken from.
    """
    document = {
        "version": "0.0.1",
        "model": {"id": model, "source": model},
        "datasets": [{"dataset_id": source, "dataset_source": source} for source in sources],
        "embedding_dim": dimension,
        "embedding_quantization": quantization,
        "emb:type": kind,
        "emb:dimensions": dimension,
    }
    return json.dumps(document, sort_keys=True).encode()
