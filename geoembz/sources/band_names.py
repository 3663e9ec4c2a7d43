"""Names of bands: how they sort, whether two lists mean the same, and the runs that they form.

Names come from files: `clean_names` is applied where they enter. A run is of names that differ in a
number, such as A00 … A63.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from geoembz._text import printable

type BandNames = tuple[str | None, ...]
"""One name per component; None where the input has none."""

_LONGEST = 256
_FEW = 4
_DIGITS = "0123456789"


def clean_names(names: Sequence[object]) -> BandNames:
    r"""Return names as they may be stored and printed: None for those that say nothing.

    Examples
    --------
    >>> clean_names([b"A00", " ", None, "a\x1b[1m"])
    ('A00', None, None, 'a\\x1b[1m')
    """

    def clean(name: object) -> str | None:
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        return None if name is None else printable(text.strip("\0 \t\r\n"), _LONGEST) or None

    return tuple(map(clean, names))


def natural_order(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sorting key that orders numbers by value: ``X_9`` before ``X_10``."""
    pieces = re.split(r"(\d+)", name)
    return tuple((0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces if piece)


def tell_bands_apart(names: BandNames) -> bool:
    """Whether every band has a name of its own."""
    return None not in names and len(set(names)) == len(names)


def pattern(name: str) -> str:
    """Return a name with its numbers hidden: what the members of a run have in common.

    Examples
    --------
    >>> pattern("X_12")
    'X_#'
    """
    return re.sub(r"\d+", "#", name)


def list_names(names: BandNames) -> str:
    """Return names as text: the first ones and the last where there are many.

    Examples
    --------
    >>> list_names(("A00", "A01", "A02", "A03", "A04", "A05"))
    'A00, A01, A02 … A05'
    """
    texts = [name or "unnamed" for name in names]
    return ", ".join(texts if len(texts) <= _FEW else [*texts[:2], f"{texts[2]} … {texts[-1]}"])


def positions(own: BandNames, wanted: BandNames) -> tuple[int, ...] | None:
    """Return where each of the bands that are wanted stands; None where they are other bands.

    Of what all bands of an input begin or end with, words that hold a number (dates, names of
    tiles) are not compared. Names that do not tell every band from the others say nothing of the
    order: then bands stand as they are, unless a name that both have stands elsewhere.

    Examples
    --------
    >>> positions(("A02", "A01"), ("A01", "A02")), positions(("A01", "A03"), ("A01", "A02"))
    ((1, 0), None)
    >>> positions(("2024_e1", "2024_e0"), ("2023_e0", "2023_e1"))
    (1, 0)
    """
    if own == wanted:
        return tuple(range(len(own)))
    if not (tell_bands_apart(own) and tell_bands_apart(wanted)):
        return None if _contradict(own, wanted) else tuple(range(len(own)))
    if set(own) == set(wanted):
        return tuple(own.index(name) for name in wanted)
    (frame, keys), (other, others) = _split(own), _split(wanted)
    if frame != other or set(keys) != set(others) or len(set(keys)) < len(keys):
        return None
    return tuple(keys.index(key) for key in others)


def _contradict(own: BandNames, wanted: BandNames) -> bool:
    """Whether a name that stands once in both stands at other places."""
    return any(
        name is not None
        and own.count(name) == wanted.count(name) == 1
        and own.index(name) != wanted.index(name)
        for name in own
    )


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)  # all others begin with what these two begin with
    same = (index for index, char in enumerate(first) if char != last[index : index + 1])
    return first[: next(same, len(first))]


def _split(names: BandNames) -> tuple[tuple[str, str], list[tuple[tuple[int, int | str], ...]]]:
    """Return what all names begin and end with, without numbers, and a key of what is between."""
    texts = [(name or "").casefold() for name in names]
    start = _common_start(texts).rstrip(_DIGITS)
    rests = [text[len(start) :] for text in texts]
    end = _common_start([rest[::-1] for rest in rests])[::-1].lstrip(_DIGITS)
    keys = [natural_order(rest[: len(rest) - len(end)]) for rest in rests]
    return (_frame(start), _frame(end)), keys


def _frame(text: str) -> str:
    """Return a text with its words that hold a number hidden: years, dates, names of tiles."""
    return re.sub(r"[^\W_]*\d[^\W_]*", "#", text)


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


def find_outsiders(groups: Sequence[tuple[Sequence[str], np.dtype[np.generic]]]) -> dict[int, str]:
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
    >>> floats, flags = np.dtype("f4"), np.dtype("u1")
    >>> find_outsiders([(["A0"], floats), (["A1"], floats), (["mask"], flags)])
    {2: 'mask of type uint8; but the others are floats A0, A1'}
    """
    run = run_of(name for names, _ in groups for name in names)

    def is_member(names: Sequence[str]) -> bool:
        return run is None or all(pattern(name) == run for name in names)

    kinds = Counter(dtype.kind for names, dtype in groups if is_member(names))
    kind = max(kinds, key=lambda kind: (kinds[kind], kind == "f"), default="f")
    strangers = {
        index: f"{list_names(tuple(names))} of type {dtype}"
        for index, (names, dtype) in enumerate(groups)
        if dtype.kind != kind or not is_member(names)
    }
    members = [
        name for index, (names, _) in enumerate(groups) if index not in strangers for name in names
    ]
    others = f"the others are {_KINDS.get(kind, kind)} {list_names(sort_names(members))}"
    return {index: f"{what}; but {others}" for index, what in strangers.items()}


def find_gaps(names: Iterable[str]) -> str:
    """Return the names that a run lacks between its first and its last, as text; else "".

    Examples
    --------
    >>> find_gaps(["A00", "A01", "A03"])
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


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names sorted, numbers by value."""
    return tuple(sorted(names, key=natural_order))
