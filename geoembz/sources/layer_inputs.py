"""Open layers: bands of files, variables of netCDF and Zarr, and those beside vectors.

A layer's file is read by what reads vectors, as an input of one component: masks, nodata, tiles of
a mosaic and rows that run northwards are the same matter there.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from geoembz._objects.identity import Subdataset, display_name
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.base import Source
from geoembz.sources.inputs import expand, is_zarr
from geoembz.sources.layers import DATA_TYPES, Layer
from geoembz.sources.mosaic import MosaicSource
from geoembz.sources.nodata import StoredNumbers
from geoembz.sources.options import ReadOptions
from geoembz.sources.placed_layers import LayeredSource, PlacedLayer
from geoembz.sources.raster import RasterSource
from geoembz.sources.wrappers import north_up
from geoembz.sources.xarray_source import (
    DataArraySource,
    is_netcdf,
    open_netcdf,
    open_zarr_group,
)
from geoembz.sources.xarray_variables import beside_vectors, with_mapping
from geoembz.sources.zarr_cube import open_group

if TYPE_CHECKING:
    import xarray as xr

_MEMBER = re.compile(r"(.+):([^:/\\]+)")
_CF = ("units", "long_name", "standard_name", "flag_values", "flag_meanings")


def with_named_layers(source: Source, options: ReadOptions) -> Source:
    """Return a source with the layers that options name.

    Raises
    ------
    SourceError
        If a file cannot be read, or lies elsewhere.
    InvalidConfigError
        If a name is none.
    """
    named = [_open_named(name, place, options) for name, place in options.named_layers]
    if not named:
        return source
    placed = [PlacedLayer.of(layer, one, source.name, source.grid) for layer, one in named]
    return LayeredSource(source, placed)


def with_variables(source: Source, data: "xr.Dataset", options: ReadOptions) -> Source:
    """Return a source with the variables beside its vectors as layers, each on the same pixels.

    Parameters
    ----------
    source
        The vectors of a Dataset, north-up.
    data
        That Dataset.
    options
        How it is read.

    Returns
    -------
    source
        With a note for each variable that can be no layer.
    """
    placed, notes = [], []
    for name in beside_vectors(data):
        try:
            numbers = _of_variable(data, name, options)
            layer = _declared(name, numbers, data[name].attrs)
            placed.append(PlacedLayer.of(layer, _plain(numbers), "the vectors", source.grid))
        except (SourceError, InvalidConfigError) as error:
            notes.append(f"variable {name} is left out: {error}")
    return LayeredSource(source, placed, notes) if placed or notes else source


def _open_named(name: str, place: str, options: ReadOptions) -> tuple[Layer, Source]:
    """Open a layer by its name and ``FILE``, ``FILE:BAND`` or ``FILE:VARIABLE``."""
    Layer(name, "uint8")  # the name, before anything is opened
    path, member = _split_member(place)
    parts = [_open_numbers(name, one, member, options.year) for one in expand([path])]
    layers = list(dict.fromkeys(layer.dtype for layer, _ in parts))
    if len(layers) > 1:
        raise SourceError(
            f"{display_name(place)}: layer {name} of types {' and '.join(layers)}; expected one"
        )
    if len(parts) == 1:
        return parts[0]
    tiles = [tile for _, tile in parts]
    return parts[0][0], MosaicSource(tiles, overlap=options.overlap)


def _split_member(place: str) -> tuple[str, str | None]:
    """Return a path, and what is named behind a colon: a band or a variable.

    Examples
    --------
    >>> _split_member("a/obs.tif:2"), _split_member("s3://bucket/obs.tif")
    (('a/obs.tif', '2'), ('s3://bucket/obs.tif', None))
    """
    match = None if Subdataset.of(place) is not None else _MEMBER.fullmatch(place)
    return (place, None) if match is None else (match[1], match[2])


def _open_numbers(
    name: str, path: str, member: str | None, year: int | None
) -> tuple[Layer, Source]:
    options = ReadOptions(year=year)
    if is_zarr(path) or is_netcdf(path):
        data = open_zarr_group(path, open_group(path)) if is_zarr(path) else open_netcdf(path)
        variable = member or _only_variable(data, display_name(path))
        if variable not in data.data_vars:
            raise SourceError(
                f"{display_name(path)}: no variable {variable!r}; expected one of "
                f"{', '.join(map(str, data.data_vars))}"
            )
        variables = _of_variable(data, variable, options, path)
        return _declared(name, variables, data[variable].attrs), _plain(variables)
    raster = RasterSource(path, options)
    only, attributes = raster.only(_band(raster, member))
    layer = _declared(name, only, attributes)
    if raster.is_masked and not layer.is_float and layer.nodata is None:
        raise SourceError(
            f"{raster.name}: {layer.dtype} with a mask and without a nodata value; expected one "
            f"for layer {name}, such as with gdal_translate -a_nodata {np.iinfo(layer.dtype).max}"
        )
    return layer, _plain(only)


def _only_variable(data: "xr.Dataset", name: str) -> str:
    names = [str(one) for one, array in data.data_vars.items() if array.ndim > 1]
    if len(names) != 1:
        raise SourceError(
            f"{name}: variables {', '.join(names)}; expected the name of one, FILE:VARIABLE"
        )
    return names[0]


def _band(raster: RasterSource, member: str | None) -> int:
    """Return the position of the band that is meant, by its number or its name."""
    if member is None and raster.dimension == 1:
        return 0
    if member is not None and member.isdecimal() and 1 <= int(member) <= raster.dimension:
        return int(member) - 1
    if member is not None and member in raster.band_names:
        return raster.band_names.index(member)
    what = "of which band?" if member is None else f"no band {member!r};"
    raise SourceError(
        f"{raster.name}: {what} expected FILE:BAND with a number from 1 to {raster.dimension}, or "
        "a band's name"
    )


def _of_variable(
    data: "xr.Dataset", name: str, options: ReadOptions, path: str | None = None
) -> DataArraySource:
    """Return a variable of a Dataset as numbers of one component."""
    alone = with_mapping(data)[[name]]
    alone.attrs = {key: value for key, value in data.attrs.items() if "geoembz:" not in str(key)}
    own = replace(options, layers=None, nodata=None)
    numbers = DataArraySource(alone, own, path)
    if path is None:
        numbers.info = ()  # those of the vectors
    else:
        numbers.name = f"{numbers.name}, {name}"
    if numbers.dimension != 1:
        raise SourceError(f"{numbers.name}: {numbers.dimension} numbers per pixel; expected one")
    return numbers


def _declared(name: str, numbers: StoredNumbers, attributes: Mapping[str, Any]) -> Layer:
    """Return what a layer's input declares of it."""
    dtype = np.dtype(np.float32) if numbers.stored_dtype == np.float16 else numbers.stored_dtype
    if dtype.name not in DATA_TYPES:
        raise SourceError(f"{numbers.name}: numbers of type {dtype}; expected integers or floats")
    entry = {key: attributes[key] for key in _CF if key in attributes}
    if "flag_values" in entry:  # netCDF has a single one as a scalar
        entry["flag_values"] = np.atleast_1d(entry["flag_values"]).tolist()
        entry["flag_meanings"] = str(entry.get("flag_meanings", ""))
    if dtype.kind == "f":
        entry = {key: value for key, value in entry.items() if not key.startswith("flag_")}
    if numbers.scaling is not None:
        entry["scale_factor"] = float(numbers.scaling.scales[0])
        entry["add_offset"] = float(numbers.scaling.offsets[0])
    if numbers.nodata is not None and dtype.kind != "f":
        limits = np.iinfo(dtype.name)
        known = [
            value for value in numbers.nodata.values[:, 0] if limits.min <= value <= limits.max
        ]
        entry["missing_value"] = next((int(value) for value in known if value == int(value)), None)
    return Layer.from_json({"name": name, "data_type": dtype.name, **entry})


def _plain(numbers: StoredNumbers) -> Source:
    """Return numbers as they are stored, nodata masked, north-up."""
    return north_up(numbers.unscaled())
