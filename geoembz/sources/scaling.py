"""Scale and offset of each component: ``number * scale + offset``, rounded to float32 once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scaling:
    """What stored numbers must be multiplied by, and what is added then.

    Parameters
    ----------
    scales, offsets
        float64, shape ``(dimension,)``.
    """

    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @classmethod
    def of(cls, scales: Sequence[float], offsets: Sequence[float]) -> Self | None:
        """Return the scaling; None where it changes nothing."""
        factors, terms = np.array(scales, np.float64), np.array(offsets, np.float64)
        return None if (factors == 1).all() and (terms == 0).all() else cls(factors, terms)

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the numbers that stored ones ``(dimension, …)`` stand for.

        One component after the other: float64 takes memory for one only.

        Examples
        --------
        >>> Scaling.of([0.1], [1]).apply(np.array([[3]], "int16"))
        array([[1.3]], dtype=float32)
        """
        out = np.empty(raw.shape, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for component, scale, offset in zip(
                range(len(raw)), self.scales, self.offsets, strict=True
            ):
                out[component] = raw[component].astype(np.float64) * scale + offset
        return out
