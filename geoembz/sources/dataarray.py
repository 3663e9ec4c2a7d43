"""Any xarray DataArray or Dataset with a band-like dimension."""

from typing import TYPE_CHECKING, Any

import numpy as np

from geoembz.errors import InvalidConfigError, MissingPackageError, SourceError
from geoembz.grid import Grid, Window
from geoembz.sources.band_names import BandNames, cleaned
from geoembz.sources.base import SourceData, SourceInfo
from geoembz.sources.georeference import make_grid
from geoembz.sources.zarr_cube import step_and_edge

if TYPE_CHECKING:
    import xarray as xr

ROW_NAMES, COLUMN_NAMES = ("y", "lat", "latitude", "northing"), ("x", "lon", "longitude", "easting")
BAND_NAMES = (
    "band",
    "component",
    "dimension",
    "embedding",
    "feature",
    "channel",
    "bands",
    "variable",
)
VARIABLE_NAMES = ("embedding", "embeddings")
_KNOWN = {*ROW_NAMES, *COLUMN_NAMES, *BAND_NAMES}
_BLOCK_SIDE = 256


def is_xarray(value: object) -> bool:
    """Whether a value is an xarray object, without importing xarray where nobody has."""
    return type(value).__module__.partition(".")[0] == "xarray"


class DataArraySource:
    """Pixels of an xarray object; lazy ones are computed window by window.

    Parameters
    ----------
    data
        A DataArray with one dimension of rows, one of columns and one of components, in any
        order; or a Dataset with a variable `embedding`, with one such variable, or with one 2-D
        variable per component.
    crs
        Replaces the CRS that ``data.rio`` knows.
    nodata
        Replaces ``data.rio.nodata``; ``"none"`` says that there is none.

    Raises
    ------
    SourceError
        If the dimensions cannot be told apart, or there is no CRS.
    """

    def __init__(
        self, data: Any, *, crs: str | None = None, nodata: float | str | None = None
    ) -> None:
        array = _to_array(data)
        self.name = f"xarray {array.name or 'DataArray'}"
        band, rows, columns = _dimensions(self.name, array)
        self._array = array.transpose(band, rows, columns)
        self.dimension = int(self._array.sizes[band])
        self.dtype = np.dtype(self._array.dtype)
        self.grid: Grid = _grid(self.name, self._array, rows, columns, crs)
        self.band_names = _band_names(self._array, band)
        self._nodata = _nodata(self._array, nodata)
        self.block_shape = _blocks(self._array)
        self.info = (SourceInfo(uri=f"urn:geoembz:xarray:{array.name or 'unnamed'}"),)

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        values = np.asarray(self._array[:, *window.slices].values)
        valid = None if self._nodata is None else ~(values == self._nodata).any(axis=0)
        return SourceData(values, valid)


def _to_array(data: Any) -> "xr.DataArray":
    try:
        import rioxarray  # noqa: F401 - registers .rio
        import xarray as xr
    except ImportError as error:
        raise MissingPackageError(
            "xarray input needs xarray and rioxarray; install both"
        ) from error
    if isinstance(data, xr.DataArray):
        return data
    if not isinstance(data, xr.Dataset):
        raise InvalidConfigError(
            f"source of type {type(data).__name__}; expected a path, an xarray DataArray or Dataset"
        )
    named = [data[name] for name in VARIABLE_NAMES if name in data]
    cubes = named or [variable for variable in data.values() if variable.ndim == 3]
    if len(cubes) == 1:
        return cubes[0]
    flat = [str(name) for name, variable in data.items() if variable.ndim == 2]
    if cubes or not flat:
        raise SourceError(
            f"xarray Dataset with variables {', '.join(map(str, data))}; expected one called "
            "'embedding', one with three dimensions, or one 2-D variable per component"
        )
    return data[flat].to_array("component")


def _dimensions(name: str, array: "xr.DataArray") -> tuple[str, str, str]:
    """Return the names of the component, row and column dimensions."""
    squeezed = [str(dim) for dim in array.dims if array.sizes[dim] > 1 or dim in _KNOWN]
    rows = [dim for dim in squeezed if dim.lower() in ROW_NAMES]
    columns = [dim for dim in squeezed if dim.lower() in COLUMN_NAMES]
    others = [str(dim) for dim in array.dims if str(dim) not in {*rows, *columns}]
    if len(rows) != 1 or len(columns) != 1 or len(others) != 1:
        raise SourceError(
            f"{name}: dimensions {tuple(map(str, array.dims))}; expected rows "
            f"({', '.join(ROW_NAMES)}), columns ({', '.join(COLUMN_NAMES)}) and one of components; "
            "select one time, or rename dimensions"
        )
    return others[0], rows[0], columns[0]


def _grid(name: str, array: "xr.DataArray", rows: str, columns: str, crs: str | None) -> Grid:
    if rows not in array.coords or columns not in array.coords:
        raise SourceError(
            f"{name}: no coordinates {rows!r} and {columns!r}; expected pixel centres"
        )
    e, f = step_and_edge(f"{name}: {rows}", np.asarray(array[rows].values))
    a, c = step_and_edge(f"{name}: {columns}", np.asarray(array[columns].values))
    system = array.rio.crs
    if system is None and rows.lower() in {"lat", "latitude"}:
        system = "EPSG:4326"
    shape = (int(array.sizes[rows]), int(array.sizes[columns]))
    return make_grid(name, system, (a, 0.0, c, 0.0, e, f), shape, crs)


def _band_names(array: "xr.DataArray", band: str) -> BandNames:
    """Return labels of the components: of their coordinate, or as rioxarray keeps a file's.

    A coordinate that only counts names nothing.
    """
    count = array.sizes[band]
    if band in array.coords:
        labels = array[band].to_numpy()
        counts = labels.dtype.kind in "iuf" and any(
            np.array_equal(labels, np.arange(start, start + count)) for start in (0, 1)
        )
        if labels.ndim == 1 and not counts:
            return cleaned(labels.tolist())
    for attribute in ("long_name", "descriptions"):
        names = array.attrs.get(attribute)
        if isinstance(names, list | tuple) and len(names) == count:
            return cleaned(names)
    return (None,) * count


def _nodata(array: "xr.DataArray", nodata: float | str | None) -> float | None:
    value = array.rio.nodata if nodata is None else nodata
    if value is None or (isinstance(value, str) and value.lower() == "none"):
        return None
    try:
        number = float(value)
    except ValueError as error:
        raise InvalidConfigError(f"nodata {nodata!r}; expected a number, nan or none") from error
    return None if np.isnan(number) else number


def _blocks(array: "xr.DataArray") -> tuple[int, int]:
    """Return the rows and columns of a dask chunk, or a plain square."""
    height, width = array.shape[1:]
    chunks = array.chunks
    rows, cols = (max(chunks[1]), max(chunks[2])) if chunks else (_BLOCK_SIDE, _BLOCK_SIDE)
    return min(rows, height), min(cols, width)
