"""Table stores as lazy datasets: rows along `sample`, places and columns beside the vectors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from geoembz._xarray.origin import check_numbers, is_whole, unknown_store
from geoembz._xarray.plain_attributes import plain_attributes
from geoembz.errors import InvalidConfigError
from geoembz.store import TableReader, View
from geoembz.store.documents import EMBEDDING, StorePlan
from geoembz.store.table_writer import SAMPLE

_ROWS = 16_384
"""Rows of a table that are compared at once."""

_TAKEN = {"x", "y", "embedding", "valid", "spatial_ref", SAMPLE}


class _LazyRows(BackendArray):
    """Something with one row per sample, read when it is indexed."""

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        read: Callable[[NDArray[np.int64]], NDArray[Any]],
        name: str,
    ) -> None:
        self.shape, self.dtype, self._read = shape, dtype, read
        self.name = name  # address of the array that is read: `table_origin` asks

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        """Return the elements at `key`, as xarray asks for them."""
        result: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._outer
        )
        return result

    def _outer(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Read the rows that the first index names, once each; then apply the other indices."""
        rows, *others = key
        wanted = np.arange(self.shape[0])[rows]
        unique, back = np.unique(np.atleast_1d(wanted), return_inverse=True)
        values = self._read(unique)[back]
        for axis, index in enumerate(others, start=1):
            if not isinstance(index, int | np.integer):
                values = values[(slice(None),) * axis + (index,)]
        for axis, index in reversed(list(enumerate(others, start=1))):
            if isinstance(index, int | np.integer):
                values = np.take(values, index, axis=axis)
        return values if np.ndim(wanted) else values[0]


def table_dataset(
    reader: TableReader, space: View, components: int | None, whiten: float
) -> xr.Dataset:
    """Return a table store as a dataset; see `geoembz.open`.

    Raises
    ------
    InvalidConfigError
        If the space is unknown or there are not so many components.
    """
    if space not in {"original", "reduced", "codes"}:
        raise InvalidConfigError(f"space {space!r}; expected one of original, reduced, codes")
    is_codes = space == "codes"
    length = reader.length(space, components, whiten)
    dtype = reader.encoding.code_dtype if is_codes else np.dtype(np.float32)
    embedding = _lazy(
        reader,
        (SAMPLE, _component_axis(reader, space)),
        (reader.n_rows, length),
        dtype,
        lambda rows: reader.read(rows, space, components, whiten),
        f"{reader.url}/{EMBEDDING}",
    )
    embedding.attrs["grid_mapping"] = "spatial_ref"
    embedding.encoding |= {
        "source": reader.url,
        "view": {"space": space, "components": components, "whiten": whiten},
    }
    variables = {"embedding": embedding}
    if is_codes and reader.mask is not None:
        variables["valid"] = _row_variable(reader, reader.mask)
    for name in reader.attributes.columns:
        label = f"column_{name}" if name in _TAKEN else name
        variables[label] = _row_variable(reader, reader.column(name, of_table=True))
    coordinates = {axis: _row_variable(reader, reader.column(axis)) for axis in ("x", "y")}
    mapping = dict(reader.group["spatial_ref"].attrs)
    coordinates |= dimension_coordinate(reader.attributes.band_names, space)
    coordinates["spatial_ref"] = xr.Variable((), np.int64(0), mapping)
    dataset = xr.Dataset(variables, coordinates, plain_attributes(reader.group.attrs.asdict()))
    dataset.encoding["source"] = reader.url
    return xr.decode_cf(dataset, decode_coords=False, mask_and_scale=False)


def dimension_coordinate(names: Sequence[str | None], space: View) -> dict[str, xr.Variable]:
    """Return the coordinate `dimension` of named components; nothing where none has a name.

    Components without a name among named ones have the label "". In other spaces than ``original``
    an axis does not stand for the components that have names.
    """
    if space != "original" or not any(names):
        return {}
    labels = np.array([name or "" for name in names])
    return {"dimension": xr.Variable(("dimension",), labels, {"long_name": "name of the band"})}


def _component_axis(reader: TableReader, space: View) -> str:
    if space == "original":
        return "dimension"
    return StorePlan.axis_of(reader.encoding) if space == "codes" else "component"


def _row_variable(reader: TableReader, array: Any) -> xr.Variable:
    """Return a 1-D Zarr array as a lazy variable."""
    variable = _lazy(
        reader,
        (SAMPLE,),
        array.shape,
        array.dtype,
        lambda rows: reader.values(array, rows),
        f"{reader.url}/{array.basename}",
    )
    kept = ("units", "calendar", "time_zone")
    variable.attrs |= {name: array.attrs[name] for name in kept if name in array.attrs}
    return variable


def _lazy(
    reader: TableReader,
    dimensions: tuple[str, ...],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    read: Callable[[NDArray[np.int64]], NDArray[Any]],
    name: str,
) -> xr.Variable:
    shard = (reader.codes.shards or reader.codes.chunks)[0]
    lazy = indexing.LazilyIndexedArray(_LazyRows(shape, dtype, read, name))
    return xr.Variable(dimensions, lazy, encoding={"preferred_chunks": {SAMPLE: shard}})


def table_origin(dataset: xr.Dataset, method: str, *, compare: bool = True) -> TableReader:
    """Return the table store whose rows a dataset has, all and in order.

    Parameters
    ----------
    dataset
        Of a table.
    method
        What the accessor was asked for, for messages.
    compare
        Also compare the vectors, unless they are the store's own lazy array. What selects rows
        returns the dataset's own, and need not.

    Raises
    ------
    InvalidConfigError
        If the dataset is of no table, or has not its places and vectors, row by row.
    """
    variable = dataset.variables.get("embedding")
    if variable is None or not {"source", "view"} <= set(variable.encoding):
        raise unknown_store()
    reader = TableReader.open(str(variable.encoding["source"]))
    if dataset.sizes.get(SAMPLE) != reader.n_rows:
        raise InvalidConfigError(
            f"geoembz: {method} takes the whole table; select by place first, then by other things"
        )
    for axis in "xy":
        held = dataset.variables.get(axis)
        if held is None or not (
            is_whole(held, f"{reader.url}/{axis}")
            or np.array_equal(held.values, np.asarray(reader.column(axis)[:]), equal_nan=True)
        ):
            raise InvalidConfigError(
                f"geoembz: {axis} is not that of the table's rows, in their order; use .geoembz "
                "on what geoembz.open returned"
            )
    if compare and not is_whole(variable, f"{reader.url}/{EMBEDDING}"):
        _compare_rows(variable, reader)
    return reader


def _compare_rows(variable: xr.Variable, reader: TableReader) -> None:
    """Compare a table's vectors with the store, some rows after the other."""
    view = variable.encoding["view"]
    for start in range(0, reader.n_rows, _ROWS):
        rows = np.arange(start, min(start + _ROWS, reader.n_rows))
        held = variable.isel({SAMPLE: rows}).transpose(SAMPLE, ...)
        check_numbers(held, reader.read(rows, **view), view)
