"""Which codes stand for a vector at all."""

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization import Codes, Quantizer, is_nodata


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
        known = ~is_nodata(codes[0], quantizer.nodata, quantizer.bits)
        valid = known if mask is None else known & mask
    return None if valid is None or valid.all() else valid
