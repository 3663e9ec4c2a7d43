"""Attributes of stores as netCDF can hold them: text, numbers and lists of numbers."""

import json
from collections.abc import Iterator, Mapping
from numbers import Number
from typing import Any, Self


class JsonText(str):
    """JSON text that also answers as the value it stands for.

    Zarr's attributes are JSON, those of netCDF are text and numbers. A dataset's attribute can be
    written to both, and be used in Python as what it says.

    Examples
    --------
    >>> pixels = JsonText({"total": 4, "valid": 3})
    >>> pixels["valid"], str(pixels)
    (3, '{"total": 4, "valid": 3}')
    """

    __slots__ = ("value",)
    value: Any

    def __new__(cls, value: Any) -> Self:
        """Write the value as text, and keep it."""
        text = super().__new__(cls, json.dumps(value, sort_keys=True, ensure_ascii=False))
        text.value = value
        return text

    def __getnewargs__(self) -> tuple[Any]:
        return (self.value,)

    def __str__(self) -> str:
        return str.__str__(self)

    def __getitem__(self, key: Any) -> Any:
        return self.value[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __contains__(self, key: object) -> bool:
        return key in self.value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, JsonText):
            return bool(self.value == other.value)
        return str.__eq__(self, other) is True or bool(self.value == other)

    __hash__ = str.__hash__

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "value"), name)  # keys, items, get


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes that xarray writes to netCDF as well as to Zarr.

    Text, numbers and lists of numbers stay; truth values become 0 and 1; what is null is left out;
    everything else becomes `JsonText`.

    Examples
    --------
    >>> plain_attributes({"a": [1, 2.5], "b": True, "c": None, "d": {"e": 1}, "f": ["g"]})
    {'a': [1, 2.5], 'b': 1, 'd': '{"e": 1}', 'f': '["g"]'}
    """
    return {name: _plain(value) for name, value in attributes.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | Number):
        return value
    is_numbers = isinstance(value, list) and all(
        isinstance(entry, Number) and not isinstance(entry, bool) for entry in value
    )
    return value if is_numbers and value else JsonText(value)
