"""Aligned lines of text, for every summary that the command line prints."""

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of text with their columns aligned.

    Examples
    --------
    >>> print(aligned([("pixels", "16"), ("ratio", "8 x")]))
    pixels  16
    ratio   8 x
    """
    table = [list(row) for row in rows]
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
