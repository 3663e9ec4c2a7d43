"""Runs of bands: names that differ in a number, such as A00 … A63, and what stands out from them.

Knows only names and types.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from geoembz.sources.band_names import listed, natural_order, pattern

_MOST_NAMED = 8
_LONGEST_RUN = 2**16
"""Numbers further apart, such as dates, count no components."""

_KINDS = {"f": "floats", "i": "signed integers", "u": "unsigned integers", "b": "booleans"}


def run_of(names: Iterable[str]) -> str | None:
    """Return the pattern of the numbered names that are the most; None where few are numbered.

    Examples
    --------
    >>> run_of(["A00", "A01", "mask"])
    'A#'
    """
    every = list(names)
    numbered = Counter(found for found in map(pattern, every) if "#" in found)
    if not numbered or 2 * max(numbered.values()) < len(every):
        return None
    return max(numbered, key=lambda found: numbered[found])


def outside(groups: Sequence[tuple[Sequence[str], np.dtype[np.generic]]]) -> dict[int, str]:
    """Return which groups of bands are no parts of the embedding that the others form, and why.

    Parameters
    ----------
    groups
        Names and type of the bands of each file, or variable.

    Returns
    -------
    outside
        By place, what tells each of them from the others.

    Examples
    --------
    >>> outside([(["A0"], np.dtype("f4")), (["A1"], np.dtype("f4")), (["mask"], np.dtype("u1"))])
    {2: 'mask of type uint8; but the others are floats A0, A1'}
    """
    run = run_of(name for names, _ in groups for name in names)

    def is_member(names: Sequence[str]) -> bool:
        return run is None or all(pattern(name) == run for name in names)

    kinds = Counter(dtype.kind for names, dtype in groups if is_member(names))
    kind = max(kinds, key=lambda kind: (kinds[kind], kind == "f"), default="f")
    strangers = {
        index: f"{listed(tuple(names))} of type {dtype}"
        for index, (names, dtype) in enumerate(groups)
        if dtype.kind != kind or not is_member(names)
    }
    members = [
        name for index, (names, _) in enumerate(groups) if index not in strangers for name in names
    ]
    others = f"the others are {_KINDS.get(kind, kind)} {listed(in_order(members))}"
    return {index: f"{what}; but {others}" for index, what in strangers.items()}


def missing(names: Iterable[str]) -> str:
    """Return the names that a run lacks between its first and its last, as text; else "".

    Examples
    --------
    >>> missing(["A00", "A01", "A03"])
    'A02'
    """
    parsed = [re.fullmatch(r"(.*?)(\d+)(\D*)", name, re.DOTALL) for name in names]
    matches = [match for match in parsed if match is not None]
    if len({(match[1], match[3]) for match in matches}) != 1:
        return ""
    numbers = {int(match[2]) for match in matches}
    if max(numbers) - min(numbers) > _LONGEST_RUN:
        return ""
    start, _, end = matches[0].groups()
    width = min(len(match[2]) for match in matches)
    gaps = [number for number in range(min(numbers), max(numbers)) if number not in numbers]
    shown = ", ".join(f"{start}{number:0{width}d}{end}" for number in gaps[:_MOST_NAMED])
    return f"{shown} … ({len(gaps)})" if len(gaps) > _MOST_NAMED else shown


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names sorted, numbers by value."""
    return tuple(sorted(names, key=natural_order))
