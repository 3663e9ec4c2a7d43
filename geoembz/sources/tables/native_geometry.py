"""Geometries in Arrow's own arrays (GeoParquet 1.1's native encodings, GeoArrow) as WKB.

Where batches enter, such columns become WKB, and nobody further on knows another form of lines and
polygons.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from geoembz._geo.geoparquet import encodings
from geoembz.errors import SourceError
from geoembz.sources.tables.vectors import is_list

_DEPTHS = MappingProxyType(
    {"linestring": 1, "polygon": 2, "multipoint": 1, "multilinestring": 2, "multipolygon": 3}
)
"""How deep lists of coordinates lie in each."""


def native_columns(footer: Mapping[bytes, bytes] | None, schema: pa.Schema) -> dict[str, str]:
    """Return the columns that hold native geometries other than points, with their encodings.

    Points are a struct of `x` and `y` and need no other form.
    """
    return {
        name: encoding
        for name, encoding in encodings(footer).items()
        if encoding in _DEPTHS and name in schema.names
    }


def as_wkb(where: str, array: pa.Array, encoding: str) -> pa.Array:
    """Return native geometries as WKB, null where one is missing.

    Raises
    ------
    SourceError
        If the column is not what its encoding says.
    """
    import shapely

    missing, offsets, level = compute.is_null(array), [], array
    for _ in range(_DEPTHS[encoding]):
        if not is_list(level.type):
            raise _other(where, array, encoding)
        lengths = compute.fill_null(compute.list_value_length(level), 0)
        offsets.append(np.concatenate([[0], np.cumsum(np.asarray(lengths), dtype=np.int64)]))
        level = level.flatten()
    kind = shapely.GeometryType[encoding.upper()]
    coordinates = _coordinates(where, level, array, encoding)
    shapes = shapely.from_ragged_array(kind, coordinates, tuple(reversed(offsets)))
    wkb = pa.array(shapely.to_wkb(shapes).tolist(), pa.binary())
    return compute.if_else(missing, pa.scalar(None, pa.binary()), wkb)


def _coordinates(
    where: str, level: pa.Array, array: pa.Array, encoding: str
) -> NDArray[np.float64]:
    """Return x and y, from a struct of them or from short lists."""
    kind = level.type
    if pa.types.is_struct(kind) and {"x", "y"} <= {field.name for field in kind}:
        axes = [compute.struct_field(level, axis).cast(pa.float64()) for axis in "xy"]
        return np.column_stack([np.asarray(axis) for axis in axes])
    if pa.types.is_fixed_size_list(kind) and kind.list_size >= 2:
        flat = np.asarray(level.flatten().cast(pa.float64()))
        return np.ascontiguousarray(flat.reshape(-1, kind.list_size)[:, :2])
    raise _other(where, array, encoding)


def _other(where: str, array: pa.Array, encoding: str) -> SourceError:
    return SourceError(
        f"{where}: geometries are declared as {encoding!r}, but are {array.type}; expected lists "
        "of coordinates as GeoParquet 1.1 says, or WKB"
    )
