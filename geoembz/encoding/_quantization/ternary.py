"""Three states per component: low, middle, high; the fourth of two bits is nodata.

spec/codecs/ternary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes
from geoembz.encoding._quantization.nearest import CellIndex
from geoembz.encoding._quantization.state import (
    check_sample,
    no_options,
    stored_array,
    stored_length,
)
from geoembz.encoding._quantization.tables import look_up
from geoembz.errors import EncodingError, InvalidConfigError

RULES = ("std", "tertiles")
"""Names of the threshold rules."""
GAUSSIAN_WIDTH = 0.612
"""Threshold in standard deviations with the least squared error for a Gaussian (Max 1960)."""


@dataclass(frozen=True)
class TernaryQuantizer:
    """Code 0 up to the lower threshold, 1 up to the upper one, 2 above; 3 is nodata.

    Parameters
    ----------
    threshold
        Lower and upper threshold, float32, shape ``(n_components, 2)``.
    codebook
        Mean of the sampled values of each state, float32, shape ``(n_components, 3)``.
    """

    kind: ClassVar[str] = "ternary"
    bits: ClassVar[int] = 2
    nodata: ClassVar[int] = 3

    threshold: NDArray[np.float32]
    codebook: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse arrays of other shapes, and thresholds or values out of order."""
        n_components = len(self.threshold)
        if self.threshold.shape[1:] != (2,) or self.codebook.shape != (n_components, 3):
            raise EncodingError(
                f"ternary: thresholds {self.threshold.shape} and codebook {self.codebook.shape}; "
                "expected (n_components, 2) and (n_components, 3)"
            )
        if (np.diff(self.threshold) < 0).any() or (np.diff(self.codebook) < 0).any():
            raise EncodingError(
                "ternary: thresholds and codebook must ascend; the encoding is damaged"
            )

    @property
    def n_components(self) -> int:
        """Length of a vector."""
        return len(self.threshold)

    @property
    def n_codes(self) -> int:
        """Codes per vector: one per component."""
        return self.n_components

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """uint8."""
        return np.dtype(np.uint8)

    @cached_property
    def _cells(self) -> CellIndex:
        return CellIndex.between(self.threshold)

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        rule: str = "std",
        width: float = GAUSSIAN_WIDTH,
        **options: object,
    ) -> Self:
        """Fit thresholds and the three values per component.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``, at least 3 pixels.
        rule
            ``std``: mean ± `width` standard deviations; ``tertiles``: a third of the sample each.
        width
            In standard deviations, >= 0; used by ``std``.
        **options
            None are known.

        Raises
        ------
        InvalidConfigError
            If the sample is too small or not finite, or the rule or width makes no sense.

        References
        ----------
        J. Max, "Quantizing for minimum distortion", IRE Trans. Inf. Theory 6 (1960), table I.

        Examples
        --------
        >>> sample = np.array([[-5.0, -4.0, 0.0, 1.0, 4.0, 5.0]], dtype=np.float32)
        >>> quantizer = TernaryQuantizer.fit(sample, rule="tertiles")
        >>> quantizer.quantize(sample), quantizer.codebook
        (array([[0, 0, 1, 1, 2, 2]], dtype=uint8), array([[-4.5,  0.5,  4.5]], dtype=float32))
        """
        no_options("ternary", options)
        check_sample("ternary", components)
        if components.shape[1] < 3:
            raise InvalidConfigError(
                f"ternary: {components.shape[1]} sampled pixels for 3 codewords; take at least 3"
            )
        threshold = _thresholds(components, rule, width)
        states = CellIndex.between(threshold).find(components)
        return cls(threshold, _state_means(components, states, threshold))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``."""
        return self._cells.find(components)

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the codebook's values, float32 ``(n_components, n_pixels)``; NaN for code 3."""
        nodata = np.full((self.n_components, 1), np.nan, dtype=np.float32)
        table = np.concatenate([self.codebook, nodata], axis=1)
        return look_up(table, codes.astype(np.uint8, copy=False), out)

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first `n_components` components."""
        return type(self)(self.threshold[:n_components], self.codebook[:n_components])

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state."""
        return {
            "kind": self.kind,
            "bits": self.bits,
            "law": "codebook",
            "n_components": self.n_components,
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        return {"threshold": self.threshold, "codebook": self.codebook}

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """Rebuild from `config` and `arrays`."""
        if config.get("kind") != cls.kind or config.get("law", "codebook") != "codebook":
            raise EncodingError(
                f"ternary: kind {config.get('kind')!r}, law {config.get('law')!r}; "
                "expected 'ternary' and 'codebook'"
            )
        count = stored_length(cls.kind, config)
        threshold = stored_array(cls.kind, "threshold", arrays, (count, 2))
        return cls(threshold, stored_array(cls.kind, "codebook", arrays, (len(threshold), 3)))


def _thresholds(components: NDArray[np.float32], rule: str, width: float) -> NDArray[np.float32]:
    if rule not in RULES or not np.isfinite(width) or width < 0:
        raise InvalidConfigError(
            f"ternary: rule {rule!r} of width {width}; expected one of {', '.join(RULES)} and a "
            "width of at least 0 standard deviations"
        )
    if rule == "tertiles":
        return np.quantile(components, [1 / 3, 2 / 3], axis=1).T.astype(np.float32)
    mean = components.mean(axis=1, dtype=np.float64)
    reach = width * components.std(axis=1, dtype=np.float64)
    return np.column_stack([mean - reach, mean + reach]).astype(np.float32)


def _state_means(
    components: NDArray[np.float32], states: NDArray[np.uint8], threshold: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean of the values in each state; an empty one takes its threshold, or the middle."""
    lower, upper = threshold.astype(np.float64).T
    means = np.column_stack([lower, (lower + upper) / 2, upper])
    for state in range(3):
        chosen = states == state
        count = chosen.sum(axis=1)
        total = np.where(chosen, components, 0).sum(axis=1, dtype=np.float64)
        np.divide(total, count, out=means[:, state], where=count > 0)
    return np.maximum.accumulate(means.astype(np.float32), axis=1)
