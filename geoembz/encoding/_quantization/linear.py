"""Quantizers whose value is a linear function of the code: even steps, and floats as they are.

``value = code * scale + offset`` (spec/codecs/int8, spec/codecs/int4), or ``value = code``
(spec/codecs/float16, spec/encoding.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes, Quantizer, Shapes, destination
from geoembz.encoding._state import stored_length
from geoembz.errors import EncodingError


@dataclass(frozen=True, eq=False, repr=False)
class LinearQuantizer(Quantizer):
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

    kinds: ClassVar = {"int8": 8, "int4": 4, "int2": 2}
    law = "linear"
    methods = ("minmax",)

    bits: int
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse widths without a codec and steps that are not positive."""
        super().__post_init__()
        if self.scale.shape != self.offset.shape or not (self.scale > 0).all():
            raise EncodingError(
                f"{self.kind}: scale {self.scale.shape} and offset {self.offset.shape} must have "
                "one shape, and every scale must be positive; the encoding is damaged"
            )

    @cached_property
    def n_components(self) -> int:
        """Length of a vector."""
        return len(self.scale)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest code of a valid pixel."""
        return (-127, 127) if self.bits == 8 else (0, 2**self.bits - 1)

    @cached_property
    def _factor(self) -> NDArray[np.float32]:
        """Codes per unit, float32, shape ``(n_components, 1)``."""
        return (1.0 / self.scale.astype(np.float64)).astype(np.float32)[:, np.newaxis]

    @classmethod
    def fit(cls, components: NDArray[np.float32], *, bits: int = 8) -> Self:
        """Fit scale and offset so that the sample's extremes are the outermost codes.

        A component that is constant in the sample, or whose step would not be a normal number, gets
        scale 1.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``.
        bits
            8, 4 or 2.

        References
        ----------
        spec/codecs/int8, "Fitting"; Robinson & Corley, *Compressing Earth Embeddings*, 2026.

        Examples
        --------
        >>> quantizer = LinearQuantizer.fit(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32), bits=8)
        >>> quantizer.quantize(np.array([[-2.0, 0.0, 0.5, 1.0]], dtype=np.float32))
        array([[-127,    0,   64,  127]], dtype=int8)
        """
        low = components.min(axis=1).astype(np.float64)
        high = components.max(axis=1).astype(np.float64)
        steps = 254 if bits == 8 else 2**bits - 1
        scale = ((high - low) / steps).astype(np.float32)
        # The inverse of a subnormal step is infinite in float32, and would make NaN of code 0.
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
        """Return ``code * scale + offset``, float32 ``(n_components, n_pixels)``.

        Nodata becomes a number like others: callers, who look for it anyway, make it NaN.
        """
        values = destination(out, codes.shape)
        if values is not codes:
            np.copyto(values, codes, casting="unsafe")
        values *= self.scale[:, np.newaxis]
        values += self.offset[:, np.newaxis]
        return values

    def dequantize_mean(
        self, sums: NDArray[Any], count: int, out: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Dequantize means of codes, given as sums over a power of two: equal, in a pass less."""
        np.copyto(out, sums, casting="unsafe")
        out *= (self.scale / np.float32(count))[:, np.newaxis]
        out += self.offset[:, np.newaxis]
        return out

    @classmethod
    def shapes(cls, config: Mapping[str, Any]) -> Shapes:
        """Return one number per component for each of both arrays."""
        count = stored_length(config["kind"], config)
        return {"scale": (count,), "offset": (count,)}


@dataclass(frozen=True, eq=False, repr=False)
class FloatQuantizer(Quantizer):
    """Store components as floating-point numbers; NaN is nodata.

    Parameters
    ----------
    bits
        32 or 16.
    n_components
        Length of a vector.
    """

    kinds: ClassVar = {"float16": 16, "float32": 32}
    law = "identity"

    bits: int
    n_components: int

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """float32 or float16."""
        return np.dtype(self.kind)

    @property
    def nodata(self) -> float:
        """NaN."""
        return float("nan")

    @classmethod
    def fit(cls, components: NDArray[np.float32], *, bits: int = 32) -> Self:
        """Take the number of components from a finite sample ``(n_components, n_pixels)``."""
        return cls(bits, len(components))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Return the components in the stored type; float16 is clipped to its range, ±65,504."""
        if self.bits == 32:
            return components.copy()
        limit = np.float32(np.finfo(np.float16).max)
        return np.clip(components, -limit, limit).astype(np.float16)

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the codes as float32 ``(n_components, n_pixels)``."""
        values = destination(out, codes.shape)
        np.copyto(values, codes, casting="unsafe")
        return values

    @classmethod
    def scalars(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the width and the number of components."""
        return super().scalars(config) | {"n_components": stored_length(config["kind"], config)}
