"""Which part of which store a dataset still is; the accessor reads the store, not the dataset.

xarray keeps attributes and encodings through operations that change the data (``roll``, ``concat``,
``copy(data=)``), so they prove nothing. What does:

* An array that only *indexes* the store's own lazy array is what the store holds there; its
  coordinates must be those of the pixels it indexes.
* Anything else (loaded, persisted, computed) is compared with the store, block by block.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from geoembz._geo.grid import Window, split
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from geoembz.store.conventions import TIME

_COORDINATE_SLACK = 1e-4
"""Pixels: coordinates are centres of pixels up to rounding."""

_VALUE_SLACK = 1e-5
"""Of the largest number: the last bits of decoded vectors follow the window that is read."""

_INDEX_LAYERS = ("original-", "open_dataset-", "xarray-", "getitem-", "rechunk-", "transpose-")
"""Layers of a dask graph that move pixels together with their coordinates."""


@dataclass(frozen=True)
class Origin:
    """A window of a store, at one date, in one view.

    Parameters
    ----------
    reader
        The store.
    view
        `space`, `components` and `whiten`, as `StoreReader.read` takes them.
    window
        Pixels, in the store's rows and columns.
    date
        Position on the store's time axis.
    """

    reader: StoreReader
    view: Mapping[str, Any]
    window: Window
    date: int

    def read(self, window: Window) -> NDArray[Any]:
        """Return the store's numbers in a window, shape ``(length, height, width)``."""
        if self.view["space"] == "codes":
            return self.reader.read_codes(window, self.date)
        return np.asarray(self.reader.read(window, **self.view, date=self.date))


def origin(dataset: xr.Dataset) -> Origin:
    """Return the part of a store that a dataset is.

    Raises
    ------
    InvalidConfigError
        If the dataset is not from a store, or not what the store holds any more.
    """
    variable = dataset.variables.get("embedding")
    lazy = None if variable is None else source_array(variable)
    known = {} if variable is None else variable.encoding
    if variable is None or (lazy is None and not {"source", "view"} <= set(known)):
        raise unknown_store()
    reader = _reader(known) if lazy is None else lazy.reader
    view = known["view"] if lazy is None else lazy.view
    _check_crs(dataset, reader)
    date = _date(dataset, reader)
    rows, cols = (_positions(dataset, reader, axis) for axis in "yx")
    place = Window(int(rows.min()), int(cols.min()), len(rows), len(cols))
    found = Origin(reader, view, place, date)
    _check_dimensions(variable, found)
    south_up = variable.isel(
        {axis: slice(None, None, _step(at)) for axis, at in (("y", rows), ("x", cols))}
    ).transpose(..., "y", "x")
    if not _is_exact(variable, found, rows, cols):
        _compare(south_up, found, every_block=lazy is None)
    return found


def _reader(known: Mapping[Any, Any]) -> StoreReader:
    """Open the store that a variable's encoding names, at its level."""
    return StoreReader.open(str(known["source"]), level=known.get("level"))


def source_array(variable: xr.Variable) -> Any:
    """Return the store's lazy array that a variable only indexes; None where there is more to it.

    It has `reader` and `view`.
    """
    data = variable._data  # noqa: SLF001 - `data` would load it, and there is no other way
    graph = getattr(data, "__dask_graph__", lambda: None)()
    if graph is None:
        return _innermost(data)
    if not all(str(name).startswith(_INDEX_LAYERS) for name in getattr(graph, "layers", ("?",))):
        return None
    originals = [graph[key] for key in graph if str(key).startswith("original-")]
    return _innermost(originals[0]) if len(originals) == 1 else None


def _innermost(data: Any) -> Any:
    """Unwrap xarray's lazy indexing; None where an array in memory is inside."""
    while data is not None and not isinstance(data, BackendArray):
        data = getattr(data, "array", getattr(data, "value", None))
    return data if isinstance(getattr(data, "reader", None), StoreReader) else None


def _unwrap(variable: xr.Variable) -> Any:
    """Return a variable's data as xarray holds them, without caches."""
    data = variable._data  # noqa: SLF001 - `data` would load it, and there is no other way
    while isinstance(data, indexing.MemoryCachedArray | indexing.CopyOnWriteArray):
        data = data.array
    return data


def is_whole(variable: xr.Variable, name: str) -> bool:
    """Whether a variable is a store's array, lazy and without a selection."""
    data = _unwrap(variable)
    return (
        isinstance(data, indexing.LazilyIndexedArray)
        and getattr(data.array, "name", None) == name
        and all(part == slice(None) for part in data.key.tuple)
    )


def _is_exact(
    variable: xr.Variable, found: Origin, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> bool:
    """Whether the variable indexes exactly the pixels that its coordinates name."""
    data = _unwrap(variable)
    if not isinstance(data, indexing.LazilyIndexedArray) or source_array(variable) is None:
        return False
    *dates, first, at_rows, at_cols = (
        np.arange(size)[index] for index, size in zip(data.key.tuple, data.array.shape, strict=True)
    )
    pairs = ((first, np.arange(len(first))), (at_rows, rows), (at_cols, cols))
    stored = [found.reader.chronological[at] for axis in dates for at in np.atleast_1d(axis)]
    if not all(np.array_equal(indexed, named) for indexed, named in pairs) or (
        dates and stored != [found.date]
    ):
        raise _another()
    return True


def _compare(variable: xr.Variable, found: Origin, *, every_block: bool) -> None:
    """Compare numbers with the store: all of them, or at corners and centre."""
    if TIME in variable.dims:
        variable = variable.isel({TIME: 0})
    for block in _blocks(found) if every_block else _corners(found.window):
        top, left = block.row - found.window.row, block.col - found.window.col
        inner = {"y": slice(top, top + block.height), "x": slice(left, left + block.width)}
        check_numbers(variable.isel(inner), found.read(block), found.view)


def check_numbers(variable: xr.Variable, stored: NDArray[Any], view: Mapping[str, Any]) -> None:
    """Refuse numbers that are not the store's, up to the last bits of decoded vectors."""
    held = np.asarray(variable.values)
    is_codes = view["space"] == "codes"
    largest = 0.0 if is_codes else float(np.nanmax(np.abs(stored), initial=0.0))
    if held.shape != stored.shape or not np.allclose(
        held, stored, rtol=0, atol=_VALUE_SLACK * largest, equal_nan=True
    ):
        raise _another()


def _blocks(found: Origin) -> Iterator[Window]:
    chunk = found.reader.codes.chunks
    return iter(split(found.window, (chunk[-2], chunk[-1])))


def _corners(window: Window) -> list[Window]:
    rows = {window.row, window.row + window.height // 2, window.row + window.height - 1}
    cols = {window.col, window.col + window.width // 2, window.col + window.width - 1}
    return [Window(row, col, 1, 1) for row in sorted(rows) for col in sorted(cols)]


def _check_dimensions(variable: xr.Variable, found: Origin) -> None:
    """Refuse other dimensions than the store's, and a part of its components."""
    first = [name for name in variable.dims if name not in {"y", "x", TIME}]
    length = found.reader.length(**found.view)
    if not {"y", "x"} <= set(variable.dims) or len(first) != 1:
        raise InvalidConfigError(
            f"geoembz: embedding has the dimensions {', '.join(map(str, variable.dims))}; expected "
            "those of the store; use .geoembz on what geoembz.open returned, or a selection of it"
        )
    if variable.sizes[first[0]] != length:
        raise InvalidConfigError(
            f"geoembz: {variable.sizes[first[0]]} of {length} along {first[0]}; expected all; "
            "choose from the result, or open the store with components=K"
        )


def _positions(dataset: xr.Dataset, reader: StoreReader, axis: str) -> NDArray[np.intp]:
    """Return the store's rows or columns along an axis: neighbours, in either direction."""
    if axis not in dataset.dims or axis not in dataset.coords:
        raise InvalidConfigError(
            f"geoembz: dimensions {', '.join(map(str, dataset.dims))}; expected x and y with "
            "their coordinates; select with slices, which keep them"
        )
    if not dataset.sizes[axis]:
        raise InvalidConfigError("geoembz: the dataset has no pixel; select a larger part")
    a, _, c, _, e, f = reader.attributes.grid.transform
    first, step = (c, a) if axis == "x" else (f, e)
    size = reader.shape[0 if axis == "y" else 1]
    places = (dataset[axis].to_numpy().astype(np.float64) - first) / step - 0.5
    rounded = np.rint(np.clip(places, -1, size))
    is_pixel = (np.abs(places - rounded) <= _COORDINATE_SLACK) & (rounded >= 0) & (rounded < size)
    steps = np.diff(rounded)
    if not is_pixel.all() or not ((steps == 1).all() or (steps == -1).all()):
        raise InvalidConfigError(
            f"geoembz: the coordinates of {axis} are not those of neighbouring pixels of "
            f"{reader.url}; expected a rectangle of its pixels, each once and in order; select "
            "with slices without a step"
        )
    return rounded.astype(np.intp)


def _step(positions: NDArray[np.intp]) -> int:
    return -1 if positions[0] > positions[-1] else 1


def _date(dataset: xr.Dataset, reader: StoreReader) -> int:
    """Return the position of the one date that the dataset has."""
    if not reader.dates:
        return 0
    times = np.atleast_1d(dataset[TIME].to_numpy()) if TIME in dataset.coords else np.empty(0)
    if len(times) != 1:
        raise InvalidConfigError(
            f"geoembz: {len(times)} dates; choose one, such as dataset.sel(time='2024')"
        )
    stored = np.array(reader.dates, dtype="datetime64[ns]")
    found = np.flatnonzero(stored == times[0])
    if len(found) != 1:
        raise InvalidConfigError(
            f"geoembz: time {times[0]}; {reader.url} has {', '.join(reader.dates)}; choose one"
        )
    return int(found[0])


def _check_crs(dataset: xr.Dataset, reader: StoreReader) -> None:
    """Refuse a CRS that was written over the store's."""
    from pyproj import CRS

    mapping = dataset.coords.get("spatial_ref")
    wkt = None if mapping is None else mapping.attrs.get("crs_wkt")
    stored = reader.attributes.grid.crs_wkt
    if wkt is not None and wkt != stored and CRS.from_user_input(wkt) != CRS.from_wkt(stored):
        raise InvalidConfigError(
            f"geoembz: the dataset's CRS is not that of {reader.url}; use .geoembz before "
            "reprojecting, or before another CRS is written"
        )


def unknown_store() -> InvalidConfigError:
    """Return the error of a dataset that does not say where it comes from."""
    return InvalidConfigError(
        "geoembz: this dataset does not know its store (what arithmetic made holds other "
        "numbers); use .geoembz on what geoembz.open returned, or on a selection of it"
    )


def _another() -> InvalidConfigError:
    return InvalidConfigError(
        "geoembz: the dataset holds other numbers than its store at its coordinates (concat, roll, "
        "shift and copy(data=) keep the store's name, not its data); use .geoembz on what "
        "geoembz.open returned, or on a selection of it"
    )
