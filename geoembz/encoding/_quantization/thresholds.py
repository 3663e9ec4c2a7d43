"""Quantizers by thresholds, one or two per component, each state decoding to its sample's mean.

spec/codecs/binary, spec/codecs/ternary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes, Quantizer, Shapes, destination
from geoembz.encoding._quantization.lookup import CellIndex, look_up
from geoembz.encoding._state import stored_length
from geoembz.errors import EncodingError, InvalidConfigError

GAUSSIAN_WIDTH = 0.612
"""Threshold in standard deviations with the least squared error for a Gaussian (Max 1960)."""


@dataclass(frozen=True, eq=False, repr=False)
class BinaryQuantizer(Quantizer):
    """Code 1 where a component exceeds its threshold, else 0; no room for nodata.

    Parameters
    ----------
    threshold
        float32, shape ``(n_components,)``.
    codebook
        Mean of the sampled values at or below and above the threshold, float32, shape
        ``(n_components, 2)``: what the two codes decode to.
    """

    kinds: ClassVar = {"binary": 1}
    law = "codebook"
    methods = ("mean", "median", "zero")
    bits = 1

    threshold: NDArray[np.float32]
    codebook: NDArray[np.float32]

    @cached_property
    def n_components(self) -> int:
        """Length of a vector."""
        return len(self.threshold)

    @classmethod
    def fit(cls, components: NDArray[np.float32], *, method: str = "mean") -> Self:
        """Fit thresholds and the two values per component.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``.
        method
            What the threshold is: ``mean``, ``median`` or ``zero``.

        References
        ----------
        The seed article's binary scheme (Robinson & Corley 2026); spec/codecs/binary.

        Examples
        --------
        >>> quantizer = BinaryQuantizer.fit(np.array([[0.0, 2.0, 4.0]], dtype=np.float32))
        >>> quantizer.threshold, quantizer.codebook
        (array([2.], dtype=float32), array([[1., 4.]], dtype=float32))
        """
        if method == "mean":
            cut = components.mean(axis=1, dtype=np.float64).astype(np.float32)
        elif method == "median":
            cut = np.median(components, axis=1).astype(np.float32)
        else:
            cut = np.zeros(len(components), dtype=np.float32)
        above = components > cut[:, np.newaxis]
        means = [_mean(components, chosen, cut) for chosen in (~above, above)]
        return cls(cut, np.column_stack(means))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``."""
        return (components > self.threshold[:, np.newaxis]).astype(np.uint8)

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the codebook's values, float32 ``(n_components, n_pixels)``."""
        low, high = self.codebook[:, :1], self.codebook[:, 1:]
        values = destination(out, codes.shape)
        np.copyto(values, low)
        np.copyto(values, high, where=codes.astype(np.bool_))
        return values

    @classmethod
    def shapes(cls, config: Mapping[str, Any]) -> Shapes:
        """Return a threshold and two values per component."""
        count = stored_length("binary", config)
        return {"threshold": (count,), "codebook": (count, 2)}


@dataclass(frozen=True, eq=False, repr=False)
class TernaryQuantizer(Quantizer):
    """Code 0 up to the lower threshold, 1 up to the upper one, 2 above; 3 is nodata.

    Parameters
    ----------
    threshold
        Lower and upper threshold, float32, shape ``(n_components, 2)``.
    codebook
        Mean of the sampled values of each state, float32, shape ``(n_components, 3)``.
    """

    kinds: ClassVar = {"ternary": 2}
    law = "codebook"
    methods = ("std", "tertiles")
    bits = 2
    nodata = 3

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

    @cached_property
    def n_components(self) -> int:
        """Length of a vector."""
        return len(self.threshold)

    @cached_property
    def _cells(self) -> CellIndex:
        return CellIndex.between(self.threshold)

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        method: str = "std",
        width: float = GAUSSIAN_WIDTH,
    ) -> Self:
        """Fit thresholds and the three values per component.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``, at least 3 pixels.
        method
            ``std``: mean ± `width` standard deviations; ``tertiles``: a third of the sample each.
        width
            In standard deviations, >= 0; used by ``std``.

        Raises
        ------
        InvalidConfigError
            If the sample is too small, or the width makes no sense.

        References
        ----------
        J. Max, "Quantizing for minimum distortion", IRE Trans. Inf. Theory 6 (1960), table I.

        Examples
        --------
        >>> sample = np.array([[-5.0, -4.0, 0.0, 1.0, 4.0, 5.0]], dtype=np.float32)
        >>> quantizer = TernaryQuantizer.fit(sample, method="tertiles")
        >>> quantizer.quantize(sample), quantizer.codebook
        (array([[0, 0, 1, 1, 2, 2]], dtype=uint8), array([[-4.5,  0.5,  4.5]], dtype=float32))
        """
        if components.shape[1] < 3:
            raise InvalidConfigError(
                f"ternary: {components.shape[1]} sampled pixels for 3 codewords; take at least 3"
            )
        threshold = _thresholds(components, method, width)
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

    @classmethod
    def shapes(cls, config: Mapping[str, Any]) -> Shapes:
        """Return two thresholds and three values per component."""
        count = stored_length("ternary", config)
        return {"threshold": (count, 2), "codebook": (count, 3)}


def _thresholds(components: NDArray[np.float32], method: str, width: float) -> NDArray[np.float32]:
    if not np.isfinite(width) or width < 0:
        raise InvalidConfigError(
            f"ternary: width {width}; expected a width of at least 0 standard deviations"
        )
    if method == "tertiles":
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
        # Sums in float64: float32 stops adding small values up after some 10⁷ of them.
        count = chosen.sum(axis=1)
        total = np.where(chosen, components, 0).sum(axis=1, dtype=np.float64)
        np.divide(total, count, out=means[:, state], where=count > 0)
    return np.maximum.accumulate(means.astype(np.float32), axis=1)


def _mean(
    components: NDArray[np.float32], chosen: NDArray[np.bool_], default: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean of the chosen values of each component; `default` where none is chosen."""
    count = chosen.sum(axis=1)
    total = np.where(chosen, components, 0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), default).astype(np.float32)
