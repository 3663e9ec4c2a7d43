"""Colours, where a terminal takes them."""

import os
import sys
from typing import Literal, TextIO

type Paint = Literal["bold", "cyan", "red", "yellow"]

_CODES = {"bold": 1, "cyan": 36, "red": 31, "yellow": 33}


def painted(text: str, paint: Paint, stream: TextIO | None = None) -> str:
    """Return a text in a colour, or as it is where a stream shows none.

    Parameters
    ----------
    text
        Without control characters.
    paint
        Which colour.
    stream
        Where it is printed; None for standard output.
    """
    if not takes_colours(sys.stdout if stream is None else stream):
        return text
    return f"\x1b[{_CODES[paint]}m{text}\x1b[0m"


def takes_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user did not say otherwise (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
