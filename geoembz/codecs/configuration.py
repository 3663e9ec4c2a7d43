"""Codec configurations: arrays as base64 of little-endian float32, lengths, closed keys."""

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import EncodingError


def to_text(array: NDArray[np.generic]) -> str:
    """Return base64 of an array's little-endian bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def from_text(config: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read a float32 array of a known shape back from base64."""
    text = config.get(name)
    if not isinstance(text, str):
        raise EncodingError(
            f"codec configuration: {name} is {type(text).__name__}; expected base64"
        )
    try:
        data = base64.b64decode(text, validate=True)
        return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(shape)
    except (binascii.Error, ValueError) as error:
        raise EncodingError(
            f"codec configuration: {name} is not base64 of float32 {shape} ({error})"
        ) from error


def refuse_unknown(config: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse keys that a later version gave a meaning: ignoring one would decode wrongly."""
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise EncodingError(
            f"codec configuration: unknown key {unknown[0]!r}; expected {', '.join(known)}; "
            "a newer geoembz may read it"
        )


def length(config: Mapping[str, Any], name: str) -> int:
    """Return a length from a configuration.

    Raises
    ------
    EncodingError
        If it is missing or not an integer from 1 to 65,536.
    """
    value = config.get(name)
    if type(value) is not int or not 1 <= value <= 65_536:
        raise EncodingError(
            f"codec configuration: {name} is {value!r}; expected an integer from 1 to 65536"
        )
    return value
