"""xarray objects with a dimension of bands, or one variable per band; netCDF and Zarr as such."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window
from geoembz._objects.identity import Subdataset, display_name
from geoembz._util.optional import import_extra
from geoembz.errors import InvalidConfigError, MissingPackageError, SourceError
from geoembz.sources.band_names import find_outsiders
from geoembz.sources.georeference import control_points_only, make_grid
from geoembz.sources.inputs import NETCDF_SUFFIXES, is_zarr
from geoembz.sources.nodata import Nodata, Scaling, StoredNumbers
from geoembz.sources.options import AS_DECLARED, ReadOptions, parse_transform
from geoembz.sources.provenance import SourceInfo, identify, identify_tree
from geoembz.sources.raster import grid_like
from geoembz.sources.xarray_variables import Variables, file_name, find_variables
from geoembz.sources.zarr_cube import step_and_edge

if TYPE_CHECKING:
    import xarray as xr


_HDF5 = b"\x89HDF"
_FAULTS = (ValueError, TypeError, KeyError, RuntimeError, OSError, NotImplementedError)
_EXPECTED = "variables with named dimensions y, x and one of components, or one per component"


def is_netcdf(path: str) -> bool:
    """Whether a local path is, by its name, a netCDF file, or names a variable of one.

    Those of servers are left to GDAL.
    """
    part = Subdataset.of(path)
    if part is not None:
        return part.prefix.upper() == "NETCDF" and is_netcdf(part.file)
    return "://" not in path and path.lower().endswith(NETCDF_SUFFIXES)


def open_netcdf(path: str) -> "xr.Dataset":
    """Open a netCDF file as a Dataset, lazily, its numbers as they are stored.

    GDAL reads these files, too, but places them only where coordinates carry CF's standard names,
    and makes each variable a subdataset of its own.

    Raises
    ------
    SourceError
        If there is none, or xarray cannot make a Dataset of it.
    MissingPackageError
        If it is netCDF-4, and h5netcdf is not installed.
    """
    import xarray as xr

    part = Subdataset.of(path)
    if part is not None:
        return _variable(open_netcdf(part.file), display_name(path), part.member)
    name = display_name(path)
    try:
        dataset = xr.open_dataset(path, chunks={}, decode_coords="all", mask_and_scale=False)
    except FileNotFoundError as error:
        raise SourceError(f"{name}: no such file; expected netCDF") from error
    except _FAULTS as error:
        if _first_bytes(path) == _HDF5:
            import_extra("h5netcdf", "netcdf", f"{name}: netCDF-4 needs h5netcdf")
        raise SourceError(
            f"{name}: not a netCDF file that xarray opens ({error}); expected {_EXPECTED}"
        ) from error
    return _with_vectors(dataset, name, "a netCDF file", [str(one) for one in dataset.variables])


def open_zarr_group(path: str, root: zarr.Group) -> "xr.Dataset":
    """Open a Zarr group as a Dataset, lazily, its numbers as they are stored.

    Scale and nodata stay attributes, so that they are applied by the rules that hold for files.

    Parameters
    ----------
    path
        Where it is, for messages.
    root
        The open group.

    Raises
    ------
    SourceError
        If xarray cannot make a Dataset of it, or nothing in it has rows and columns.
    """
    import xarray as xr

    name = display_name(path)
    try:
        dataset: xr.Dataset = xr.open_zarr(
            root.store,
            group=root.path or None,
            chunks={},
            decode_coords="all",
            mask_and_scale=False,
            consolidated=False,
        )
    except _FAULTS as error:
        raise SourceError(
            f"{name}: a Zarr group that xarray cannot open ({error}); expected Tessera's utmNN "
            f"groups, AlphaEarth's (time, 64, y, x) int8, a store of geoembz, or {_EXPECTED}"
        ) from error
    return _with_vectors(dataset, name, "a Zarr group", [member for member, _ in root.members()])


def _first_bytes(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(len(_HDF5))


def _variable(dataset: "xr.Dataset", name: str, variable: str) -> "xr.Dataset":
    """Return a Dataset of one variable, with the attributes of all."""
    if variable not in dataset.data_vars:
        raise SourceError(
            f"{name}: no such variable; expected one of {', '.join(map(str, dataset.data_vars))}"
        )
    return dataset[[variable]]


def _with_vectors(dataset: "xr.Dataset", name: str, kind: str, members: list[str]) -> "xr.Dataset":
    """Return a Dataset; refuse one in which nothing can be a raster of vectors."""
    if any(variable.ndim > 1 for variable in dataset.data_vars.values()):
        return dataset
    raise SourceError(
        f"{name}: {kind} of no known product (members {', '.join(sorted(members)) or 'none'}); "
        f"expected {_EXPECTED}; if a child group has them, name that"
    )


_BLOCK_SIDE = 256
"""Of arrays in memory, which have no blocks: 64 float32 components of one fill 16 MB."""


def is_xarray(value: object) -> bool:
    """Whether a value is an xarray object, without importing xarray where nobody has."""
    return type(value).__module__.partition(".")[0] == "xarray"


class DataArraySource(StoredNumbers):
    """Pixels of an xarray object; lazy ones are computed window by window.

    What the object declares holds as it does for a file: nodata and scale of each variable
    (`_FillValue`, `missing_value`, `nodata`; `scale_factor`, `add_offset`), names of bands, CRS.

    Parameters
    ----------
    data
        A DataArray with one dimension of rows, one of columns and one of components, in any
        order; or a Dataset with a variable `embedding`, with one such variable, or with one 2-D
        variable per component. Further dimensions have length 1.
    options
        What replaces the nodata values, CRS and coordinates that the object declares, or stands for
        them; and which year to read where there are several times.
    path
        Where the object was opened from; None where only the program knows.

    Raises
    ------
    SourceError
        If the dimensions cannot be told apart, there is no CRS, or numbers are none.
    """

    def __init__(
        self, data: Any, options: ReadOptions = AS_DECLARED, path: str | None = None
    ) -> None:
        _require_packages(data)
        variables = find_variables(data, options.year)
        self._variables: Variables = (
            variables if path is None else replace(variables, name=display_name(path))
        )
        first = self._variables.arrays[0]
        self.name, self.path = self._variables.name, path or file_name(first)
        self.band_names = self._variables.band_names
        self.dimension = len(self.band_names)
        self.outsiders = _outsiders(self._variables)
        self.stored_dtype = _real_dtype(self.name, self._variables.arrays)
        self.nodata = Nodata.of(self._variables.nodata(), options.nodata)
        self.scaling = Scaling.of(*self._variables.scaling())
        self.grid = _grid(self._variables, options)
        self.block_shape = _blocks(first, self.grid.shape)
        self.info = (_origin(first, len(self._variables.arrays), path),)

    def read_stored(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window's numbers as they are stored, and what the variable `valid` says."""
        return self._variables.read(window, self.stored_dtype)


def _require_packages(data: Any) -> None:
    try:
        import rioxarray  # noqa: F401 - registers .rio
        import xarray as xr
    except ImportError as error:
        raise MissingPackageError(
            "xarray input needs xarray and rioxarray; install both"
        ) from error
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise InvalidConfigError(
            f"source of type {type(data).__name__}; expected a path, an xarray DataArray or Dataset"
        )


def _outsiders(variables: Variables) -> dict[int, str]:
    """Return the variables that are no components, and what tells them from the others."""
    if len(variables.arrays) < 2:
        return {}
    names = (str(array.name) for array in variables.arrays)
    return find_outsiders(
        [([name], array.dtype) for name, array in zip(names, variables.arrays, strict=True)]
    )


def _real_dtype(name: str, arrays: Sequence["xr.DataArray"]) -> np.dtype[np.generic]:
    for array in arrays:
        if array.dtype.kind not in "fiu":
            raise SourceError(
                f"{name}: {array.name or 'values'} of type {array.dtype}; expected real numbers"
            )
        if str(array.attrs.get("_Unsigned", "")).lower() == "true" and array.dtype.kind == "i":
            raise SourceError(
                f"{name}: {array.name or 'values'} of type {array.dtype} says that it is unsigned; "
                "open it with mask_and_scale=True, so that xarray turns the numbers"
            )
    return np.result_type(*(array.dtype for array in arrays))


def _origin(first: "xr.DataArray", count: int, path: str | None) -> SourceInfo:
    """Return what identifies the object: the file or Zarr group, or its name."""
    if path is not None:
        return identify_tree(path) if is_zarr(path) else identify(path)
    label = first.name if count == 1 else "dataset"
    return SourceInfo(uri=f"urn:geoembz:xarray:{label or 'unnamed'}")


def _grid(variables: Variables, options: ReadOptions) -> Grid:
    array, (rows, columns) = variables.arrays[0], variables.axes
    shape, crs = (int(array.sizes[rows]), int(array.sizes[columns])), options.crs
    if options.like is not None:
        return grid_like(options.like, variables.name, shape)
    given = parse_transform(options.transform)
    if given is not None:
        return make_grid(variables.name, variables.crs, given, shape, crs)
    if array.rio.get_gcps() and not array.coords.keys() >= {rows, columns}:
        raise control_points_only(variables.name, "ground control points")
    if rows not in array.coords or columns not in array.coords:
        if any(coordinate.ndim == 2 for coordinate in array.coords.values()):
            raise control_points_only(variables.name, "geolocation arrays", "-geoloc ")
        raise SourceError(
            f"{variables.name}: no coordinates {rows!r} and {columns!r}; expected pixel centres; "
            "say where it lies with --like RASTER, or with --crs and --transform"
        )
    e, f = step_and_edge(f"{variables.name}: {rows}", np.asarray(array[rows].values))
    a, c = step_and_edge(f"{variables.name}: {columns}", np.asarray(array[columns].values))
    system = variables.crs
    are_degrees = rows.lower() in {"lat", "latitude"}
    if system is None and crs is None and are_degrees:
        system = "EPSG:4326"
    if system is None and crs is None:
        raise SourceError(
            f"{variables.name}: no coordinate reference system; expected one in a coordinate such "
            "as spatial_ref; write it with .rio.write_crs('EPSG:…'), or pass crs='EPSG:…'"
        )
    transform = (a, 0.0, c, 0.0, e, f)
    return make_grid(variables.name, system, transform, shape, crs, are_degrees=are_degrees)


def _blocks(array: "xr.DataArray", shape: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of a dask chunk, or a plain square."""
    chunks = array.chunks
    rows, cols = (max(chunks[-2]), max(chunks[-1])) if chunks else (_BLOCK_SIDE, _BLOCK_SIDE)
    return min(rows, shape[0]), min(cols, shape[1])
