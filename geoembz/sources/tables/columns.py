"""Columns as plain Arrow arrays: what dictionaries, views and extension types stand for.

Where batches enter, every column takes its plain type, native geometries (GeoParquet 1.1's, and
GeoArrow's) become WKB, and nobody further on knows another form.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.geoparquet import encodings
from geoembz._util.arrow import compute, pa
from geoembz.errors import SourceError

_DEPTHS = MappingProxyType(
    {"linestring": 1, "polygon": 2, "multipoint": 1, "multilinestring": 2, "multipolygon": 3}
)
"""How deep lists of coordinates lie in each."""


def is_list(kind: "pa.DataType") -> bool:
    """Whether a column holds lists, of fixed length or not."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def value_type(kind: "pa.DataType") -> "pa.DataType":
    """Return the type of the numbers inside lists, however deep."""
    while is_list(kind):
        kind = kind.value_type
    return kind


def is_real(kind: "pa.DataType") -> bool:
    """Whether a column holds one real number per row."""
    types = pa.types
    return bool(types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind))


def plain_type(kind: "pa.DataType") -> "pa.DataType":
    """Return the type of a column's values, stored plainly, however deep they lie.

    A dictionary becomes its values (a pandas Categorical is text), an extension type its storage,
    and a view the list, text or bytes that it views.

    Examples
    --------
    >>> import pyarrow as pa
    >>> plain_type(pa.list_(pa.dictionary(pa.int8(), pa.string_view())))
    ListType(list<item: string>)
    """
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    if types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if types.is_list(kind) or types.is_list_view(kind):
        return pa.list_(_plain_field(kind.value_field))
    if types.is_large_list(kind) or types.is_large_list_view(kind):
        return pa.large_list(_plain_field(kind.value_field))
    if types.is_map(kind):
        return pa.map_(_plain_field(kind.key_field), _plain_field(kind.item_field))
    if types.is_struct(kind):
        return pa.struct([_plain_field(field) for field in kind])
    return kind


def plain_schema(where: str, schema: "pa.Schema") -> "pa.Schema":
    """Return a schema with plain types and without metadata.

    Raises
    ------
    SourceError
        If two columns share a name.
    """
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise SourceError(
            f"{where}: column {twice[0]!r} occurs {schema.names.count(twice[0])} times; expected "
            "columns of different names: rename one of them"
        )
    return pa.schema([_plain_field(field) for field in schema])


def plain_batch(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    """Return a batch's columns as `schema` has them, by name and in its order.

    Raises
    ------
    pa.ArrowInvalid
        If a value has no place in the column's type.
    """
    arrays = [_plain_array(batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def unify_schemas(schemas: "Sequence[pa.Schema]") -> "pa.Schema":
    """Return one schema for files of the same columns: each of the type that all fit into.

    Whole numbers become floats where another file holds floats, and a column that is empty in one
    file has the others' type, as with pyarrow's and DuckDB's readers of several files.

    Raises
    ------
    pa.ArrowInvalid, pa.ArrowTypeError
        If two types have none in common.

    Examples
    --------
    >>> import pyarrow as pa
    >>> whole, broken = (pa.schema([("score", kind)]) for kind in (pa.int64(), pa.float64()))
    >>> unify_schemas([whole, broken]).field("score").type
    DataType(double)
    """
    nullable = [pa.schema([field.with_nullable(True) for field in schema]) for schema in schemas]
    return pa.unify_schemas(nullable, promote_options="permissive")


def _plain_field(field: "pa.Field") -> "pa.Field":
    return pa.field(field.name, plain_type(field.type), field.nullable)


def _plain_array(array: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.ListViewArray | pa.LargeListViewArray):
        array = _as_list(array)
    if array.type.equals(kind):
        return array
    plain = array.cast(kind)
    try:
        plain.validate()
    except pa.ArrowInvalid:  # views inside other columns, as in `_as_list`
        plain = pa.array(array.to_pylist(), kind)
    return plain


def _as_list(views: "pa.Array") -> "pa.Array":
    """Return views of lists as lists; Arrow's own cast leaves the last offset out."""
    lengths = compute.fill_null(compute.list_value_length(views), 0)
    ends = np.concatenate([[0], np.cumsum(np.asarray(lengths), dtype=np.int64)])
    is_large = isinstance(views, pa.LargeListViewArray)
    lists, offsets = (pa.LargeListArray, np.int64) if is_large else (pa.ListArray, np.int32)
    mask = compute.is_null(views) if views.null_count else None
    return lists.from_arrays(pa.array(ends.astype(offsets)), views.flatten(), mask=mask)


def native_columns(footer: Mapping[bytes, bytes] | None, schema: "pa.Schema") -> dict[str, str]:
    """Return the columns that hold native geometries other than points, with their encodings.

    Points are a struct of `x` and `y` and need no other form.
    """
    return {
        name: encoding
        for name, encoding in encodings(footer).items()
        if encoding in _DEPTHS and name in schema.names
    }


def as_wkb(where: str, array: "pa.Array", encoding: str) -> "pa.Array":
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
    where: str, level: "pa.Array", array: "pa.Array", encoding: str
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


def _other(where: str, array: "pa.Array", encoding: str) -> SourceError:
    return SourceError(
        f"{where}: geometries are declared as {encoding!r}, but are {array.type}; expected lists "
        "of coordinates as GeoParquet 1.1 says, or WKB"
    )
