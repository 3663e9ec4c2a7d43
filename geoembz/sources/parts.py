"""Which files are parts of one embedding: on one grid, of few bands each, whose names form a run.

A mask, labels or another raster beside them have names that continue no run, or numbers of another
kind. They are no components.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from geoembz.sources.alignment import same_pixels
from geoembz.sources.band_names import listed, natural_order, pattern, tell_bands_apart
from geoembz.sources.raster import RasterSource

MOST_BANDS = 16
"""Files with more bands are taken for embeddings of their own, unless they are said to be parts."""

_MOST_NAMED = 8
_KINDS = {"f": "floats", "i": "signed integers", "u": "unsigned integers", "b": "booleans"}


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

    Returns
    -------
    outsiders
        What tells each of them from the others, for messages.
    """
    names = part_names(parts)
    run = _run([name for bands in names for name in bands])
    kinds = Counter(
        part.dtype.kind
        for part, bands in zip(parts, names, strict=True)
        if run is None or all(pattern(name) == run for name in bands)
    )
    kind = max(kinds, key=lambda kind: (kinds[kind], kind == "f"))
    members = [name for bands in names for name in bands if run in {None, pattern(name)}]
    others = f"the others are {_KINDS.get(kind, kind)} {listed(_sorted(members))}"
    return {
        part: f"{part.dtype}, {listed(bands)}, but {others}"
        for part, bands in zip(parts, names, strict=True)
        if part.dtype.kind != kind or (run is not None and any(pattern(n) != run for n in bands))
    }


def notes_on(names: Sequence[tuple[str, ...]]) -> list[str]:
    """Return what to tell of the names of an embedding's bands, of each part."""
    every = Counter(name for bands in names for name in bands)
    twice = _sorted([name for name, count in every.items() if count > 1])
    notes = []
    if twice:
        notes.append(f"in several files, and read from the first: {listed(twice)}")
    run = _run(list(every))
    if run is None:
        notes.append(
            f"names of bands form no run: they stand in the order {listed(_sorted(every))}"
        )
    elif missing := _missing([name for name in every if pattern(name) == run]):
        shown = ", ".join(missing[:_MOST_NAMED]) + (" …" if len(missing) > _MOST_NAMED else "")
        found = listed(_sorted(every))
        notes.append(f"missing from the run {found}: {shown}")
    return notes


def _own_names(part: RasterSource) -> tuple[str, ...]:
    names = tuple(name for name in part.band_names if name)
    return names if len(names) == part.dimension and tell_bands_apart(names) else ()


def _names_in(part: RasterSource) -> tuple[str, ...]:
    """Return the names of a part's bands that its file's name lists; else ()."""
    stem = PurePosixPath(part.path.partition("?")[0]).stem
    if part.dimension == 1:
        return (stem,)
    pieces = tuple(stem.split("_")[-part.dimension :])
    is_list = len(set(map(pattern, pieces))) == 1 and len(set(pieces)) == part.dimension
    return pieces if is_list else ()


def _run(names: Sequence[str]) -> str | None:
    """Return the pattern of the numbered names that are the most; None where few are numbered."""
    patterns = Counter(map(pattern, names))
    numbered = {found: count for found, count in patterns.items() if "#" in found}
    if not numbered or 2 * max(numbered.values()) < len(names):
        return None
    return max(numbered, key=lambda found: numbered[found])


def _missing(members: Sequence[str]) -> list[str]:
    """Return the names that a run lacks between its first and its last: of its last number."""
    parsed = [re.fullmatch(r"(.*?)(\d+)(\D*)", name, re.DOTALL) for name in members]
    matches = [match for match in parsed if match is not None]
    if len({(match[1], match[3]) for match in matches}) != 1:
        return []
    numbers = {int(match[2]) for match in matches}
    start, _, end = matches[0].groups()
    width = min(len(match[2]) for match in matches)
    every = range(min(numbers), max(numbers))
    if len(every) > 2**16:  # such as dates: no run of components
        return []
    return [f"{start}{number:0{width}d}{end}" for number in every if number not in numbers]


def _sorted(names: Sequence[str] | Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=natural_order))
