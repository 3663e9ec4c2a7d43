"""Text for people: foreign text made harmless, columns aligned, numbers of six digits."""

import unicodedata
from collections.abc import Iterable, Sequence

_MOST_CELL, _MOST_MESSAGE = 400, 4_000
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_BYTE_UNITS = ((10**15, "PB"), (10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_JOINERS = "\u200c\u200d"
"""Invisible, but part of how several scripts and emoji are written; they move no other text."""


def printable(text: str, most: int = _MOST_MESSAGE) -> str:
    r"""Return a text that no terminal obeys: one line, nothing invisible, of bounded length.

    Names of files, labels and what stands in stores come from others. Control characters (ANSI
    escapes, newlines), marks that turn the direction of writing and lone surrogates are shown as
    Python writes them; of a text that is too long the middle is left out.

    Parameters
    ----------
    text
        Anything.
    most
        Number of characters of the result, at most.

    Examples
    --------
    >>> print(printable("a\x1b[2Jb\nc\u202e"), printable("0123456789", 7))
    a\x1b[2Jb\nc\u202e 0123…89
    """
    if len(text) > most:
        kept = most - 1
        text = f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def checked_names(value: object, length: int) -> tuple[str | None, ...]:
    """Return a list of names that came from others, made printable; None for those without.

    Raises
    ------
    ValueError
        If it is no list of so many texts, or nulls.

    Examples
    --------
    >>> checked_names(["A00", None], 2)
    ('A00', None)
    """
    is_list = isinstance(value, list) and all(name is None or type(name) is str for name in value)
    if not isinstance(value, list) or not is_list or len(value) != length:
        raise ValueError(f"band_names: expected {length} texts or nulls")
    return tuple(printable(name) if name else None for name in value)


def _shown(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _ESCAPED:
        return character
    return character.encode("unicode_escape").decode("ascii")


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of text with their columns aligned; cells are made `printable`.

    Examples
    --------
    >>> print(aligned([("pixels", "16"), ("ratio", "8 x")]))
    pixels  16
    ratio   8 x
    """
    table = [[printable(cell, _MOST_CELL) for cell in row] for row in rows]
    n_columns = max((len(row) for row in table), default=0)
    widths = [
        max((len(row[column]) for row in table if column < len(row)), default=0)
        for column in range(n_columns)
    ]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in table
    )


def figure(value: float | None) -> str:
    """Return a measured number with six digits, or that it was not measured."""
    return "not measured" if value is None else f"{value:.6g}"


def format_bytes(size_bytes: float) -> str:
    """Return a size in decimal units, one decimal below ten.

    Examples
    --------
    >>> format_bytes(6_144_000_000_000_000), format_bytes(96_000_000_000_000), format_bytes(64)
    ('6.1 PB', '96 TB', '64 B')
    """
    for unit, name in _BYTE_UNITS:
        if size_bytes >= unit:
            scaled = size_bytes / unit
            return f"{scaled:.1f} {name}" if scaled < 9.95 else f"{scaled:.0f} {name}"
    return f"{size_bytes:.4g} B"
