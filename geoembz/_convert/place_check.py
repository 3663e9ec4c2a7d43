"""Compare a store with its inputs, place by place, along a path of its own.

A conversion measures its loss against what it *read*. If it read the wrong band, or put a tile in
the wrong place, that figure is perfect. So this check asks the input and the store the same
question, "what is at this longitude and latitude?", and shares no code with the conversion: inputs
are looked up by rasterio alone, the store by `geoembz._export.sample`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from geoembz._convert.inputs import Inputs
from geoembz._convert.lookups import DEGREES, Places, RasterPlaces, StackedPlaces
from geoembz._convert.summary import ConvertSummary
from geoembz._objects.identity import display_name
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, SourceError, StoreError
from geoembz.sources import ReadOptions, Source
from geoembz.sources.base import names_of, traits_of
from geoembz.sources.inputs import expand
from geoembz.store.grids import open_readers

POINTS = 400
"""Places that are compared."""

CODED_PRODUCTS = ("aef", "olmoearth")
"""Products whose int8 are signed-power codes."""

MOST_DIFFERING = 0.02
"""Share of places that may differ: codes within rounding of a boundary may come out one apart."""

_LARGEST_NUMBER = 1e30
"""Beyond it floats are fill, declared or not (spec/format.md, "Nodata")."""

_SAME_DISTANCE = 0.045
"""Distance of two vectors, relative to their length, below which they are the same encoded twice:
a cosine of 0.999, more than one code of int8 moves and less than a neighbour's vector differs."""


@dataclass(frozen=True)
class PlaceCheck:
    """What a comparison by place found.

    Parameters
    ----------
    compared
        Places at which an input and the store were compared.
    differing
        Those at which they do not agree.
    first
        Longitude and latitude of one of these; None where all agree.
    unchecked
        Inputs that could not be looked up by place, and why.
    """

    compared: int
    differing: int
    first: tuple[float, float] | None
    unchecked: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether no more places differ than rounding explains."""
        return self.differing <= MOST_DIFFERING * self.compared


def refuse_unequal(
    overlap: str | None,
    resample: str | None,
    aggregate: int | None,
    *,
    is_placed: bool,
    is_cut: bool,
) -> None:
    """Refuse to check where a store is meant to hold something else than its inputs say.

    Raises
    ------
    InvalidConfigError
        If pixels are averaged, moved or left out, or the inputs' own georeference is replaced.
    """
    if is_placed:
        raise InvalidConfigError(
            "check: with --like or --transform the store lies elsewhere than the inputs say; leave "
            "one of the two out"
        )
    if is_cut:
        raise InvalidConfigError(
            "check: with --extent the store may lack pixels of the inputs; leave one of the two out"
        )
    unequal = {
        "overlap mean": overlap == "mean",
        f"resample {resample}": resample is not None,
        f"aggregate {aggregate}": aggregate is not None,
    }
    for what in (name for name, is_asked in unequal.items() if is_asked):
        raise InvalidConfigError(
            f"check: with {what} pixels hold other numbers than the inputs at the same place; "
            "expected inputs that are taken as they are; leave one of the two out"
        )


def check_conversion(
    summary: ConvertSummary,
    source: Inputs,
    grids: Mapping[str, Source],
    reading: ReadOptions,
    date: str | None,
) -> ConvertSummary:
    """Compare a finished store with what it was made from; see `check_places`.

    Returns
    -------
    summary
        With `checked_pixels`, and a note of each input that could not be looked up.

    Raises
    ------
    StoreError
        If the store does not hold what the inputs say.
    InvalidConfigError
        If not one input can be looked up by place.
    """
    first = next(iter(grids.values()))
    traits = traits_of(first)
    if isinstance(source, str | Path | Sequence):
        named = [source] if isinstance(source, str | Path) else source
        places, unchecked = open_places(
            expand(named),
            first.dimension,
            nodata=None if reading.nodata is None else str(reading.nodata),
            crs=reading.crs,
            coded=traits.product in CODED_PRODUCTS,
            order=names_of(first),
        )
    else:
        places, unchecked = [], (f"{first.name}: no file",)
    if not places:
        raise InvalidConfigError(
            f"check: {unchecked[0]}; expected rasters that rasterio opens; the store is complete, "
            "and was not checked"
        )
    found = check_places(places, summary.store, time=date, unit_norm=traits.unit_norm)
    if not found.agrees:
        _refuse(found, summary.store)
    notes = tuple(f"not checked: {one}" for one in unchecked)
    return replace(summary, checked_pixels=found.compared, notes=(*summary.notes, *notes))


def open_places(
    paths: Sequence[str],
    dimension: int,
    *,
    nodata: str | None = None,
    crs: str | None = None,
    coded: bool = False,
    order: Sequence[str | None] = (),
) -> tuple[list[Places], tuple[str, ...]]:
    """Open the inputs that rasterio can look up, and name those that it cannot.

    Parameters
    ----------
    paths
        The inputs.
    dimension
        Length of the vectors: files with fewer bands are parts of one embedding.
    nodata, crs
        Replace what the files declare.
    coded
        Whether they hold signed-power codes.
    order
        Names of the components of the store, where it has names.
    """
    whole: list[Places] = []
    parts: list[RasterPlaces] = []
    unchecked = []
    for path in paths:
        places = RasterPlaces(path, nodata=nodata, crs=crs, coded=coded, order=order)
        try:
            n_bands = len(places.names())
        except RasterioError as error:
            unchecked.append(f"{display_name(path)}: {error}")
            continue
        if n_bands == dimension:
            whole.append(places)
        else:
            parts.append(places)
    if parts and not whole:
        return [StackedPlaces(parts, order)], tuple(unchecked)
    unchecked += [f"{display_name(part.name)}: has another number of bands" for part in parts]
    return whole, tuple(unchecked)


def check_places(
    inputs: Sequence[Places],
    store: str | Path,
    *,
    time: str | None = None,
    unit_norm: bool = False,
    points: int = POINTS,
    seed: int = 0,
) -> PlaceCheck:
    """Compare a store with its inputs at random pixels of each.

    Parameters
    ----------
    inputs
        The inputs. Where several cover a place, the store may agree with any of them.
    store
        Path or URL of the store, of one grid or several.
    time
        Date of the store that was made from them.
    unit_norm
        Whether vectors of another length than 1 may be missing from the store.
    points
        How many places.
    seed
        Seed of their choice.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    from geoembz._export import sample

    rng = np.random.default_rng(seed)
    share = -(-points // len(inputs))
    places = np.concatenate([one.centres(share, rng) for one in inputs])
    places = places[np.isfinite(places).all(axis=1)]
    encoding = open_readers(store)[0].encoding
    try:
        stored = sample(store, places, crs=DEGREES, time=time)
    except SourceError:  # not one of the places lies in the store
        lon, lat = map(float, places[0])
        return PlaceCheck(len(places), len(places), (lon, lat))
    looked_up = [one.look_up(places) for one in inputs]
    agrees = np.zeros(len(places), dtype=np.bool_)
    covered = np.zeros(len(places), dtype=np.bool_)
    for found in looked_up:
        covered |= found.inside
        agrees |= found.inside & _agree(encoding, found.values, stored.vectors, unit_norm=unit_norm)
    wrong = np.flatnonzero(covered & ~agrees)
    first = tuple(map(float, places[wrong[0]])) if len(wrong) else None
    return PlaceCheck(int(covered.sum()), len(wrong), first)  # type: ignore[arg-type]


def _refuse(check: PlaceCheck, store: str) -> NoReturn:
    lon, lat = check.first or (0.0, 0.0)
    raise StoreError(
        f"{store}: {check.differing:,} of {check.compared:,} pixels do not hold what the input "
        f"says at the same place, such as longitude {lon:.6f}, latitude {lat:.6f}; the store is "
        "complete, but do not use it: look whether the input's georeference, band order, scale or "
        "nodata are what you expect, and report this if they are"
    )


def _agree(
    encoding: Encoding,
    expected: NDArray[np.float64],
    stored: NDArray[np.float32],
    *,
    unit_norm: bool,
) -> NDArray[np.bool_]:
    """Return which vectors the encoding turns into the stored ones, shape ``(n,)``.

    A vector with some components missing is left to the rules of the conversion.
    """
    if expected.shape[1] != encoding.dimension:
        return np.zeros(len(expected), dtype=np.bool_)
    known = np.abs(expected) < _LARGEST_NUMBER  # false for NaN
    whole, some = known.all(axis=1), known.any(axis=1)
    missing = ~np.isfinite(stored).all(axis=1)
    agree = np.where(whole, False, np.where(some, True, missing))
    agree |= whole & missing & (np.ptp(expected, axis=1) == 0)  # fill that nobody declared
    if unit_norm:
        lengths = np.linalg.norm(np.nan_to_num(expected), axis=1)
        agree |= whole & missing & (np.abs(lengths - 1) > 0.02)
    both = np.flatnonzero(whole & ~missing)
    vectors = expected[both].astype(np.float32)
    block, valid = encoding.encode_block(vectors.T)
    again = encoding.decode_block(block, "original", valid).T
    agree[both] = _same(again, stored[both])
    return agree


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which rows are alike but for rounding."""
    apart = np.linalg.norm(one - other, axis=1)
    return np.asarray(apart <= _SAME_DISTANCE * np.linalg.norm(one, axis=1))
