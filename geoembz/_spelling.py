"""How a message names an option: as a flag on the command line, as a keyword in Python.

Messages are written once, with the flag: ``pass --overwrite``, ``say --product raster``. On the
command line they are shown so; elsewhere `spelled` turns the flags into ``overwrite=True`` and
``product="raster"``. Commands in backticks stay commands.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

SWITCHES = frozenset(
    {
        "anon-check", "break-lock", "check", "checksum", "grid", "layers", "overviews", "overwrite",
        "recode", "skip-bad", "strict-basis",
    }
)  # fmt: skip
"""Flags that take no value."""

KEYWORDS = MappingProxyType(
    {
        "int8": 'quantizer="int8"',
        "int4": 'quantizer="int4"',
        "binary": 'quantizer="binary"',
        "float32": 'quantizer="float32"',
        "replace": "replace_date=True",
        "area": "area_km2=…",
        "bytes": "budget=…",
        "class": "storage_class=…",
        "folds": "n_folds=…",
        "for": "access=…",
        "layer": "layers=…",
        "from": "start=…",
        "to": "end=…",
    }
)
"""Flags whose keyword has another name."""

ONLY_FLAGS = frozenset({"debug", "no-record", "no-stac"})
"""Flags of what only the command line does; they stay flags."""

_WORDS = (
    "aef|bands|blocked|codec|first|grouped|last|mean|nearest|none|olmoearth|plain|random|raster|"
    "regression|stratified|tessera"
)
_MENTION = re.compile(
    r"`geoembz [^`]*`"
    r"|(?<![\w/.-])--(?P<flag>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?![\w/-]|\.\w)"
    r"(?: (?P<value>'[^']*'|-?\d[\d_.]*\d|-?\d|nan\b|[A-Z]+\b(?!:)"
    rf"|(?P<words>(?:EPSG:…|EPSG:\d+|(?:{_WORDS})\b)(?:(?:, | or )(?:{_WORDS})\b)*)))?"
)
_surface = {"flags": False}  # of the process, not of a thread: workers fail for the same user


@contextmanager
def flags() -> Iterator[None]:
    """Show flags as they are: the user types a command."""
    former, _surface["flags"] = _surface["flags"], True
    try:
        yield
    finally:
        _surface["flags"] = former


def spelled(text: str) -> str:
    """Return a message with its options named as its reader types them.

    Examples
    --------
    >>> spelled("holds a store already; pass --overwrite")
    'holds a store already; pass overwrite=True'
    >>> spelled("no CRS; give it one with --crs EPSG:…, or see `geoembz convert --help`")
    'no CRS; give it one with crs="EPSG:…", or see `geoembz convert --help`'
    >>> with flags():
    ...     spelled("pass --overwrite")
    'pass --overwrite'
    """
    return text if _surface["flags"] else _MENTION.sub(_as_keyword, text)


def _as_keyword(mention: re.Match[str]) -> str:
    flag, value, words = mention.group("flag", "value", "words")
    if flag is None or flag in ONLY_FLAGS:
        return mention.group()
    rest = "" if value is None else f" {value}"
    if flag in SWITCHES:
        return f"{flag.replace('-', '_')}=True{rest}"
    if flag in KEYWORDS and not KEYWORDS[flag].endswith("…"):
        return KEYWORDS[flag] + rest
    name = KEYWORDS.get(flag, flag.replace("-", "_")).removesuffix("=…")
    if words:
        value = re.sub(rf"EPSG:[\d…]+|\b(?:{_WORDS})\b", r'"\g<0>"', words)
    return f"{name}={'…' if value is None else value}"
