"""Checks of what is rebuilt from stored state: lengths, arrays, and the JSON of an encoding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import EncodingError

type Arrays = Mapping[str, NDArray[np.generic]]

MAX_DIMENSION = 65_536
"""Longest vector believed; a file that claims more is refused before anything is allocated."""


def stored_length(where: str, config: Mapping[str, Any], name: str = "n_components") -> int:
    """Return a length of a stored configuration; `where` names it in messages.

    Raises
    ------
    EncodingError
        If it is missing or not an integer from 1 to 65,536.
    """
    count = config.get(name)
    if type(count) is not int or not 1 <= count <= MAX_DIMENSION:  # True is an int, too
        raise EncodingError(
            f"{where}: {name} is {count!r}; expected an integer from 1 to {MAX_DIMENSION}"
        )
    return count


def stored_array(
    where: str, name: str, arrays: Arrays, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the array `name` as contiguous float32 after checking it against `shape`.

    Raises
    ------
    EncodingError
        If it is missing, of another type or shape, or not finite.
    """
    array = arrays.get(name)
    if array is None:
        raise EncodingError(f"{where}: array {name!r} is missing; the encoding is incomplete")
    if array.dtype != np.float32 or array.shape != shape:
        raise EncodingError(
            f"{where}: {name} is {array.dtype} {array.shape}; expected float32 of shape {shape}"
        )
    if not np.isfinite(array).all():
        raise EncodingError(f"{where}: {name} holds values that are not finite")
    return np.ascontiguousarray(array, dtype=np.float32)


@dataclass(frozen=True)
class Parts:
    """The checked JSON part of an encoding."""

    dimension: int
    recipe: str
    projection: Mapping[str, Any]
    quantizer: Mapping[str, Any]
    normalize: bool


def checked_parts(config: Mapping[str, Any]) -> Parts:
    """Check the JSON part of an encoding before any array is read.

    Raises
    ------
    EncodingError
        If a key is missing, of a wrong type, or a size is out of bounds.
    """
    dimension, recipe = config.get("dimension"), config.get("recipe")
    projection, quantizer = config.get("projection"), config.get("quantizer")
    if not isinstance(dimension, int) or not 1 <= dimension <= MAX_DIMENSION:
        raise EncodingError(
            f"encoding: dimension {dimension!r}; expected an integer from 1 to {MAX_DIMENSION}"
        )
    if not isinstance(recipe, str):
        raise EncodingError(f"encoding: recipe {recipe!r}; expected a name such as 'pca64-int8'")
    if not isinstance(projection, Mapping) or not isinstance(quantizer, Mapping):
        raise EncodingError("encoding: 'projection' and 'quantizer' must be JSON objects")
    n_components = projection.get("n_components")
    if not isinstance(n_components, int) or not 1 <= n_components <= dimension:
        raise EncodingError(
            f"encoding: {n_components!r} components; expected an integer from 1 to {dimension}"
        )
    normalize = config.get("normalize", False)
    if not isinstance(normalize, bool):
        raise EncodingError(f"encoding: normalize is {normalize!r}; expected true or false")
    return Parts(dimension, recipe, projection, quantizer, normalize)


def check_closed(config: Mapping[str, Any], understood: Mapping[str, Any]) -> None:
    """Refuse a JSON part that says more or other than what was understood of it.

    Raises
    ------
    EncodingError
        If a key is unknown or redundant, or a value contradicts the rest.
    """
    for name in {**understood, **config}:
        came, known = config.get(name), understood.get(name)
        if came != known:
            raise EncodingError(
                f"encoding: {name} is {came!r}, of which {known!r} is understood; a newer geoembz "
                "may read it, else it is damaged"
            )
