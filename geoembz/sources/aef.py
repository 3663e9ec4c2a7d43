"""AlphaEarth Foundations (AEF): int8 tiles under the square law, and Earth Engine's float exports.

The 64 bands are A00 to A63. Tiles are stored bottom-up; `north_up` turns them. Earth Engine
exports hold the same numbers as floats that lie exactly on the grid of the int8 codes, so that
the codes are recovered without loss.

The mosaic Zarr is one array (time, 64, y, x) of codes, fill −128.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.errors import SourceError
from geoembz.sources.band_names import BandNames, list_names
from geoembz.sources.base import Source, SourceTraits, names_of, occupies
from geoembz.sources.checks import (
    AEF_BANDS,
    FACTOR,
    NODATA,
    RECIPE,
    has_unit_norm,
    power_table,
)
from geoembz.sources.options import AEF
from geoembz.sources.wrappers import OrderedSource, reorder_bands

MODEL = "https://developers.google.com/earth-engine/datasets/catalog/GOOGLE_SATELLITE_EMBEDDING_V1_ANNUAL"
LICENSE = "CC-BY-4.0"

BAND_NAMES = tuple(f"A{number:02d}" for number in range(AEF_BANDS))
_BAND = re.compile(r"A([0-5]\d|6[0-3])")
_PROBE_SIDE = 64
"""One tile of most files: five of them are read before anything is converted."""

_GRID_TOLERANCE = 1e-3
"""How far from a whole code a float may be, in codes. Float32 rounds codes by less than 1e-5;
averages, and other vectors, lie anywhere."""


def has_aef_names(names: BandNames) -> bool:
    """Whether every band is named A00 to A63, each once."""
    known = [name for name in names if name is not None and _BAND.fullmatch(name)]
    return len(known) == len(names) == len(set(known)) > 0


def refuse_other_bands(name: str, names: BandNames) -> None:
    """Refuse AlphaEarth's bands with others among them, such as a mask.

    Raises
    ------
    SourceError
        If most bands have AlphaEarth's names, and some have others.
    """
    own = [name for name in names if name is not None and _BAND.fullmatch(name)]
    others = tuple(name for name in names if name not in own)
    if others and len(own) > len(others) and has_aef_names(tuple(own)):
        raise SourceError(
            f"{name}: bands {list_names(tuple(own))} of AlphaEarth, and {list_names(others)}; "
            "expected AlphaEarth's only: a mask or labels are no components; choose the bands "
            "(gdal_translate -b), or say --product raster to take every one as a component"
        )


def aef_traits(dimension: int) -> SourceTraits:
    """Return what is known of AEF vectors with so many of the 64 bands."""
    complete = dimension == AEF_BANDS
    note = f"{dimension} of the 64 bands: vectors are shorter than 1"
    return SourceTraits(
        product=AEF,
        model=MODEL,
        license=LICENSE,
        unit_norm=complete,
        notes=() if complete else (note,),
    )


def is_unit_product(model: str, dimension: int) -> bool:
    """Whether vectors of a model have length 1, as far as its URI and their length tell.

    Examples
    --------
    >>> is_unit_product(MODEL, 64), is_unit_product(MODEL, 16)
    (True, False)
    """
    return model == MODEL and aef_traits(dimension).unit_norm


def order_bands(source: Source) -> Source:
    """Return a source with its bands in the order of their numbers; all 64 have names."""
    names = names_of(source)
    if has_aef_names(names):
        return reorder_bands(source, tuple(sorted(name for name in names if name)), "AlphaEarth")
    if any(names) or source.dimension != AEF_BANDS:
        return source
    return OrderedSource(source, range(AEF_BANDS), BAND_NAMES)


def are_codes(source: Source) -> bool:
    """Whether unnamed int8 decodes to vectors of length 1 wherever it was looked at."""
    table, seen = power_table(), 0
    for vectors in _probe(source):
        codes = vectors[:, (vectors != NODATA).all(axis=0)]
        seen += codes.shape[1]
        if codes.size and not has_unit_norm(np.take(table, codes.view(np.uint8))):
            return False
    return seen > 0


def lossless_recipe(source: Source) -> str | None:
    """Return the recipe that keeps float AEF vectors exactly: None where they are off the grid.

    Looks at a few windows spread over the raster.
    """
    seen = 0
    for vectors in _probe(source):
        values = vectors[:, np.isfinite(vectors).all(axis=0)].astype(np.float32)
        seen += values.shape[1]
        if values.size and not on_grid(values):
            return None
    return RECIPE if seen else None


def on_grid(values: NDArray[np.float32]) -> bool:
    """Whether all numbers are ones that AEF's int8 codes stand for.

    Examples
    --------
    >>> on_grid(np.array([0.16, -(3 / 127.5) ** 2])), on_grid(np.array([0.161]))
    (True, False)
    """
    codes = np.sqrt(np.abs(values, dtype=np.float64)) * FACTOR
    nearest = np.rint(codes)
    return bool((np.abs(codes - nearest) < _GRID_TOLERANCE).all() and (nearest < FACTOR).all())


def _probe(source: Source) -> Iterator[NDArray[Any]]:
    """Yield the valid vectors ``(dimension, n)`` of the middle of a raster and of its quarters."""
    whole = source.grid.window
    height, width = min(_PROBE_SIDE, whole.height), min(_PROBE_SIDE, whole.width)
    for down, right in ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        row = min(max(int(whole.height * down) - height // 2, 0), whole.height - height)
        col = min(max(int(whole.width * right) - width // 2, 0), whole.width - width)
        window = Window(row, col, height, width)
        if occupies(source, window):
            data = source.read(window).decode()
            chosen = slice(None) if data.valid is None else data.valid.reshape(-1)
            yield data.values.reshape(source.dimension, -1)[:, chosen]


def codes_array(root: zarr.Group) -> str | None:
    """Return the name of the array of AEF codes; None where the root is no AEF mosaic."""
    found = [
        name
        for name, array in root.arrays()
        if array.ndim == 4 and array.shape[1] == AEF_BANDS and array.dtype == np.int8
    ]
    return found[0] if len(found) == 1 else None
