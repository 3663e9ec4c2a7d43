"""Read JSON that others wrote: bounded in bytes and depth, plain numbers and text only.

Every document that enters (metadata of stores, locks, journals, manifests, STAC items, GeoJSON,
footers of GeoParquet) is read here, so that what comes out can be walked, compared and stored.
"""

import json
import math
import re
from typing import Any

from geoembz.errors import GeoembzError, SourceError

MOST_BYTES = 64 * 2**20
"""Longest document read where nothing else is said."""

MOST_DEPTH = 100
"""Deepest nesting: far above what any format here needs, far below where recursion ends."""

_MAY_OVERFLOW = re.compile(rb"\d{19}|[eE]\+?0*[1-9]\d\d")
"""Numbers that may not fit into 64 bits; the others take the parser's fast way."""


def parse_json(
    content: bytes | str,
    where: str,
    *,
    error: type[GeoembzError] = SourceError,
    expected: str = "JSON",
    most_bytes: int = MOST_BYTES,
) -> Any:
    """Return the value of a JSON text.

    Integers beyond 64 bits come out as floats, as in most readers of JSON.

    Parameters
    ----------
    content
        UTF-8, or text.
    where
        Where it comes from, for messages.
    error
        What to raise.
    expected
        What it should be, for messages.
    most_bytes
        Longest text that is read.

    Raises
    ------
    GeoembzError
        As `error`: if it is no JSON, too long or nested too deep, or holds what JSON has no name
        for: NaN, an infinity, or half of a surrogate pair.

    Examples
    --------
    >>> parse_json(b'{"a": [1, 2.5]}', "example")
    {'a': [1, 2.5]}
    """
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(data) > most_bytes:
        raise error(f"{where}: more than {most_bytes:,} bytes of JSON; expected {expected}")
    try:
        value = json.loads(data, parse_constant=_refuse, **_careful(data))
        if b"\\ud" in data or b"\\uD" in data:
            json.dumps(value, ensure_ascii=False).encode()
        _check_depth(value)
    except (ValueError, RecursionError) as fault:
        raise error(f"{where}: not JSON that can be read ({fault}); expected {expected}") from fault
    return value


def parse_object(
    content: bytes | str,
    where: str,
    *,
    error: type[GeoembzError] = SourceError,
    expected: str = "a JSON object",
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:
    """Return a JSON object; as `parse_json`, and refuse every other value.

    Examples
    --------
    >>> parse_object(b"[]", "a.json")
    Traceback (most recent call last):
        ...
    geoembz.errors.SourceError: a.json: JSON of type list; expected a JSON object
    """
    value = parse_json(content, where, error=error, expected=expected, most_bytes=most_bytes)
    if not isinstance(value, dict):
        raise error(f"{where}: JSON of type {type(value).__name__}; expected {expected}")
    return value


def _careful(data: bytes) -> dict[str, Any]:
    if _MAY_OVERFLOW.search(data) is None:
        return {}
    return {"parse_int": _integer, "parse_float": _finite}


def _integer(text: str) -> int | float:
    if len(text) <= 20 and -(2**63) <= (value := int(text)) < 2**64:
        return value
    return _finite(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]}… is beyond what a number holds")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def check_value(value: Any, where: str, error: type[GeoembzError] = SourceError) -> None:
    """Refuse a value that another library read, where `parse_json` would not have returned it.

    Raises
    ------
    GeoembzError
        As `error`: if it is nested too deep, or holds NaN, an infinity or half a surrogate pair.

    Examples
    --------
    >>> check_value({"a": [float("inf")]}, "a.json")
    Traceback (most recent call last):
        ...
    geoembz.errors.SourceError: a.json: no plain JSON (...); expected finite numbers...
    """
    try:
        _check_depth(value)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as fault:
        raise error(
            f"{where}: no plain JSON ({fault}); expected finite numbers, text and lists, nested at "
            f"most {MOST_DEPTH} deep"
        ) from fault


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [
            inner
            for outer in level
            if outer.__class__ in (dict, list)
            for inner in (outer.values() if outer.__class__ is dict else outer)
            if inner.__class__ in (dict, list)
        ]
        if not level:
            return
    raise ValueError(f"nested deeper than {MOST_DEPTH}")
