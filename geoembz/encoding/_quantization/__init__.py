"""Quantizers: float components to codes and back, found by name."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes, Quantizer
from geoembz.encoding._quantization.codebook import CodebookQuantizer
from geoembz.encoding._quantization.linear import FloatQuantizer, LinearQuantizer
from geoembz.encoding._quantization.power import ALPHAEARTH, PowerQuantizer, power_values
from geoembz.encoding._quantization.product import ProductQuantizer
from geoembz.encoding._quantization.residual import MAX_STAGES, ResidualQuantizer
from geoembz.encoding._quantization.thresholds import BinaryQuantizer, TernaryQuantizer
from geoembz.encoding._state import Arrays
from geoembz.errors import EncodingError, InvalidConfigError

__all__ = [
    "ALPHAEARTH",
    "BITS",
    "MAX_STAGES",
    "METHODS",
    "BinaryQuantizer",
    "CodebookQuantizer",
    "Codes",
    "FloatQuantizer",
    "LinearQuantizer",
    "PowerQuantizer",
    "ProductQuantizer",
    "Quantizer",
    "ResidualQuantizer",
    "TernaryQuantizer",
    "fit_quantizer",
    "power_values",
    "quantizer_class",
    "quantizer_from_state",
]

_CLASSES: tuple[type[Quantizer], ...] = (
    LinearQuantizer,
    CodebookQuantizer,
    TernaryQuantizer,
    BinaryQuantizer,
    ProductQuantizer,
    ResidualQuantizer,
    PowerQuantizer,
    FloatQuantizer,
)

BITS: dict[str, int] = {kind: bits for one in _CLASSES for kind, bits in one.kinds.items()}
"""Width of one code, in bits, of every quantizer by its name in recipes and metadata."""

METHODS: dict[str, tuple[str, ...]] = {
    kind: methods
    for kind in BITS
    if (methods := tuple(way for one in _CLASSES if kind in one.kinds for way in one.methods))
}
"""How a quantizer can be fitted, where there is a choice; the first one is the default."""

_BY_LAW = {(kind, one.law): one for one in _CLASSES for kind in one.kinds}


def fit_quantizer(
    kind: str, components: NDArray[np.float32], method: str | None = None, **options: Any
) -> Quantizer:
    """Fit the quantizer `kind` on finite float32 components ``(n_components, n_pixels)``.

    Parameters
    ----------
    kind
        One of `BITS`.
    components
        The sample.
    method
        One of ``METHODS[kind]``; None for the first.
    **options
        ``n_subquantizers`` and ``seed`` of ``pq``, ``n_stages`` and ``seed`` of ``rq``,
        ``exponent`` and ``factor`` of ``power``.

    Raises
    ------
    InvalidConfigError
        If the kind, method or an option is unknown, or the sample does not suit it.

    Examples
    --------
    >>> fit_quantizer("int4", np.array([[0.0, 1.5]], dtype=np.float32)).dtype
    dtype('uint8')
    """
    if kind not in BITS:
        raise InvalidConfigError(f"quantizer {kind!r}; expected one of {', '.join(BITS)}")
    methods = METHODS.get(kind, ())
    if method is not None and method not in methods:
        raise InvalidConfigError(f"{kind}: method {method!r}; expected one of {methods}")
    _check_sample(kind, components)
    chosen = next(one for one in _CLASSES if kind in one.kinds and method in {None, *one.methods})
    own = signature(chosen.fit).parameters.keys() - {"components", "bits", "method"}
    if unknown := options.keys() - own:
        raise InvalidConfigError(
            f"{kind}: unknown option {min(unknown)!r}; it takes {', '.join(sorted(own)) or 'none'}"
        )
    if len(chosen.kinds) > 1:
        options["bits"] = BITS[kind]
    if method is not None and len(chosen.methods) > 1:
        options["method"] = method
    return chosen.fit(components, **options)


def _check_sample(kind: str, components: NDArray[np.float32]) -> None:
    if components.ndim != 2 or not components.size:
        raise InvalidConfigError(
            f"{kind}: sample of shape {components.shape}; expected (n_components, n_pixels)"
        )
    if not np.isfinite(components).all():
        raise InvalidConfigError(
            f"{kind}: the sample holds NaN or infinity; pass valid pixels only"
        )


def quantizer_class(config: Mapping[str, Any]) -> type[Quantizer]:
    """Return the class of a stored quantizer, by its kind and law.

    Raises
    ------
    EncodingError
        If they are unknown: how codes decode is never guessed.
    """
    kind, law = config.get("kind"), config.get("law")
    found = _BY_LAW.get((str(kind), str(law)))
    if found is None:
        known = ", ".join(f"{name} ({way})" for name, way in _BY_LAW)
        raise EncodingError(
            f"quantizer kind {kind!r} with law {law!r}; this geoembz knows {known}; try a newer one"
        )
    return found


def quantizer_from_state(config: Mapping[str, Any], arrays: Arrays) -> Quantizer:
    """Rebuild a quantizer from its stored `config` and `arrays`.

    Raises
    ------
    EncodingError
        If kind or law is unknown, or the state does not fit together.
    """
    return quantizer_class(config).from_state(config, arrays)
