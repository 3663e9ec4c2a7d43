"""One bit per component: above a threshold or not (spec/codecs/binary)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes
from geoembz.encoding._quantization.state import (
    check_sample,
    no_options,
    stored_array,
    stored_length,
)
from geoembz.encoding._quantization.tables import destination
from geoembz.errors import EncodingError, InvalidConfigError

THRESHOLDS = ("mean", "median", "zero")


@dataclass(frozen=True)
class BinaryQuantizer:
    """Code 1 where a component exceeds its threshold, else 0; no room for nodata.

    Parameters
    ----------
    threshold
        float32, shape ``(n_components,)``.
    codebook
        Mean of the sampled values at or below and above the threshold, float32, shape
        ``(n_components, 2)``: what the two codes decode to.
    """

    kind: ClassVar[str] = "binary"
    bits: ClassVar[int] = 1
    nodata: ClassVar[None] = None

    threshold: NDArray[np.float32]
    codebook: NDArray[np.float32]

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

    @classmethod
    def fit(
        cls, components: NDArray[np.float32], *, threshold: str = "mean", **options: Any
    ) -> Self:
        """Fit thresholds and the two values per component.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``.
        threshold
            ``mean``, ``median`` or ``zero``.
        **options
            None are known.

        Raises
        ------
        InvalidConfigError
            If the sample is empty or not finite, or the threshold rule is unknown.

        References
        ----------
        The seed article's binary scheme (Robinson & Corley 2026); spec/codecs/binary.

        Examples
        --------
        >>> quantizer = BinaryQuantizer.fit(np.array([[0.0, 2.0, 4.0]], dtype=np.float32))
        >>> quantizer.threshold, quantizer.codebook
        (array([2.], dtype=float32), array([[1., 4.]], dtype=float32))
        """
        no_options("binary", options)
        check_sample("binary", components)
        if threshold == "mean":
            cut = components.mean(axis=1, dtype=np.float64).astype(np.float32)
        elif threshold == "median":
            cut = np.median(components, axis=1).astype(np.float32)
        elif threshold == "zero":
            cut = np.zeros(len(components), dtype=np.float32)
        else:
            raise InvalidConfigError(f"binary: threshold {threshold!r}; expected {THRESHOLDS}")
        above = components > cut[:, np.newaxis]
        return cls(
            cut, np.column_stack([_mean(components, ~above, cut), _mean(components, above, cut)])
        )

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
        if config.get("law") != "codebook":
            raise EncodingError(f"binary: law {config.get('law')!r}; this geoembz knows 'codebook'")
        threshold = stored_array("binary", "threshold", arrays, (stored_length("binary", config),))
        return cls(threshold, stored_array("binary", "codebook", arrays, (len(threshold), 2)))


def _mean(
    components: NDArray[np.float32], chosen: NDArray[np.bool_], default: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean of the chosen values of each component; `default` where none is chosen."""
    count = chosen.sum(axis=1)
    total = np.where(chosen, components, 0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), default).astype(np.float32)
