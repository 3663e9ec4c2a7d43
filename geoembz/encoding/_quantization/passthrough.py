"""No quantization: the components themselves, as float32 or float16 (spec/encoding.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes
from geoembz.encoding._quantization.state import check_sample, no_options, stored_length
from geoembz.encoding._quantization.tables import destination
from geoembz.errors import InvalidConfigError


@dataclass(frozen=True)
class FloatQuantizer:
    """Store components as floating-point numbers; NaN is nodata.

    Parameters
    ----------
    bits
        32 or 16.
    n_components
        Length of a vector.
    """

    SUPPORTED_BITS: ClassVar[tuple[int, ...]] = (32, 16)

    bits: int
    n_components: int

    def __post_init__(self) -> None:
        """Refuse widths that are no float type here."""
        if self.bits not in self.SUPPORTED_BITS:
            raise InvalidConfigError(
                f"float: {self.bits} bits; expected one of {self.SUPPORTED_BITS}"
            )

    @property
    def kind(self) -> str:
        """``float32`` or ``float16``."""
        return f"float{self.bits}"

    @property
    def n_codes(self) -> int:
        """Codes per vector: one per component."""
        return self.n_components

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """float32 or float16."""
        return np.dtype(self.kind)

    @property
    def nodata(self) -> float:
        """NaN."""
        return float("nan")

    @classmethod
    def fit(cls, components: NDArray[np.float32], *, bits: int = 32, **options: Any) -> Self:
        """Take the number of components from a finite sample ``(n_components, n_pixels)``."""
        no_options(f"float{bits}", options)
        check_sample(f"float{bits}", components)
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

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first `n_components` components."""
        return type(self)(self.bits, n_components)

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state."""
        return {
            "kind": self.kind,
            "bits": self.bits,
            "law": "identity",
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
        kind = str(config.get("kind"))
        return cls(int(kind.removeprefix("float")), stored_length(kind, config))
