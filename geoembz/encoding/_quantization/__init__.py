"""Quantizers: float components to codes and back, found by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes, InPlaceQuantizer, Quantizer
from geoembz.encoding._quantization.binary import THRESHOLDS, BinaryQuantizer
from geoembz.encoding._quantization.codebook import METHODS as CODEBOOKS
from geoembz.encoding._quantization.codebook import CodebookQuantizer
from geoembz.encoding._quantization.linear import LinearQuantizer
from geoembz.encoding._quantization.passthrough import FloatQuantizer
from geoembz.encoding._quantization.power import PowerQuantizer
from geoembz.encoding._quantization.product import ProductQuantizer
from geoembz.encoding._quantization.shapes import stored_shapes
from geoembz.encoding._quantization.ternary import RULES, TernaryQuantizer
from geoembz.errors import EncodingError, InvalidConfigError

__all__ = [
    "BITS",
    "METHODS",
    "BinaryQuantizer",
    "CodebookQuantizer",
    "Codes",
    "FloatQuantizer",
    "InPlaceQuantizer",
    "LinearQuantizer",
    "PowerQuantizer",
    "ProductQuantizer",
    "Quantizer",
    "TernaryQuantizer",
    "fill_value",
    "fit_quantizer",
    "is_nodata",
    "quantizer_from_state",
    "stored_shapes",
]

BITS = {
    "int8": 8,
    "int4": 4,
    "int2": 2,
    "ternary": 2,
    "binary": 1,
    "pq": 8,
    "power": 8,
    "float16": 16,
    "float32": 32,
}
"""Width of one code, in bits, of every quantizer by its name in recipes and metadata."""

METHODS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("int8", "int4", "int2"), ("minmax", *CODEBOOKS)),
    "ternary": RULES,
    "binary": THRESHOLDS,
}
"""How a quantizer can be fitted, where there is a choice; the first one is the default."""

_BY_LAW: dict[tuple[str, str], type[Quantizer]] = {
    **{(f"int{bits}", "linear"): LinearQuantizer for bits in (8, 4, 2)},
    **{(f"int{bits}", "codebook"): CodebookQuantizer for bits in (8, 4, 2)},
    ("ternary", "codebook"): TernaryQuantizer,
    ("binary", "codebook"): BinaryQuantizer,
    ("pq", "product"): ProductQuantizer,
    ("power", "power"): PowerQuantizer,
    ("float16", "identity"): FloatQuantizer,
    ("float32", "identity"): FloatQuantizer,
}


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
        ``n_subquantizers`` and ``seed`` of ``pq``, ``exponent`` and ``factor`` of ``power``.

    Raises
    ------
    InvalidConfigError
        If the kind or method is unknown, or the sample does not suit it.

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
    if kind in {"int8", "int4", "int2"}:
        if method in CODEBOOKS:
            options["method"] = method
            return CodebookQuantizer.fit(components, bits=BITS[kind], **options)
        return LinearQuantizer.fit(components, bits=BITS[kind], **options)
    if kind == "ternary":
        return TernaryQuantizer.fit(components, rule=method or RULES[0], **options)
    if kind == "binary":
        return BinaryQuantizer.fit(components, threshold=method or THRESHOLDS[0], **options)
    if kind == "pq":
        return ProductQuantizer.fit(components, **options)
    if kind == "power":
        return PowerQuantizer.fit(components, **options)
    return FloatQuantizer.fit(components, bits=BITS[kind], **options)


def fill_value(nodata: float | None, bits: int) -> int | float:
    """Return the stored number of an invalid pixel: `nodata`, in every code of a packed byte.

    0 where there is no code for nodata.

    Examples
    --------
    >>> fill_value(-128, 8), fill_value(3, 2), fill_value(None, 4)
    (-128, 255, 0)
    """
    if nodata is None:
        return 0
    return nodata if bits >= 8 else sum(int(nodata) << shift for shift in range(0, 8, bits))


def quantizer_from_state(
    config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
) -> Quantizer:
    """Rebuild a quantizer from its stored `config` and `arrays`.

    Raises
    ------
    EncodingError
        If kind or law is unknown, or the state does not fit together.
    """
    kind, law = config.get("kind"), config.get("law")
    quantizer_class = _BY_LAW.get((str(kind), str(law)))
    if quantizer_class is None:
        known = ", ".join(f"{name} ({way})" for name, way in _BY_LAW)
        raise EncodingError(
            f"quantizer kind {kind!r} with law {law!r}; this geoembz knows {known}; try a newer one"
        )
    return quantizer_class.from_state(config, arrays)


def is_nodata(codes: Codes, nodata: float | None, bits: int) -> NDArray[np.bool_]:
    """Return which stored numbers are those of an invalid vector.

    Codes of less than 8 bits are packed into bytes. All bytes of an invalid vector are
    `fill_value`; none of a valid one is, since its codes are not `nodata` and its padding is 0.

    Parameters
    ----------
    codes
        Any shape.
    nodata, bits
        The quantizer's.

    Returns
    -------
    is_nodata
        bool, the same shape; False throughout where there is no code for nodata.

    Examples
    --------
    >>> is_nodata(np.array([255, 3], np.uint8), 3, 2), is_nodata(np.array([-128], np.int8), -128, 8)
    (array([ True, False]), array([ True]))
    """
    if nodata is None:
        return np.zeros(codes.shape, np.bool_)
    fill = fill_value(nodata, bits)
    return np.asarray(np.isnan(codes) if np.isnan(fill) else codes == fill, np.bool_)
