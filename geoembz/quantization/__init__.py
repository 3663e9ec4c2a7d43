"""Quantizers: float components to codes and back, found by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import EncodingError, InvalidConfigError
from geoembz.quantization.base import Codes, Quantizer
from geoembz.quantization.binary import BinaryQuantizer
from geoembz.quantization.linear import LinearQuantizer
from geoembz.quantization.passthrough import FloatQuantizer

__all__ = ["KINDS", "Codes", "Quantizer", "fit_quantizer", "quantizer_from_state"]

_CLASSES: dict[str, tuple[type[Quantizer], dict[str, Any]]] = {
    "int8": (LinearQuantizer, {"bits": 8}),
    "int4": (LinearQuantizer, {"bits": 4}),
    "binary": (BinaryQuantizer, {}),
    "float32": (FloatQuantizer, {"bits": 32}),
}
KINDS = tuple(_CLASSES)
"""Names of the quantizers, as recipes and metadata spell them."""


def fit_quantizer(kind: str, components: NDArray[np.float32], **options: Any) -> Quantizer:
    """Fit the quantizer `kind` on finite float32 components ``(n_components, n_pixels)``.

    Raises
    ------
    InvalidConfigError
        If the kind is unknown, or the sample does not suit it.

    Examples
    --------
    >>> fit_quantizer("int4", np.array([[0.0, 1.5]], dtype=np.float32)).dtype
    dtype('uint8')
    """
    if kind not in _CLASSES:
        raise InvalidConfigError(f"quantizer {kind!r}; expected one of {', '.join(KINDS)}")
    quantizer_class, fixed = _CLASSES[kind]
    return quantizer_class.fit(components, **fixed, **options)


def quantizer_from_state(
    config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
) -> Quantizer:
    """Rebuild a quantizer from its stored `config` and `arrays`.

    Raises
    ------
    EncodingError
        If the kind is unknown or the state does not fit together.
    """
    kind = config.get("kind")
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise EncodingError(
            f"quantizer kind {kind!r}; this geoembz knows {', '.join(KINDS)}; try a newer one"
        )
    return _CLASSES[kind][0].from_state(config, arrays)
