"""Checks shared by quantizers that are rebuilt from stored state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import EncodingError, InvalidConfigError


def stored_array(
    kind: str, name: str, arrays: Mapping[str, NDArray[np.generic]], shape: tuple[int | None, ...]
) -> NDArray[np.float32]:
    """Return the array `name` as float32 after checking it against `shape` (None: any length).

    Raises
    ------
    EncodingError
        If it is missing, of another type or shape, empty, or not finite.
    """
    array = arrays.get(name)
    if array is None:
        raise EncodingError(f"{kind}: array {name!r} is missing; the encoding is incomplete")
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.float32 or not array.size:
        raise EncodingError(
            f"{kind}: {name} is {array.dtype} {array.shape}; expected float32 of shape {shape}"
        )
    if not np.isfinite(array).all():
        raise EncodingError(f"{kind}: {name} holds values that are not finite")
    return np.ascontiguousarray(array, dtype=np.float32)


def stored_length(kind: str, config: Mapping[str, Any], name: str = "n_components") -> int:
    """Return a length of a stored configuration.

    Raises
    ------
    EncodingError
        If it is missing or no positive integer.
    """
    count = config.get(name)
    if type(count) is not int or count < 1:
        raise EncodingError(f"{kind}: {name} is {count!r}; expected an integer >= 1")
    return count


def check_sample(kind: str, components: NDArray[np.float32]) -> None:
    """Refuse a fit on nothing or on values that are not finite.

    Raises
    ------
    InvalidConfigError
        If the sample is not 2-D, is empty, or holds NaN or infinity.
    """
    if components.ndim != 2 or not components.size:
        raise InvalidConfigError(
            f"{kind}: sample of shape {components.shape}; expected (n_components, n_pixels)"
        )
    if not np.isfinite(components).all():
        raise InvalidConfigError(
            f"{kind}: the sample holds NaN or infinity; pass valid pixels only"
        )


def no_options(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse options where a quantizer takes none."""
    if options:
        raise InvalidConfigError(f"{kind}: unknown option {min(options)!r}; it takes none")
