"""Which variables of an xarray object hold the vectors, and along which dimensions."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources import xarray_facts as facts
from geoembz.sources.band_names import BandNames, clean_names, natural_order, pattern, run_of

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
TIME_NAMES = ("time", "date", "year", "t", "valid_time")
VARIABLE_NAMES = ("embedding", "embeddings")
VALID = "valid"
_MASK_NAMES = (VALID, "mask")


@dataclass(frozen=True)
class Layers:
    """The variables of one embedding.

    Parameters
    ----------
    name
        What to call the object in messages.
    arrays
        One variable ``(band, row, column)``, or one ``(row, column)`` per band.
    axes
        Names of the row and column dimensions.
    band_names
        Name of each band, None where it has none.
    crs
        What the object declares; None where it declares none.
    valid
        Boolean variable ``(row, column)``, True where a pixel holds a vector; None without one.
    """

    name: str
    arrays: tuple["xr.DataArray", ...]
    axes: tuple[str, str]
    band_names: BandNames
    crs: Any
    valid: "xr.DataArray | None" = None

    def read(
        self, window: Window, dtype: np.dtype[np.generic]
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window's numbers as they are stored, and what the variable `valid` says."""
        if len(self.arrays) == 1 and self.arrays[0].ndim == 3:
            raw = np.asarray(self.arrays[0][:, *window.slices].values)
        else:
            raw = np.empty((len(self.arrays), *window.shape), dtype)
            for row, array in enumerate(self.arrays):
                raw[row] = array[*window.slices].values
        known = None if self.valid is None else np.asarray(self.valid[*window.slices].values)
        return raw, known

    def nodata(self) -> list[list[float] | None]:
        """Return the nodata values that each band declares."""
        return [
            values for array in self.arrays for values in facts.declared_nodata(array, _n(array))
        ]

    def scaling(self) -> tuple[list[float], list[float]]:
        """Return scale and offset of each band."""
        parts = [facts.declared_scaling(array, _n(array)) for array in self.arrays]
        return [s for scales, _ in parts for s in scales], [o for _, terms in parts for o in terms]


def find_layers(data: Any, year: int | None = None) -> Layers:
    """Return the variables of a DataArray or Dataset that hold vectors.

    Parameters
    ----------
    data
        The object.
    year
        Which year to take where there are several times.

    Raises
    ------
    SourceError
        If they or their dimensions cannot be told apart.
    """
    if hasattr(data, "data_vars"):
        data = facts.with_mapping(data)
        lying = {str(name): array for name, array in data.data_vars.items() if _lies(array)}
        return _of_dataset(data, {name: _one_time(array, year) for name, array in lying.items()})
    array = _one_time(data, year)
    return _of_cube(array, facts.declared_crs(array), None)


def _of_dataset(data: "xr.Dataset", variables: dict[str, "xr.DataArray"]) -> Layers:
    if "geoembz:version" in data.attrs and any(v.dtype.kind != "f" for v in variables.values()):
        raise SourceError(
            "xarray Dataset: codes of a store of geoembz, not vectors; expected what "
            "geoembz.open(STORE) gives, or name the store itself"
        )
    masks = {name for name, array in variables.items() if _is_mask(name, array)}
    others = {name: array for name, array in variables.items() if name not in masks}
    named = [others[name] for name in VARIABLE_NAMES if name in others]
    cubes = named or [array for array in others.values() if array.ndim == 3]
    flat = _counted([array for array in others.values() if array.ndim == 2])
    valid = _valid(variables, masks)
    crs = facts.declared_crs(data)
    if len(cubes) == 1:
        return _of_cube(cubes[0], facts.declared_crs(cubes[0]) or crs, valid)
    if cubes or not flat:
        raise SourceError(
            f"xarray Dataset with variables {', '.join(map(str, data))}; expected one called "
            "'embedding', one with three dimensions, or one 2-D variable per component"
        )
    rows, columns = _axes("xarray Dataset", flat[0])
    arrays = tuple(array.transpose(rows, columns) for array in flat)
    names = clean_names([array.name for array in flat])
    crs = facts.declared_crs(flat[0]) or crs
    return Layers("xarray Dataset", arrays, (rows, columns), names, crs, _turned(valid, arrays[0]))


def _counted(arrays: list["xr.DataArray"]) -> list["xr.DataArray"]:
    """Return variables in the order of their numbers, as files of one band stand.

    Files list them otherwise: Zarr by the alphabet, ``e10`` before ``e2``.
    """
    names = [str(array.name) for array in arrays]
    run = run_of(names)
    if run is None or any(pattern(name) != run for name in names):
        return arrays
    return sorted(arrays, key=lambda array: natural_order(str(array.name)))


def _of_cube(array: "xr.DataArray", crs: Any, valid: "xr.DataArray | None") -> Layers:
    name = f"xarray {array.name or 'DataArray'}"
    rows, columns = _axes(name, array)
    bands = [str(dim) for dim in array.dims if str(dim) not in {rows, columns}]
    if len(bands) != 1:
        raise SourceError(
            f"{name}: dimensions {dict(array.sizes)}; expected rows ({', '.join(ROW_NAMES)}), "
            f"columns ({', '.join(COLUMN_NAMES)}) and one of components; select one entry of the "
            "others, such as with .isel(time=0), or rename dimensions"
        )
    cube = array.transpose(bands[0], rows, columns)
    names = facts.band_names(cube, bands[0])
    return Layers(name, (cube,), (rows, columns), names, crs, _turned(valid, cube))


def _n(array: "xr.DataArray") -> int:
    """Return how many bands a variable holds."""
    return int(array.shape[0]) if array.ndim == 3 else 1


def _one_time(array: "xr.DataArray", year: int | None) -> "xr.DataArray":
    """Choose a year's time; drop dimensions of length 1 that are no rows, columns or bands."""
    for dim in map(str, array.dims):
        if year is not None and array.sizes[dim] > 1 and _is_time(array, dim):
            chosen = [index for index, found in enumerate(_years(array[dim])) if found == year]
            if len(chosen) == 1:
                array = array.isel({dim: chosen[0]})
        if array.sizes.get(dim, 1) > 1 and _is_time(array, dim):
            raise SourceError(
                f"xarray {array.name or 'DataArray'}: {array.sizes[dim]} entries of {dim!r}; "
                f"expected one date; select it, such as with .isel({dim}=0)"
            )
    known = {*ROW_NAMES, *COLUMN_NAMES, *BAND_NAMES}
    alone = [dim for dim in array.dims if array.sizes[dim] == 1 and str(dim).lower() not in known]
    return array.squeeze(alone, drop=True)


def _is_time(array: "xr.DataArray", dim: str) -> bool:
    """Whether a dimension is one of times, by its name or its coordinate."""
    return dim.lower() in TIME_NAMES or (
        dim in array.coords and array.coords[dim].dtype.kind in "Mm"
    )


def _years(times: "xr.DataArray") -> list[int | None]:
    """Return the year of each time: of dates, or of numbers that are years."""
    if times.dtype.kind == "M":
        return [int(value) + 1970 for value in times.values.astype("datetime64[Y]").astype(int)]
    return [getattr(v, "year", int(v) if times.dtype.kind in "iu" else None) for v in times.values]


def _lies(array: "xr.DataArray") -> bool:
    """Whether a variable has rows and columns."""
    dims = {str(dim).lower() for dim in array.dims}
    return bool(dims & set(ROW_NAMES)) and bool(dims & set(COLUMN_NAMES))


def _axes(name: str, array: "xr.DataArray") -> tuple[str, str]:
    """Return the names of the row and the column dimension."""
    rows = [str(dim) for dim in array.dims if str(dim).lower() in ROW_NAMES]
    columns = [str(dim) for dim in array.dims if str(dim).lower() in COLUMN_NAMES]
    if len(rows) != 1 or len(columns) != 1:
        raise SourceError(
            f"{name}: dimensions {tuple(map(str, array.dims))}; expected one of rows "
            f"({', '.join(ROW_NAMES)}) and one of columns ({', '.join(COLUMN_NAMES)}); rename them"
        )
    return rows[0], columns[0]


def _is_mask(name: str, array: "xr.DataArray") -> bool:
    return name.lower() in _MASK_NAMES or array.dtype.kind == "b"


def _valid(
    variables: Mapping[str, "xr.DataArray"], masks: Collection[str]
) -> "xr.DataArray | None":
    """Return the variable `valid`; refuse masks whose meaning nobody says."""
    unclear = sorted(name for name in masks if name != VALID or variables[name].dtype.kind != "b")
    if unclear:
        raise SourceError(
            f"xarray Dataset: variable {unclear[0]!r} looks like a mask, and masks are true where "
            f"data are missing, or where they are not; expected a boolean one called {VALID!r}, "
            "true where there are data; apply it yourself, such as with "
            f"ds[['embedding']].where(ds[{unclear[0]!r}]), or drop it"
        )
    return variables[VALID] if VALID in masks else None


def _turned(valid: "xr.DataArray | None", array: "xr.DataArray") -> "xr.DataArray | None":
    """Return the mask with its dimensions in the order of an array's last two."""
    if valid is None:
        return None
    rows, columns = map(str, array.dims[-2:])
    if {*map(str, valid.dims)} != {rows, columns}:
        raise SourceError(
            f"xarray Dataset: {VALID!r} has dimensions {dict(valid.sizes)}; expected  "
            f"{rows} and {columns}"
        )
    return valid.transpose(rows, columns)
