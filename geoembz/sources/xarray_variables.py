"""Which variables of an xarray object hold the vectors, along which dimensions; what they declare.

xarray keeps what it has not applied in `attrs` (undecoded: `mask_and_scale=False`, rioxarray's
default, odc) and what it has applied in `encoding`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources.band_names import BandNames, clean_names, natural_order, pattern, run_of

if TYPE_CHECKING:
    import xarray as xr


NODATA_NAMES = ("_FillValue", "missing_value", "nodata", "_nodata", "nodatavals")
MAPPING_NAMES = ("spatial_ref", "crs")
_CRS_NAMES = ("crs_wkt", "spatial_ref", "proj:wkt2", "proj:code", "proj:projjson", "crs", "epsg")


def declared_nodata(array: "xr.DataArray", bands: int) -> list[list[float] | None]:
    """Return the nodata values that a variable declares, for each of its bands.

    What `encoding` says of an array that xarray has scaled is not in its numbers any more.

    Raises
    ------
    SourceError
        If something else than numbers is declared.
    """
    places: list[Mapping[str, Any]] = [array.attrs]
    if not {"scale_factor", "add_offset"} & set(array.encoding):
        places.append(array.encoding)
    found: list[list[float]] = [[] for _ in range(bands)]
    for name in NODATA_NAMES:
        for value in (place[name] for place in places if place.get(name) is not None):
            for values, one in zip(found, _per_band(array, name, value, bands), strict=True):
                values += [number for number in one if not np.isnan(number)]
    return [values or None for values in found]


def declared_scaling(array: "xr.DataArray", bands: int) -> tuple[list[float], list[float]]:
    """Return scale and offset of each band of a variable, where xarray has not applied them.

    Raises
    ------
    SourceError
        If they are no numbers, or not as many as there are bands.
    """
    scales, offsets = [1.0] * bands, [0.0] * bands
    for names, out in ((("scale_factor", "scales"), scales), (("add_offset", "offsets"), offsets)):
        for name in names:
            if array.attrs.get(name) is not None:
                each = _per_band(array, name, array.attrs[name], bands)
                out[:] = [values[0] for values in each]
    return scales, offsets


def band_names(array: "xr.DataArray", band: str) -> BandNames:
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
            return clean_names(labels.tolist())
    for attribute in ("long_name", "descriptions"):
        names = array.attrs.get(attribute)
        if isinstance(names, list | tuple) and len(names) == count:
            return clean_names(names)
    return (None,) * count


def declared_crs(data: "xr.DataArray | xr.Dataset") -> Any:
    """Return the CRS that an object declares, in a form that PROJ knows; None without one.

    Looked for in rioxarray's and CF's grid mapping (a coordinate, or a variable where the Dataset
    was opened without `decode_coords="all"`), and in attributes.
    """
    system = data.rio.crs
    if system is not None:
        return system
    places = [data.coords[name] for name in data.coords if not data.coords[name].ndim]
    for place in (*places, data):
        for name in _CRS_NAMES:
            if place.attrs.get(name):
                return place.attrs[name]
    for name in ("epsg", "proj:epsg"):
        if name in data.coords and not data.coords[name].ndim:
            return f"EPSG:{int(data.coords[name])}"
    return None


def with_mapping(data: "xr.Dataset") -> "xr.Dataset":
    """Return a Dataset whose grid mappings are coordinates, so that its variables have them."""
    named = {str(name) for variable in data.data_vars.values() for name in _mappings(variable)}
    scalars = [
        name
        for name, variable in data.data_vars.items()
        if name in {*named, *MAPPING_NAMES} and not variable.ndim
    ]
    return data.set_coords(scalars)


def file_name(array: "xr.DataArray") -> str:
    """Return the name of the file that an untouched array was opened from; else nothing."""
    return PurePosixPath(str(array.encoding.get("source", "")).partition("?")[0]).name


def _mappings(variable: "xr.DataArray") -> Iterator[str]:
    for place in (variable.attrs, variable.encoding):
        if isinstance(place.get("grid_mapping"), str):
            yield place["grid_mapping"]


def _per_band(array: "xr.DataArray", name: str, value: Any, bands: int) -> Iterable[list[float]]:
    """Return the values of each band: one each where there are as many, else all for all."""
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float64)).tolist()
    except (TypeError, ValueError) as error:
        raise SourceError(
            f"xarray {array.name or 'DataArray'}: attribute {name} is {value!r}; expected numbers; "
            "correct or remove it"
        ) from error
    per_band = isinstance(value, list | tuple) and len(numbers) == bands
    if name in {"scale_factor", "add_offset", "scales", "offsets"} and not (
        per_band or len(numbers) == 1
    ):
        raise SourceError(
            f"xarray {array.name or 'DataArray'}: attribute {name} has {len(numbers)} numbers; "
            f"expected one, or {bands}: one per band"
        )
    return [[number] for number in numbers] if per_band else [numbers] * bands


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
class Variables:
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
        return [values for array in self.arrays for values in declared_nodata(array, _n(array))]

    def scaling(self) -> tuple[list[float], list[float]]:
        """Return scale and offset of each band."""
        parts = [declared_scaling(array, _n(array)) for array in self.arrays]
        return [s for scales, _ in parts for s in scales], [o for _, terms in parts for o in terms]


def find_variables(data: Any, year: int | None = None) -> Variables:
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
        data = with_mapping(data)
        lying = {str(name): array for name, array in data.data_vars.items() if _lies(array)}
        return _of_dataset(data, {name: _one_time(array, year) for name, array in lying.items()})
    array = _one_time(data, year)
    return _of_cube(array, declared_crs(array), None)


def beside_vectors(data: "xr.Dataset") -> list[str]:
    """Return the variables with rows and columns beside that of the vectors, and their mask.

    None where each component is a variable: there, every one is a part of the vectors.
    """
    lying = {str(name): array for name, array in data.data_vars.items() if _lies(array)}
    others = {name: array for name, array in lying.items() if not _is_mask(name, array)}
    named = [name for name in others if name in VARIABLE_NAMES]
    vectors = named or [name for name, array in others.items() if _is_cube(array)]
    return [name for name in others if name not in vectors] if len(vectors) == 1 else []


def _is_cube(array: "xr.DataArray") -> bool:
    """Whether a variable has an axis beside rows, columns and times."""
    known = {*ROW_NAMES, *COLUMN_NAMES}
    return any(
        str(dim).lower() not in known and not _is_time(array, str(dim)) and array.sizes[dim] > 1
        for dim in array.dims
    )


def _of_dataset(data: "xr.Dataset", variables: dict[str, "xr.DataArray"]) -> Variables:
    vectors = [variables[name] for name in VARIABLE_NAMES if name in variables]
    kinds = {array.dtype.kind for array in vectors or variables.values()}
    if "geoembz:version" in data.attrs and kinds != {"f"}:
        raise SourceError(
            "xarray Dataset: codes of a store of geoembz, not vectors; expected what "
            "geoembz.open(STORE) gives, or name the store itself"
        )
    masks = {name for name, array in variables.items() if _is_mask(name, array)}
    others = {name: array for name, array in variables.items() if name not in masks}
    named = [others[name] for name in VARIABLE_NAMES if name in others]
    cubes = named or [array for array in others.values() if array.ndim == 3]
    flat = _sort_by_number([array for array in others.values() if array.ndim == 2])
    valid = _valid(variables, masks)
    crs = declared_crs(data)
    if len(cubes) == 1:
        return _of_cube(cubes[0], declared_crs(cubes[0]) or crs, valid)
    if cubes or not flat:
        raise SourceError(
            f"xarray Dataset with variables {', '.join(map(str, data))}; expected one called "
            "'embedding', one with three dimensions, or one 2-D variable per component"
        )
    rows, columns = _axes("xarray Dataset", flat[0])
    arrays = tuple(array.transpose(rows, columns) for array in flat)
    names = clean_names([array.name for array in flat])
    crs = declared_crs(flat[0]) or crs
    return Variables(
        "xarray Dataset", arrays, (rows, columns), names, crs, _transpose_mask(valid, arrays[0])
    )


def _sort_by_number(arrays: list["xr.DataArray"]) -> list["xr.DataArray"]:
    """Return variables in the order of their numbers, as files of one band stand.

    Files list them otherwise: Zarr by the alphabet, ``e10`` before ``e2``.
    """
    names = [str(array.name) for array in arrays]
    run = run_of(names)
    if run is None or any(pattern(name) != run for name in names):
        return arrays
    return sorted(arrays, key=lambda array: natural_order(str(array.name)))


def _of_cube(array: "xr.DataArray", crs: Any, valid: "xr.DataArray | None") -> Variables:
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
    names = band_names(cube, bands[0])
    return Variables(name, (cube,), (rows, columns), names, crs, _transpose_mask(valid, cube))


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


def _transpose_mask(valid: "xr.DataArray | None", array: "xr.DataArray") -> "xr.DataArray | None":
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
