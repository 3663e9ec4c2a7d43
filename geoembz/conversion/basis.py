"""Whether an encoding that was fitted elsewhere suits the vectors at hand."""

import warnings

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding, coverage
from geoembz.errors import BasisWarning, EncodingError
from geoembz.threads import single_threaded_blas


def check_coverage(
    name: str, encoding: Encoding, sample: list[NDArray[np.float32]], *, strict: bool
) -> None:
    """Warn where vectors lie outside the basis of an encoding.

    Parameters
    ----------
    name
        The input, for messages.
    encoding
        Fitted elsewhere.
    sample
        Vectors of the input, float32 ``(dimension, n)``, all finite.
    strict
        Refuse instead of warning.

    Raises
    ------
    EncodingError
        If `strict`, and the vectors lie outside.
    """
    with single_threaded_blas():
        found = coverage(encoding, np.concatenate(sample, axis=1))
    if found.is_sufficient:
        return
    message = f"{name}: the basis {found}; fit one on data like these"
    if strict:
        raise EncodingError(message)
    warnings.warn(f"{message}, or accept the loss", BasisWarning, stacklevel=6)
