"""Vectors that are the same but for the last bits, which may follow a pixel's place in its tile."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LAST_BITS = 16 * float(np.finfo(np.float32).eps)
"""Of the largest number: sums of tens of products, added up in another order."""


def assert_same_vectors(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    """Hold decoded vectors to spec/format.md, "Determinism": NaN alike, numbers to last bits."""
    largest = float(np.nanmax(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=LAST_BITS * largest)
