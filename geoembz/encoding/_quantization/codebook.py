"""Scalar codebooks: each component has its own values for 2, 4 or 8-bit codes.

``value = codebook[component, index]``; the index is the code, or ``code + 127`` for int8
(spec/codecs/int8, spec/codecs/int4, spec/codecs/int2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes
from geoembz.encoding._quantization.lloyd import lloyd_codebook, quantile_codebook
from geoembz.encoding._quantization.nearest import CellIndex
from geoembz.encoding._quantization.state import (
    check_sample,
    no_options,
    stored_array,
    stored_length,
)
from geoembz.encoding._quantization.tables import look_up
from geoembz.errors import EncodingError, InvalidConfigError

METHODS = ("quantile", "lloyd")
"""Names of the codebook fits, as recipes spell them."""


@dataclass(frozen=True)
class CodebookQuantizer:
    """Map each value to the nearest of its component's codewords.

    8-bit codes are int8, −127 to 127 (255 codewords), and −128 is nodata. Narrower ones are uint8
    from 0 up and have no room for nodata.

    Parameters
    ----------
    bits
        8, 4 or 2.
    codebook
        Ascending and finite, float32, shape ``(n_components, n_codewords)``: 255 codewords for
        8 bits, 16 for 4, 4 for 2.
    """

    SUPPORTED_BITS: ClassVar[tuple[int, ...]] = (8, 4, 2)

    bits: int
    codebook: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse widths without a codec, and codewords out of order."""
        if self.bits not in self.SUPPORTED_BITS:
            raise InvalidConfigError(
                f"codebook: {self.bits} bits; expected one of {self.SUPPORTED_BITS}"
            )
        if self.codebook.shape[1:] != (n_codewords(self.bits),):
            raise EncodingError(
                f"{self.kind}: codebook of shape {self.codebook.shape}; expected "
                f"(n_components, {n_codewords(self.bits)})"
            )
        if not (self.codebook[:, 1:] >= self.codebook[:, :-1]).all():
            raise EncodingError(
                f"{self.kind}: the codebook is not ascending; the encoding is damaged"
            )

    @property
    def kind(self) -> str:
        """``int8``, ``int4`` or ``int2``."""
        return f"int{self.bits}"

    @property
    def n_components(self) -> int:
        """Length of a vector."""
        return len(self.codebook)

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
    def _cells(self) -> CellIndex:
        return CellIndex.of(self.codebook)

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        """Value of each code seen as uint8; int8's −128 is NaN."""
        if self.bits < 8:
            return self.codebook
        nodata = np.full((self.n_components, 1), np.nan, dtype=np.float32)
        return np.roll(np.concatenate([self.codebook, nodata], axis=1), -127, axis=1)

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        bits: int = 8,
        method: str = "lloyd",
        **options: object,
    ) -> Self:
        """Fit a codebook per component.

        A component with no more distinct values than codewords keeps them all, exactly.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``, at least as many pixels as
            codewords.
        bits
            8, 4 or 2.
        method
            ``quantile`` (equal shares of the sample) or ``lloyd`` (least squared error).
        **options
            None are known.

        Raises
        ------
        InvalidConfigError
            If the sample is too small or not finite, or `bits` or `method` is unknown.

        References
        ----------
        spec/codecs/int8, "Codebooks"; S. Lloyd, IEEE Trans. Inf. Theory 28 (1982).

        Examples
        --------
        >>> sample = np.array([[0.0, 0.1, 1.0, 1.1, 5.0, 9.0, 9.2]], dtype=np.float32)
        >>> CodebookQuantizer.fit(sample, bits=2).codebook.round(2)
        array([[0.05, 1.05, 5.  , 9.1 ]], dtype=float32)
        """
        no_options(f"int{bits} codebook", options)
        check_sample(f"int{bits} codebook", components)
        if bits not in cls.SUPPORTED_BITS or method not in METHODS:
            raise InvalidConfigError(
                f"codebook: {bits} bits by {method!r}; expected bits among {cls.SUPPORTED_BITS} "
                f"and one of {', '.join(METHODS)}"
            )
        size, n_pixels = n_codewords(bits), components.shape[1]
        if n_pixels < size:
            raise InvalidConfigError(
                f"int{bits} codebook: {n_pixels} sampled pixels for {size} codewords; "
                f"take at least {size} pixels, fewer bits, or minmax"
            )
        fit_row = lloyd_codebook if method == "lloyd" else quantile_codebook
        rows = [fit_row(np.sort(row), size) for row in components.astype(np.float32, copy=False)]
        return cls(bits, np.stack(rows))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Return the nearest codeword's code; half-way values take the lower one."""
        cells = self._cells.find(components)
        if self.bits < 8:
            return cells
        cells -= np.uint8(127)  # wraps: index 0 is code −127
        return cells.view(np.int8)

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the codewords, float32 ``(n_components, n_pixels)``; NaN for int8's −128."""
        return look_up(self._table, codes.astype(self.dtype, copy=False).view(np.uint8), out)

    def lookup_tables(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return products of query components and codewords, for distances without decoding.

        Parameters
        ----------
        queries
            float32, shape ``(n_queries, n_components)``.

        Returns
        -------
        tables
            float32, shape ``(n_queries, n_components, n_codewords)``.
        """
        return queries[:, :, np.newaxis] * self.codebook

    def norm_table(self, shift: NDArray[np.float32] | float = 0.0) -> NDArray[np.float32]:
        """Return ``(codeword + shift)**2``, float32, shape ``(n_components, n_codewords)``.

        `shift` is what reduced vectors add to each component, shape ``(n_components, 1)``.
        """
        return np.square(self.codebook + np.float32(shift))

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first `n_components` components."""
        return type(self)(self.bits, self.codebook[:n_components])

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
        return {"codebook": self.codebook}

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """Rebuild from `config` and `arrays`."""
        kind = str(config.get("kind"))
        bits = {f"int{width}": width for width in cls.SUPPORTED_BITS}.get(kind)
        if bits is None or config.get("law") != "codebook":
            raise EncodingError(
                f"codebook: kind {kind!r}, law {config.get('law')!r}; expected int8, int4 or int2 "
                "and 'codebook'"
            )
        shape = (stored_length(kind, config), n_codewords(bits))
        return cls(bits, stored_array(kind, "codebook", arrays, shape))


def n_codewords(bits: int) -> int:
    """Return how many codewords a width has: int8 leaves one code to nodata."""
    return 255 if bits == 8 else 2**bits
