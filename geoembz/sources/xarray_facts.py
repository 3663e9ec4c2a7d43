"""What an xarray object declares: nodata, scale and offset, band names, CRS.

xarray keeps what it has not applied in `attrs` (undecoded: `mask_and_scale=False`, rioxarray's
default, odc) and what it has applied in `encoding`.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from geoembz.errors import SourceError
from geoembz.sources.band_names import BandNames, clean_names

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
