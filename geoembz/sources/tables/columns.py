"""Columns as plain Arrow arrays: what dictionaries, views and extension types stand for.

Where batches enter, every column takes its plain type, and nobody further on knows another.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import compute

from geoembz.errors import SourceError


def plain_type(kind: pa.DataType) -> pa.DataType:
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


def plain_schema(where: str, schema: pa.Schema) -> pa.Schema:
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


def plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch's columns as `schema` has them, by name and in its order.

    Raises
    ------
    pa.ArrowInvalid
        If a value has no place in the column's type.
    """
    arrays = [_plain_array(batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def unified_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
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
    >>> unified_schema([whole, broken]).field("score").type
    DataType(double)
    """
    nullable = [pa.schema([field.with_nullable(True) for field in schema]) for schema in schemas]
    return pa.unify_schemas(nullable, promote_options="permissive")


def _plain_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, plain_type(field.type), field.nullable)


def _plain_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.ListViewArray | pa.LargeListViewArray):
        array = _listed(array)
    if array.type.equals(kind):
        return array
    plain = array.cast(kind)
    try:
        plain.validate()
    except pa.ArrowInvalid:  # views inside other columns, as in `_listed`
        plain = pa.array(array.to_pylist(), kind)
    return plain


def _listed(views: pa.Array) -> pa.Array:
    """Return views of lists as lists; Arrow's own cast leaves the last offset out."""
    lengths = compute.fill_null(compute.list_value_length(views), 0)
    ends = np.concatenate([[0], np.cumsum(np.asarray(lengths), dtype=np.int64)])
    is_large = isinstance(views, pa.LargeListViewArray)
    lists, offsets = (pa.LargeListArray, np.int64) if is_large else (pa.ListArray, np.int32)
    mask = compute.is_null(views) if views.null_count else None
    return lists.from_arrays(pa.array(ends.astype(offsets)), views.flatten(), mask=mask)
