"""What a Parquet file says about its geometries, in whichever of three ways it says it.

GeoParquet's footer key `geo` goes first. Without it, Parquet's own types GEOMETRY and GEOGRAPHY and
GeoArrow's extension types say as much; what they say is put into the words of `geo`.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from geoembz._geo.geoparquet import CRS84
from geoembz._util.bounded_json import parse_json

_GEOARROW = "geoarrow."
_LOGICAL = ("Geometry", "Geography")


def geo_footer(file: parquet.ParquetFile, where: str) -> Mapping[bytes, bytes]:
    """Return a file's key-value metadata, with `geo` made of its columns' types where it has none.

    Raises
    ------
    SourceError
        If a column's CRS is no JSON.
    """
    footer = dict(file.schema_arrow.metadata or {})
    if b"geo" in footer:
        return footer
    columns = {}
    for field in file.schema_arrow:
        found = _logical(file, field.name, footer) or _extension(field, where)
        if found is not None:
            columns[field.name] = found
    if not columns:
        return footer
    primary = "geometry" if "geometry" in columns else next(iter(columns))
    document = {"version": "1.1.0", "primary_column": primary, "columns": columns}
    return {**footer, b"geo": json.dumps(document).encode()}


def _logical(
    file: parquet.ParquetFile, name: str, footer: Mapping[bytes, bytes]
) -> dict[str, Any] | None:
    """Return what Parquet's type of a column says; its CRS is longitude and latitude by default."""
    columns = (file.schema.column(index) for index in range(len(file.schema.names)))
    column = next((column for column in columns if column.path == name), None)
    if column is None or column.logical_type.type.upper() not in {k.upper() for k in _LOGICAL}:
        return None
    crs = str(json.loads(column.logical_type.to_json()).get("crs") or CRS84)
    kind, _, rest = crs.partition(":")
    if kind == "srid":
        crs = f"EPSG:{rest}"
    elif kind == "projjson":
        crs = footer.get(rest.encode(), b"").decode(errors="replace")
    return {"encoding": "WKB", "crs": crs}


def _extension(field: pa.Field, where: str) -> dict[str, Any] | None:
    """Return what GeoArrow's type of a column says, whether pyarrow knows the type or not."""
    metadata = field.metadata or {}
    if isinstance(field.type, pa.BaseExtensionType):
        name = field.type.extension_name
        content = getattr(field.type, "__arrow_ext_serialize__", bytes)()
    else:
        name = metadata.get(b"ARROW:extension:name", b"").decode(errors="replace")
        content = metadata.get(b"ARROW:extension:metadata", b"")
    encoding = name.removeprefix(_GEOARROW)
    if encoding == name or encoding == "wkt":
        return None
    said = parse_json(content, f"{where}, column {field.name!r}") if content else {}
    crs = said.get("crs") if isinstance(said, Mapping) else None
    return {"encoding": "WKB" if encoding == "wkb" else encoding, "crs": crs}
