"""The protocol of a quantizer: float components to small integer codes and back.

All arrays are component first, ``(n_components, n_pixels)``: that is how rasters are read, how
chunks are stored and what makes one matrix product out of a projection. Codes are unpacked, one
per array element; `encoding.packing` knows bits. A quantizer is a frozen dataclass whose arrays are
its fitted state; `config` and `arrays` round-trip through `quantization.from_config`.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

type Codes = NDArray[np.generic]


class Quantizer(Protocol):
    """Turn float32 components into codes, and codes into float32 components."""

    @property
    def kind(self) -> str:
        """Name in recipes, metadata and codec ids, such as ``int8`` or ``binary``."""
        ...

    @property
    def n_components(self) -> int:
        """Length of a vector before quantization."""
        ...

    @property
    def n_codes(self) -> int:
        """Codes per vector: one per component, or fewer where one code stands for several."""
        ...

    @property
    def bits(self) -> int:
        """Width of one code, in bits: 1, 2, 4, 8 (packed into uint8 below 8), 16 or 32."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the unpacked codes."""
        ...

    @property
    def nodata(self) -> int | float | None:
        """Code of an invalid pixel; None where the codes have no room for one."""
        ...

    @classmethod
    def fit(cls, components: NDArray[np.float32], **options: Any) -> Self:
        """Fit on a sample, shape ``(n_components, n_pixels)``, all finite."""
        ...

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; out-of-range values are clipped."""
        ...

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the float32 values ``(n_components, n_pixels)`` that codes stand for, in `out`."""
        ...

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first `n_components` components."""
        ...

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state; ``kind`` is among its keys."""
        ...

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        ...

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """Rebuild from `config` and `arrays`; refuse state that does not fit together.

        Raises
        ------
        EncodingError
            If an array is missing, of a wrong shape or not finite.
        """
        ...


@runtime_checkable
class InPlaceQuantizer(Protocol):
    """A quantizer that needs no memory of its own."""

    def quantize_in_place(self, components: NDArray[np.float32], out: Codes) -> None:
        """Quantize into `out`, shape ``(n_codes, n_pixels)``; the components are overwritten."""
        ...
