"""Which codes stand for a vector at all."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.quantization import Codes, Quantizer


def valid_codes(
    quantizer: Quantizer, codes: Codes, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_] | None:
    """Return which columns hold an embedding; None where all do.

    Parameters
    ----------
    quantizer
        Of the codes.
    codes
        As stored, shape ``(code_length, n_pixels)``.
    mask
        Validity beside the codes, where there is one; bool, shape ``(n_pixels,)``.
    """
    valid = mask
    if quantizer.nodata is not None:
        known = _known(quantizer, codes[0])
        valid = known if mask is None else known & mask
    return None if valid is None or valid.all() else valid


def _known(quantizer: Quantizer, first: NDArray[Any]) -> NDArray[np.bool_]:
    if first.dtype.kind == "f":
        return np.asarray(~np.isnan(first), dtype=np.bool_)
    if quantizer.bits < 8:  # component 0 stands in the lowest bits
        first = first & np.uint8(2**quantizer.bits - 1)
    return np.asarray(first != quantizer.nodata, dtype=np.bool_)
