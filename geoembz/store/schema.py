"""Check what a store's group says against the schema of the format, where it enters.

After that every attribute that the format names has the type that its readers rely on. The schema
is `spec/schema/store.schema.json`; only the part of JSON Schema that it uses is known here, so that
opening a store needs no further package and takes a fraction of a millisecond.
"""

import json
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from geoembz._text import printable
from geoembz._util.bounded_json import check_value
from geoembz.errors import StoreError

type Schema = Mapping[str, Any]
type Fault = tuple[str, str]
"""Where a document is wrong, and what stands there."""

_INTEGERS = range(-(2**63), 2**64)
_MOST_SHOWN = 80
_PLACE = ("spatial:", "proj:")
_ITSELF = ("geoembz:encoding",)
"""Checked with words of their own by whoever reads them (`geoembz.encoding`)."""


def check_attributes(where: str, attributes: Mapping[str, Any]) -> None:
    """Refuse attributes of a group that are not those of a store.

    Parameters
    ----------
    where
        The store, for messages.
    attributes
        Of its root group, or of a grid.

    Raises
    ------
    StoreError
        If one that is needed is missing, or one is not what the format says.

    Examples
    --------
    >>> check_attributes("a.zarr", {})
    Traceback (most recent call last):
        ...
    geoembz.errors.StoreError: a.zarr: zarr_conventions is missing; ...
    """
    check_value(attributes, f"{where}: attributes", StoreError)
    schema = store_schema()
    _raise_first(where, faults(attributes, schema["properties"]["attributes"], schema))


def check_if_known(where: str, attributes: Mapping[str, Any]) -> None:
    """Check attributes as far as they are known: all of a store, of other groups the place.

    Raises
    ------
    StoreError
        If they are malformed.
    """
    schema = store_schema()
    version = schema["$defs"]["attributes"]["properties"]["geoembz:version"]
    if _fits(attributes.get("geoembz:version"), version, schema):
        check_attributes(where, attributes)
        return
    check_value(attributes, f"{where}: attributes", StoreError)
    known = schema["$defs"]["attributes"]["properties"].items()
    place = {"properties": {key: one for key, one in known if key.startswith(_PLACE)}}
    _raise_first(where, faults(attributes, place, schema))


@cache
def store_schema() -> Schema:
    """Return the schema of a store's group: from the package, or from a checkout."""
    packaged = files("geoembz").joinpath("store.schema.json")
    checkout = Path(__file__).parents[2] / "spec" / "schema" / "store.schema.json"
    text = (packaged if packaged.is_file() else checkout).read_text(encoding="utf-8")
    return dict(json.loads(text))


def faults(value: Any, schema: Any, root: Schema, path: str = "") -> Iterator[Fault]:
    """Yield where a value differs from a schema, and how.

    Parameters
    ----------
    value
        As `json` reads it.
    schema
        What it should be.
    root
        The document in which references are looked up.
    path
        Names of the members that lead to the value, with dots between them.
    """
    if schema is False:
        yield path, "is there; expected none"
        return
    for keyword, expected in schema.items():
        if keyword in _CHECKS and (message := _CHECKS[keyword](value, expected)):
            yield path, f"is {_short(value)}; expected {message}"
            return
    for keyword in _INSIDE.keys() & schema.keys():
        yield from _INSIDE[keyword](value, schema, root, path)


def _raise_first(where: str, found: Iterator[Fault]) -> None:
    for path, what in found:
        raise StoreError(
            f"{where}: {path or 'attributes'} {what}; the store is damaged: fetch it again"
        )


def _fits(value: Any, schema: Any, root: Schema) -> bool:
    return next(faults(value, schema, root), None) is None


def _type(value: Any, expected: Any) -> str:
    names = [expected] if isinstance(expected, str) else expected
    return "" if any(_TYPES[name](value) for name in names) else " or ".join(names)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: type(value) is int and value in _INTEGERS,
}


def _is_number(value: Any) -> bool:
    return _TYPES["number"](value)


def _same(value: Any, expected: Any) -> bool:
    return bool(value == expected) and isinstance(value, bool) == isinstance(expected, bool)


def _pattern(value: Any, expected: str) -> str:
    matches = not isinstance(value, str) or re.search(expected, value)
    return "" if matches else f"text like {expected}"


def _distinct(value: Any, expected: bool) -> str:
    repeats = expected and isinstance(value, list) and len(set(map(repr, value))) < len(value)
    return "each once" if repeats else ""


def _long(value: Any, expected: int) -> str:
    return (
        f"{expected} characters or more" if isinstance(value, str) and len(value) < expected else ""
    )


_CHECKS: dict[str, Callable[[Any, Any], str]] = {
    "type": _type,
    "const": lambda value, expected: "" if _same(value, expected) else repr(expected),
    "enum": lambda value, expected: (
        "" if any(_same(value, one) for one in expected) else f"one of {expected}"
    ),
    "pattern": _pattern,
    "minLength": _long,
    "minimum": lambda value, least: (
        f"{least} or more" if _is_number(value) and value < least else ""
    ),
    "maximum": lambda value, most: f"{most} or less" if _is_number(value) and value > most else "",
    "exclusiveMinimum": lambda value, bound: (
        f"more than {bound}" if _is_number(value) and value <= bound else ""
    ),
    "minItems": lambda value, least: (
        f"{least} values or more" if isinstance(value, list | tuple) and len(value) < least else ""
    ),
    "maxItems": lambda value, most: (
        f"{most} values at most" if isinstance(value, list | tuple) and len(value) > most else ""
    ),
    "uniqueItems": _distinct,
}
"""Return what was expected where a value is wrong by itself, or nothing."""


def _reference(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    target: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    yield from faults(value, target, root, path)


def _condition(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    chosen = "then" if _fits(value, schema["if"], root) else "else"
    yield from faults(value, schema.get(chosen, {}), root, path)


def _required(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    del root
    if isinstance(value, Mapping):
        for name in schema["required"]:
            if name not in value:
                yield _below(path, name), "is missing"


def _properties(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        for name, expected in schema["properties"].items():
            if name in value and name not in _ITSELF:
                yield from faults(value[name], expected, root, _below(path, name))


def _additional(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        for name in value:
            if name not in schema.get("properties", {}):
                place = _below(path, str(name))
                yield from faults(value[name], schema["additionalProperties"], root, place)


def _items(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from faults(item, schema["items"], root, f"{path}[{number}]")


def _contains(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    if isinstance(value, list | tuple) and not any(
        _fits(item, schema["contains"], root) for item in value
    ):
        yield path, f"is {_short(value)}; expected one like {_short(schema['contains'])} in it"


def _one_of(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[Fault]:
    if sum(_fits(value, one, root) for one in schema["oneOf"]) != 1:
        yield path, f"is {_short(value)}; expected one of {len(schema['oneOf'])} kinds"


_INSIDE: dict[str, Callable[[Any, Schema, Schema, str], Iterator[Fault]]] = {
    "$ref": _reference,
    "if": _condition,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "contains": _contains,
    "oneOf": _one_of,
}
"""Yield the faults of what a value holds."""

_SAID = frozenset({"$schema", "$defs", "title", "description", "format", "then", "else"})
"""Keywords that ask for nothing by themselves."""

KEYWORDS = frozenset({*_CHECKS, *_INSIDE, *_SAID})
"""What of JSON Schema is known here."""


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _short(value: Any) -> str:
    return printable(reprlib.repr(value), _MOST_SHOWN)
