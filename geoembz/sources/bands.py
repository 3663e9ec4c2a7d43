"""Several files of one or a few bands each that together form one embedding.

Earth Engine exports come so: ``A00_A01_A02.tif``, ``A01_A02_A03.tif`` … A band that several files
hold is read from the first.
Parts of one embedding lie on one grid, have few bands each, and names that form a run. A mask,
labels or another raster beside them have names that continue no run, or numbers of another kind.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._objects.identity import Subdataset
from geoembz.errors import SourceError
from geoembz.sources.band_names import (
    find_gaps,
    find_outsiders,
    list_names,
    natural_order,
    pattern,
    run_of,
    sort_names,
    tell_bands_apart,
)
from geoembz.sources.base import SourceTraits, traits_of
from geoembz.sources.georeference import best_named, describe_grid, same_pixels
from geoembz.sources.nodata import Nodata, Scaling, StoredNumbers
from geoembz.sources.raster import RasterSource

MOST_BANDS = 16
"""Files with more bands are taken for embeddings of their own, unless they are said to be parts."""


def form_one_embedding(parts: Sequence[RasterSource]) -> bool:
    """Whether files look like parts of one embedding: one grid, few bands each, other names."""
    names = part_names(parts)
    return (
        len(parts) > 1
        and () not in names
        and all(same_pixels(part.grid, parts[0].grid) for part in parts)
        and all(part.dimension <= MOST_BANDS for part in parts)
        and len(set(names)) == len(names)
    )


def part_names(parts: Sequence[RasterSource]) -> list[tuple[str, ...]]:
    """Return the names of the bands of each part: their own, or those in its file's name; else ().

    Files of one band that all call it the same, such as "embedding", are told apart by their names.
    """
    found = [_own_names(part) or _names_in(part) for part in parts]
    if len(set(found)) < len(found) and all(part.dimension == 1 for part in parts):
        return [_names_in(part) for part in parts]
    return found


def outsiders(parts: Sequence[RasterSource]) -> dict[RasterSource, str]:
    """Return the files that are no parts of the embedding that the others form, and why.

    Parameters
    ----------
    parts
        Files that look like parts of one embedding.
    """
    groups = [(bands, part.dtype) for bands, part in zip(part_names(parts), parts, strict=True)]
    return {parts[index]: why for index, why in find_outsiders(groups).items()}


def notes_on(names: Sequence[tuple[str, ...]]) -> list[str]:
    """Return what to tell of the names of an embedding's bands, of each part."""
    every = Counter(name for bands in names for name in bands)
    twice, found = sort_names(name for name, count in every.items() if count > 1), sort_names(every)
    notes = [f"in several files, and read from the first: {list_names(twice)}"] if twice else []
    run = run_of(every)
    if run is None:
        notes.append(f"names of bands form no run: they stand in the order {list_names(found)}")
    elif gaps := find_gaps(name for name in every if pattern(name) == run):
        notes.append(f"missing from the run {list_names(found)}: {gaps}")
    return notes


def _own_names(part: RasterSource) -> tuple[str, ...]:
    names = tuple(name for name in part.band_names if name)
    return names if len(names) == part.dimension and tell_bands_apart(names) else ()


def _names_in(part: RasterSource) -> tuple[str, ...]:
    """Return the names of a part's bands that its file's name lists; else ()."""
    within = Subdataset.of(part.path)
    stem = PurePosixPath(part.path.partition("?")[0]).stem
    if within is not None:
        stem = f"{PurePosixPath(within.file).stem}:{within.member.strip('/')}"
    if part.dimension == 1:
        return (stem,)
    pieces = tuple(stem.split("_")[-part.dimension :])
    is_list = len(set(map(pattern, pieces))) == 1 and len(set(pieces)) == part.dimension
    return pieces if is_list else ()


class BandsSource(StoredNumbers):
    """Bands of several files, in the order of their names (numbers by value).

    Parameters
    ----------
    parts
        Files on one grid.

    Raises
    ------
    SourceError
        If they lie on several grids.
    """

    def __init__(self, parts: Sequence[RasterSource]) -> None:
        first = parts[0]
        for part in parts:
            if not same_pixels(part.grid, first.grid):
                raise SourceError(
                    f"{part.name}: {describe_grid(part.grid)}, but {first.name}: "
                    f"{describe_grid(first.grid)}; parts of one embedding must have one grid"
                )
        ordered = sorted(parts, key=lambda part: natural_order(part.name))
        names = _names(ordered)
        found: dict[str, tuple[int, int]] = {}
        for index, bands in enumerate(names):
            for band, name in enumerate(bands):
                found.setdefault(name, (index, band))
        used = sorted({index for index, _ in found.values()})
        self._parts = [ordered[index] for index in used]
        order = sorted(found, key=natural_order)
        self.band_names = tuple(order)
        self._order = [(used.index(found[name][0]), found[name][1]) for name in order]
        self.name = f"{first.name} and {len(self._parts) - 1} more"
        self.grid, self.block_shape = best_named([part.grid for part in parts]), first.block_shape
        self.dimension = len(self.band_names)
        self.stored_dtype = np.result_type(*(part.stored_dtype for part in self._parts))
        self.nodata = self._join_nodata()
        self.scaling = self._join_scaling()
        self.info = tuple(info for part in self._parts for info in part.info)
        self.traits: SourceTraits = traits_of(first).with_notes(*notes_on(names))

    def read_stored(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window's numbers as they are stored; a pixel is valid where all masks say so."""
        raw = np.empty((self.dimension, *window.shape), self.stored_dtype)
        read = [part.read_stored(window) for part in self._parts]
        masks = [mask for _, mask in read if mask is not None]
        for row, (part, band) in enumerate(self._order):
            raw[row] = read[part][0][band]
        return raw, np.logical_and.reduce(masks) if masks else None

    def _join_nodata(self) -> Nodata | None:
        """Return the nodata values of all bands: a pixel is invalid where all of them have it."""
        declared: list[list[float] | None] = []
        for part, band in self._order:
            nodata = self._parts[part].nodata
            column: list[float] = [] if nodata is None else nodata.values[:, band].tolist()
            declared.append([value for value in column if not np.isnan(value)] or None)
        return Nodata.of(declared)

    def _join_scaling(self) -> Scaling | None:
        scalings = [(self._parts[part].scaling, band) for part, band in self._order]
        return Scaling.of(
            [1.0 if known is None else float(known.scales[band]) for known, band in scalings],
            [0.0 if known is None else float(known.offsets[band]) for known, band in scalings],
        )


def _names(parts: Sequence[RasterSource]) -> list[tuple[str, ...]]:
    """Return the names of the bands of each part, after the file and its number where unknown."""
    return [
        names or tuple(f"{part.info[0].uri}:{band}" for band in range(1, part.dimension + 1))
        for part, names in zip(parts, part_names(parts), strict=True)
    ]
