"""Which files are parts of one embedding: on one grid, of few bands each, whose names form a run.

A mask, labels or another raster beside them have names that continue no run, or numbers of another
kind. They are no components.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from geoembz._objects.subdatasets import Subdataset
from geoembz.sources.alignment import same_pixels
from geoembz.sources.band_names import listed, pattern, tell_bands_apart
from geoembz.sources.band_runs import in_order, missing, outside, run_of
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
    return {parts[index]: why for index, why in outside(groups).items()}


def notes_on(names: Sequence[tuple[str, ...]]) -> list[str]:
    """Return what to tell of the names of an embedding's bands, of each part."""
    every = Counter(name for bands in names for name in bands)
    twice, found = in_order(name for name, count in every.items() if count > 1), in_order(every)
    notes = [f"in several files, and read from the first: {listed(twice)}"] if twice else []
    run = run_of(every)
    if run is None:
        notes.append(f"names of bands form no run: they stand in the order {listed(found)}")
    elif gaps := missing(name for name in every if pattern(name) == run):
        notes.append(f"missing from the run {listed(found)}: {gaps}")
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
