"""Uniform quantization to 8, 4 or 2 bits, one scale and offset per component.

``value = code * scale + offset`` (spec/codecs/int8, spec/codecs/int4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class LinearQuantizer:
    """Codes on a uniform grid between the smallest and the largest sampled value.

    8-bit codes are int8, −127 to 127, and −128 is nodata. Narrower ones are uint8 from 0 up and
    have no room for nodata. Rounding is half to even; values outside the range are clipped.

    Parameters
    ----------
    bits
        8, 4 or 2.
    scale
        Step of one code, > 0, float32, shape ``(n_components,)``.
    offset
        Value of code 0, float32, shape ``(n_components,)``.
    """

    SUPPORTED_BITS: ClassVar[tuple[int, ...]] = (8, 4, 2)

    bits: int
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse widths without a codec and steps that are not positive."""
        if self.bits not in self.SUPPORTED_BITS:
            raise InvalidConfigError(
                f"linear quantizer: {self.bits} bits; expected one of {self.SUPPORTED_BITS}"
            )
        if self.scale.shape != self.offset.shape or not (self.scale > 0).all():
            raise EncodingError(
                f"{self.kind}: scale {self.scale.shape} and offset {self.offset.shape} must have "
                "one shape, and every scale must be positive; the encoding is damaged"
            )

    @property
    def kind(self) -> str:
        """``int8``, ``int4`` or ``int2``."""
        return f"int{self.bits}"

    @property
    def n_components(self) -> int:
        """Length of a vector."""
        return len(self.scale)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest code of a valid pixel."""
        return (-127, 127) if self.bits == 8 else (0, 2**self.bits - 1)

    @property
    def n_codes(self) -> int:
        """Codes per vector: one per component."""
        return self.n_components

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """int8 for 8 bits, uint8 below."""
        return np.dtype(np.int8 if self.bits == 8 else np.uint8)

    @property
    def nodata(self) -> int | None:
        """−128 for 8 bits; None below."""
        return -128 if self.bits == 8 else None

    @cached_property
    def _factor(self) -> NDArray[np.float32]:
        """Codes per unit, float32, shape ``(n_components, 1)``."""
        return (1.0 / self.scale.astype(np.float64)).astype(np.float32)[:, np.newaxis]

    @classmethod
    def fit(cls, components: NDArray[np.float32], *, bits: int = 8, **options: Any) -> Self:
        """Fit scale and offset so that the sample's extremes are the outermost codes.

        A component that is constant in the sample, or whose step would not be a normal number, gets
        scale 1.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``.
        bits
            8, 4 or 2.
        **options
            None are known.

        Raises
        ------
        InvalidConfigError
            If the sample is empty or not finite.

        References
        ----------
        spec/codecs/int8, "Fitting"; Robinson & Corley, *Compressing Earth Embeddings*, 2026.

        Examples
        --------
        >>> quantizer = LinearQuantizer.fit(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32), bits=8)
        >>> quantizer.quantize(np.array([[-2.0, 0.0, 0.5, 1.0]], dtype=np.float32))
        array([[-127,    0,   64,  127]], dtype=int8)
        """
        no_options(f"int{bits}", options)
        check_sample(f"int{bits}", components)
        low = components.min(axis=1).astype(np.float64)
        high = components.max(axis=1).astype(np.float64)
        steps = 254 if bits == 8 else 2**bits - 1
        scale = ((high - low) / steps).astype(np.float32)
        scale[scale < np.finfo(np.float32).tiny] = 1.0
        offset = (low + high) / 2 if bits == 8 else low
        return cls(bits, scale, offset.astype(np.float32))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; out-of-range values are clipped."""
        codes = np.empty(components.shape, dtype=self.dtype)
        self.quantize_in_place(components.copy(), codes)
        return codes

    def quantize_in_place(self, components: NDArray[np.float32], out: Codes) -> None:
        """Do the same into `out`; the components are overwritten."""
        # Subtracting first is exact near the range; scaling first would cancel large offsets.
        with np.errstate(over="ignore"):
            components -= self.offset[:, np.newaxis]
            components *= self._factor
        np.rint(components, out=components)
        np.clip(components, *self.limits, out=components)
        np.copyto(out, components, casting="unsafe")

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return ``code * scale + offset``, float32 ``(n_components, n_pixels)``."""
        values = destination(out, codes.shape)
        np.copyto(values, codes, casting="unsafe")
        values *= self.scale[:, np.newaxis]
        values += self.offset[:, np.newaxis]
        return values

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first `n_components` components."""
        return type(self)(self.bits, self.scale[:n_components], self.offset[:n_components])

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state."""
        return {
            "kind": self.kind,
            "bits": self.bits,
            "law": "linear",
            "n_components": self.n_components,
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        return {"scale": self.scale, "offset": self.offset}

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """Rebuild from `config` and `arrays`."""
        kind = str(config.get("kind"))
        if config.get("law") != "linear":
            raise EncodingError(f"{kind}: law {config.get('law')!r}; this geoembz knows 'linear'")
        scale = stored_array(kind, "scale", arrays, (stored_length(kind, config),))
        return cls(
            int(kind.removeprefix("int")), scale, stored_array(kind, "offset", arrays, scale.shape)
        )
