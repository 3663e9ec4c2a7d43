"""The signed power law of AlphaEarth and OlmoEarth: fine steps near zero, coarse ones far out.

``value = sign(code) * (abs(code) / factor) ** exponent`` (spec/codecs/power).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes, Quantizer, destination
from geoembz.encoding._state import Arrays, stored_length
from geoembz.errors import EncodingError, InvalidConfigError

ALPHAEARTH = EXPONENT, FACTOR = 2.0, 127.5
"""Exponent and factor of the law that AlphaEarth and OlmoEarth publish their int8 codes under."""

NODATA, _LIMIT = -128, 127


def power_values(
    codes: NDArray[np.integer[Any]], exponent: float = EXPONENT, factor: float = FACTOR
) -> NDArray[np.float64]:
    """Return what codes stand for under a power law, AlphaEarth's by default; NaN for −128.

    Examples
    --------
    >>> power_values(np.array([51, 0, -51, -128], dtype=np.int8))
    array([ 0.16,  0.  , -0.16,   nan])
    """
    wide = codes.astype(np.float64)  # int8 has no 128, which is the magnitude of −128
    values = np.sign(wide) * (np.abs(wide) / factor) ** exponent
    return np.where(codes == NODATA, np.nan, values)


@dataclass(frozen=True, eq=False, repr=False)
class PowerQuantizer(Quantizer):
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

    kinds: ClassVar = {"power": 8}
    law = "power"
    bits = 8

    n_components: int
    exponent: float = EXPONENT
    factor: float = FACTOR

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
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            values = power_values(np.arange(_LIMIT + 1), self.exponent, self.factor)
            steps = np.diff(values.astype(np.float32))
        return bool(np.isfinite(steps).all() and (steps > 0).all())

    @cached_property
    def table(self) -> NDArray[np.float32]:
        """Value of each code seen as uint8, float32, shape ``(256,)``; NaN for −128."""
        codes = np.arange(256, dtype=np.uint8).view(np.int8)
        return power_values(codes, self.exponent, self.factor).astype(np.float32)

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        exponent: float = EXPONENT,
        factor: float = FACTOR,
    ) -> Self:
        """Take the number of components from a finite sample ``(n_components, n_pixels)``.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``.
        exponent, factor
            Of the law; nothing is fitted.

        Raises
        ------
        InvalidConfigError
            If the law makes no sense.

        References
        ----------
        spec/codecs/power; C. Brown et al., "AlphaEarth Foundations", arXiv:2507.22291 (2025).

        Examples
        --------
        >>> quantizer = PowerQuantizer.fit(np.zeros((1, 1), dtype=np.float32))
        >>> quantizer.quantize(np.array([[-1.0, 0.0, 1.0, 0.25]], dtype=np.float32))
        array([[-127,    0,  127,   64]], dtype=int8)
        """
        return cls(len(components), exponent, factor)

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; out-of-range values are clipped."""
        magnitude: NDArray[np.float32] = np.minimum(np.abs(components), self.table[_LIMIT])
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
        np.take(self.table, bits, out=values, mode="clip")
        return values

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state, the law's numbers included."""
        numbers = {"exponent": self.exponent, "factor": self.factor}
        return {"kind": self.kind, "bits": self.bits, "law": self.law, **numbers} | super().config()

    @classmethod
    def scalars(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of components and the law's numbers."""
        numbers = {name: config.get(name) for name in ("exponent", "factor")}
        if not all(isinstance(number, int | float) for number in numbers.values()):
            came = list(numbers.values())
            raise EncodingError(f"power: exponent and factor are {came}; expected two numbers")
        return {"n_components": stored_length("power", config), **numbers}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuild from `config`; see `Quantizer.from_state`."""
        try:
            return super().from_state(config, arrays)
        except InvalidConfigError as error:
            raise EncodingError(f"{error}; the encoding is damaged") from error
