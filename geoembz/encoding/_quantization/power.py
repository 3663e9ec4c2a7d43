"""The signed power law of AlphaEarth and OlmoEarth: fine steps near zero, coarse ones far out.

``value = sign(code) * (abs(code) / factor) ** exponent`` (spec/codecs/power).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes
from geoembz.encoding._quantization.state import check_sample, no_options, stored_length
from geoembz.encoding._quantization.tables import destination
from geoembz.errors import EncodingError, InvalidConfigError

_LIMIT = 127


@dataclass(frozen=True)
class PowerQuantizer:
    """Codes on a fixed grid, the same for every component; lossless for values already on it.

    Codes are int8, −127 to 127, clipped before the cast (±1 would wrap to −128, which is nodata).

    Parameters
    ----------
    n_components
        Length of a vector.
    exponent
        > 0; 2 for AlphaEarth and OlmoEarth.
    factor
        > 0; 127.5 for both.
    """

    kind: ClassVar[str] = "power"
    bits: ClassVar[int] = 8
    nodata: ClassVar[int] = -128

    n_components: int
    exponent: float = 2.0
    factor: float = 127.5

    def __post_init__(self) -> None:
        """Refuse a law whose outermost or smallest value is not a float32."""
        known = all(
            not isinstance(number, bool)
            and isinstance(number, int | float)
            and 1e-3 <= number <= 1e6
            for number in (self.exponent, self.factor)
        )
        if not known or not self._is_representable():
            raise InvalidConfigError(
                f"power: exponent {self.exponent!r}, factor {self.factor!r}; expected positive "
                "numbers whose law keeps all 127 steps apart in float32, such as 2 and 127.5"
            )

    def _is_representable(self) -> bool:
        with np.errstate(over="ignore", under="ignore"):
            values = self._values(np.arange(_LIMIT + 1)).astype(np.float32)
        return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())

    def _values(self, magnitude: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = (magnitude / float(self.factor)) ** float(self.exponent)
        return values

    @property
    def n_codes(self) -> int:
        """Codes per vector: one per component."""
        return self.n_components

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """int8."""
        return np.dtype(np.int8)

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        """Value of each code seen as uint8; −128 is NaN."""
        codes = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int16)
        values = (np.sign(codes) * self._values(np.abs(codes))).astype(np.float32)
        values[128] = np.nan
        return values

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        exponent: float = 2.0,
        factor: float = 127.5,
        **options: object,
    ) -> Self:
        """Take the number of components from a finite sample ``(n_components, n_pixels)``.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``.
        exponent, factor
            Of the law; nothing is fitted.
        **options
            None are known.

        Raises
        ------
        InvalidConfigError
            If the sample is empty or not finite, or the law makes no sense.

        References
        ----------
        spec/codecs/power; C. Brown et al., "AlphaEarth Foundations", arXiv:2507.22291 (2025).

        Examples
        --------
        >>> quantizer = PowerQuantizer.fit(np.zeros((1, 1), dtype=np.float32))
        >>> quantizer.quantize(np.array([[-1.0, 0.0, 1.0, 0.25]], dtype=np.float32))
        array([[-127,    0,  127,   64]], dtype=int8)
        """
        no_options("power", options)
        check_sample("power", components)
        return cls(len(components), exponent, factor)

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; out-of-range values are clipped."""
        magnitude: NDArray[np.float32] = np.minimum(np.abs(components), self._table[_LIMIT])
        if self.exponent == 2:
            np.sqrt(magnitude, out=magnitude)
        elif self.exponent != 1:
            np.power(magnitude, np.float32(1 / self.exponent), out=magnitude)
        magnitude *= np.float32(self.factor)
        np.rint(magnitude, out=magnitude)
        np.minimum(magnitude, np.float32(_LIMIT), out=magnitude)
        np.copysign(magnitude, components, out=magnitude)
        return magnitude.astype(np.int8)

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the law's values, float32 ``(n_components, n_pixels)``; NaN for −128."""
        values = destination(out, codes.shape)
        bits = codes.astype(np.int8, copy=False).view(np.uint8)
        np.take(self._table, bits, out=values, mode="clip")
        return values

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first `n_components` components."""
        return type(self)(n_components, self.exponent, self.factor)

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state."""
        return {
            "kind": self.kind,
            "bits": self.bits,
            "law": "power",
            "exponent": self.exponent,
            "factor": self.factor,
            "n_components": self.n_components,
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return nothing: there is no fitted state."""
        return {}

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """Rebuild from `config`."""
        del arrays
        n_components = stored_length(cls.kind, config)
        numbers = [config.get("exponent"), config.get("factor")]
        if not all(isinstance(number, int | float) for number in numbers):
            raise EncodingError(f"power: exponent and factor are {numbers}; expected two numbers")
        try:
            return cls(n_components, *numbers)  # type: ignore[arg-type]  # checked above
        except InvalidConfigError as error:
            raise EncodingError(f"{error}; the encoding is damaged") from error
