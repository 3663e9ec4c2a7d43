"""Files that xarray opens: netCDF, and Zarr groups of whatever product."""

from typing import TYPE_CHECKING

import zarr

from geoembz._objects.identity import display_name
from geoembz._objects.subdatasets import Subdataset
from geoembz.errors import SourceError
from geoembz.sources.inputs import NETCDF_SUFFIXES

if TYPE_CHECKING:
    import xarray as xr

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
            root.store, chunks={}, decode_coords="all", mask_and_scale=False, consolidated=False
        )
    except _FAULTS as error:
        raise SourceError(
            f"{name}: a Zarr group that xarray cannot open ({error}); expected Tessera's utmNN "
            f"groups, AlphaEarth's (time, 64, y, x) int8, a store of geoembz, or {_EXPECTED}"
        ) from error
    return _with_vectors(dataset, name, "a Zarr group", [member for member, _ in root.members()])


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
