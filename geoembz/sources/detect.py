"""Which product an input is, by its content and its name; ``--product`` overrides."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from geoembz._objects.identity import display_name, split_query
from geoembz._objects.reading import exists
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import aef, tessera
from geoembz.sources.arrays import load_array, place_array
from geoembz.sources.band_names import list_names, pattern, run_of
from geoembz.sources.base import Source, SourceTraits, traits_of
from geoembz.sources.checks import (
    AEF_BANDS,
    RECIPE,
    PossibleSource,
    PowerLawSource,
    refuse_other_nodata,
)
from geoembz.sources.inputs import ARRAY_SUFFIXES, is_zarr
from geoembz.sources.layer_inputs import with_variables
from geoembz.sources.nodata import StoredNumbers
from geoembz.sources.options import AEF, BANDS, OLMOEARTH, RASTER, TESSERA, ReadOptions
from geoembz.sources.raster import RasterSource
from geoembz.sources.tessera import SCALES_SUFFIX, TesseraNpySource
from geoembz.sources.wrappers import north_up, with_traits
from geoembz.sources.xarray_source import is_netcdf, open_netcdf, open_zarr_group
from geoembz.sources.zarr_cube import ZarrCube, open_group

OLMOEARTH_MODEL, OLMOEARTH_BANDS = "https://huggingface.co/allenai/OlmoEarth-v1-Base", 768

ONE_BAND = (
    "one band: vectors of one number; a mask, labels or elevations are no embedding, and one of "
    "many files is a part of one (name all of them)"
)


def open_input(path: str, options: ReadOptions) -> list[Source]:
    """Open one input: one source, or one per zone where a Zarr store holds several.

    Raises
    ------
    SourceError
        If the input cannot be read, or is no product known here.
    """
    if is_zarr(path):
        return [north_up(source) for source in _open_zarr(path, options)]
    if is_netcdf(path):
        return [open_xarray(open_netcdf(path), options, path)]
    place, _ = split_query(path)
    if place.endswith(ARRAY_SUFFIXES) and not _is_tessera(path, options):
        return [open_array(load_array(path), options, path)]
    if place.endswith(SCALES_SUFFIX):
        raise SourceError(f"{display_name(path)}: scales; name the file of the codes instead")
    if place.endswith(".npy"):
        _refuse_placement(path, options)
        return [north_up(TesseraNpySource(path, crs=options.crs))]
    return [open_raster(path, options)]


def open_raster(path: str, options: ReadOptions) -> Source:
    """Open a raster as the product that it is."""
    if options.dims is not None:
        raise InvalidConfigError(f"{display_name(path)}: --dims is for plain arrays; leave it out")
    raster = RasterSource(path, options)
    if options.product is None:
        aef.refuse_other_bands(raster.name, raster.band_names)
    return recognise(raster, path, options)


def open_xarray(data: Any, options: ReadOptions, path: str | None = None) -> Source:
    """Open an xarray object as the product that it is, by the rules that hold for files."""
    from geoembz.sources.xarray_source import DataArraySource

    source = DataArraySource(data, options, path)
    if options.product is None and source.outsiders:
        raise SourceError(
            f"{source.name}: variable {next(iter(source.outsiders.values()))}; expected the bands "
            "of one embedding: a mask, labels or another raster are no components; choose the "
            "variables (data[names]), or say --product raster to take every one as a component"
        )
    if options.product is None:
        aef.refuse_other_bands(source.name, source.band_names)
    vectors = recognise(source, source.path, options)
    return with_variables(vectors, data, options) if hasattr(data, "data_vars") else vectors


def open_array(array: Any, options: ReadOptions, path: str | None = None) -> Source:
    """Open a plain array, in memory or from a file, where `options` say that it lies."""
    name = "array" if path is None else display_name(path)
    placed = place_array(array, options, name)
    return open_xarray(placed, options, path)


def _refuse_placement(path: str, options: ReadOptions) -> None:
    """Refuse what would contradict a product that says by itself where it lies."""
    given = {"--transform": options.transform, "--like": options.like, "--dims": options.dims}
    for option, value in given.items():
        if value is not None:
            raise InvalidConfigError(
                f"{display_name(path)}: {option} is for inputs that do not say where they lie; "
                "this product does; leave the option out"
            )


def _is_tessera(path: str, options: ReadOptions) -> bool:
    """Whether a ``.npy`` file is a tile of Tessera: by its name, or the scales beside it."""
    place, query = split_query(path)
    if not place.endswith(".npy") or options.product not in {None, TESSERA}:
        return False
    scales = f"{place.removesuffix('.npy')}{SCALES_SUFFIX}{query}"
    is_named = options.product == TESSERA or place.endswith(SCALES_SUFFIX)
    return is_named or tessera.tile_name(path) is not None or exists(scales)


def recognise(raster: StoredNumbers, path: str, options: ReadOptions) -> Source:
    """Return a source of numbers as the product that it is.

    Parameters
    ----------
    raster
        What a file, files of some bands each, or an object in memory holds.
    path
        Where it lies; only the name of the file is looked at. Empty where there is no file.
    options
        How to open it.

    Raises
    ------
    SourceError
        If it holds int8 codes of a product that is not known.
    """
    product = options.product or _product_of(raster, path)
    if product in {RASTER, BANDS} or product is None:
        if raster.dtype == np.int8 and options.product is None:
            raise SourceError(
                f"{raster.name}: {raster.dimension} bands of int8 of an unknown product: codes "
                "whose law is not known mean nothing as numbers; say --product aef or olmoearth "
                "(signed square law), or --product raster to take them as numbers"
            )
        return north_up(raster if options.product else _doubted(raster))
    if raster.stored_dtype == np.int8 != raster.dtype and product in _CODED:
        raise SourceError(
            f"{raster.name}: int8 of product {product} with a declared scale or offset; expected "
            "codes under the signed square law, which need none; say --product raster to take the "
            "scaled numbers, or remove the scale, such as with `gdal_edit -scale 1 -offset 0 FILE`"
        )
    if raster.dtype == np.int8 and product in _CODED:
        refuse_other_nodata(product, options.nodata)
        # −128 in all bands is nodata and in some bands corrupt: the law looks, not the raster.
        return north_up(_vectors(raster.unmasked(), product))
    if raster.dtype.kind != "f":
        raise SourceError(
            f"{raster.name}: {raster.dtype} is no form of product {product}; expected int8 codes "
            "or floats; say --product raster to take them as numbers"
        )
    return north_up(_vectors(raster, product))


def _vectors(source: Source, product: str) -> Source:
    """Return the vectors of a product's codes, or of its floats without those that cannot be."""
    if product == AEF:
        source = aef.order_bands(source)
    traits = _TRAITS[product](source.dimension)
    if source.dtype == np.int8:  # the default recipe keeps the codes as they are
        return PowerLawSource(source, replace(traits, recipe=RECIPE))
    return PossibleSource(source, traits)


def _doubted(raster: StoredNumbers) -> Source:
    """Return a raster of unknown product, with a note where it can hardly be an embedding."""
    names = [name for name in raster.band_names if name]
    run = run_of(names)
    others = tuple(name for name in names if run is not None and pattern(name) != run)
    if raster.dimension == 1:
        note = ONE_BAND
    elif others:
        note = "continue no run of the other bands, and are components all the same: "
        note += list_names(others)
    else:
        return raster
    return with_traits(raster, traits_of(raster).with_notes(note))


def _olmoearth(dimension: int) -> SourceTraits:
    """Return what is known of OlmoEarth's vectors, which have no unit length.

    Other sizes of the model make vectors of other lengths.
    """
    return SourceTraits(OLMOEARTH, model=OLMOEARTH_MODEL if dimension == OLMOEARTH_BANDS else None)


_TRAITS: dict[str, Callable[[int], SourceTraits]] = {
    AEF: aef.aef_traits,
    OLMOEARTH: _olmoearth,
    TESSERA: lambda _: tessera.TRAITS,
}
_CODED = (AEF, OLMOEARTH)
"""Products whose int8 are codes under the signed square law."""


def is_olmoearth(path: str) -> bool:
    """Whether the name of a file says that it is OlmoEarth's.

    Folders, buckets and queries say nothing: projects that compare models name those after them.

    Examples
    --------
    >>> is_olmoearth("s3://bucket/OlmoEarth_v1_tile_3.tif"), is_olmoearth("olmoearth_vs_clay/c.tif")
    (True, False)
    """
    name = PurePosixPath(path.partition("?")[0].replace("\\", "/")).name
    return "olmoearth" in name.lower().replace("-", "").replace("_", "")


def _product_of(raster: StoredNumbers, path: str) -> str | None:
    """Return the product that a raster's content and name speak for; None where they are silent."""
    if aef.has_aef_names(raster.band_names):
        return AEF
    if is_olmoearth(path):
        return OLMOEARTH
    if raster.dimension == tessera.N_BANDS and tessera.tile_name(path) is not None:
        return TESSERA
    if raster.dtype == np.int8 and raster.dimension == AEF_BANDS and aef.are_codes(raster):
        return AEF
    return None


def _open_zarr(path: str, options: ReadOptions) -> list[Source]:
    root = open_group(path)
    try:
        zones, array = tessera.zones(root), aef.codes_array(root)
    except (ValueError, TypeError, RuntimeError) as error:
        raise SourceError(
            f"{display_name(path)}: a Zarr group with an array of a kind that is not read "
            f"({error}); expected numbers"
        ) from error
    if zones or array is not None:
        _refuse_placement(path, options)
    if zones:
        return [tessera.TesseraZarrSource(path, zone, options) for zone in zones]
    if array is None:
        return [open_xarray(open_zarr_group(path, root), options, path)]
    return [_vectors(ZarrCube(path, "", array, options), AEF)]
