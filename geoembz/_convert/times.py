"""Dates as users write them."""

import re
from datetime import date

from geoembz.errors import InvalidConfigError

_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


def parse_date(text: str) -> str:
    """Return the first day of a year, of a month, or a day, as ``YYYY-MM-DD``.

    Raises
    ------
    InvalidConfigError
        If it is none of these.

    Examples
    --------
    >>> parse_date("2024"), parse_date("2024-05-03")
    ('2024-01-01', '2024-05-03')
    """
    match = _DATE.fullmatch(text.strip())
    try:
        if match is not None:
            return date(int(match[1]), int(match[2] or 1), int(match[3] or 1)).isoformat()
    except ValueError:
        match = None
    raise InvalidConfigError(f"time {text!r}; expected YYYY, YYYY-MM or YYYY-MM-DD")
