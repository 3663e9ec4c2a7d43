"""Decode codes tile by tile, so that every pass over a tile finds it in cache."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding._kernel import packed_bits
from geoembz.encoding._packing import unpack
from geoembz.encoding._projection import TILE_PIXELS, Projection, affine_tile, padded_tile
from geoembz.encoding._quantization import Codes, Quantizer
from geoembz.errors import InvalidConfigError

_PLAIN_PIXELS = 1 << 14
"""Pixels that are decoded at a time where that takes no product: long rows, and few NumPy calls."""

type Space = Literal["original", "reduced"]


@dataclass(frozen=True)
class Decoder:
    """Codes to float32 in one space.

    Parameters
    ----------
    projection, quantizer
        Cut to the components asked for.
    space
        ``original`` or ``reduced``.
    stored_codes
        Codes in a stored vector, before the cut.
    reduction
        Matrix from scores to reduced vectors, where adding an offset is not enough.
    """

    projection: Projection
    quantizer: Quantizer
    space: str
    stored_codes: int
    reduction: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls,
        projection: Projection,
        quantizer: Quantizer,
        space: str,
        components: int | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> Self:
        """Prepare a decoder; `weights` multiply the components of reduced space.

        Raises
        ------
        InvalidConfigError
            If the space is unknown, there are not so many components, or they have no order.
        """
        if space not in {"original", "reduced"}:
            raise InvalidConfigError(f"space {space!r}; expected 'original' or 'reduced'")
        if weights is not None and space != "reduced":
            raise InvalidConfigError("whiten: weights components; expected space='reduced'")
        stored, total = quantizer.n_codes, quantizer.n_components
        if components is not None and components != total:
            if not 1 <= components < total:
                raise InvalidConfigError(f"components={components}; expected 1 to {total}")
            projection, quantizer = projection.select(components), quantizer.select(components)
            weights = None if weights is None else weights[:components]
        reduction = projection.reduction(weights) if space == "reduced" else None
        return cls(projection, quantizer, space, stored, reduction)

    @property
    def length(self) -> int:
        """Length of a decoded vector."""
        projection = self.projection
        return projection.dimension if self.space == "original" else projection.n_components

    @single_threaded_blas()
    def decode(
        self,
        codes: Codes,
        valid: NDArray[np.bool_] | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Decode ``(code_length, n_pixels)`` to ``(length, n_pixels)``, invalid pixels NaN.

        Codes behind the components asked for may be missing.
        """
        n_pixels = codes.shape[1]
        if out is None:
            out = np.empty((self.length, n_pixels), dtype=np.float32)
        matrix = self._matrix
        product = None if matrix is None else (matrix, padded_tile(self.quantizer.n_components))
        step = _PLAIN_PIXELS if product is None else TILE_PIXELS
        for start in range(0, n_pixels, step):
            columns = slice(start, start + step)
            tile = self._unpacked(codes[:, columns])
            wanted, target = tile[: self.quantizer.n_codes], out[:, columns]
            invalid = self._invalid(tile[0], None if valid is None else valid[columns])
            if product is None:
                self.quantizer.dequantize(wanted, target)
                self._shift(target)
            else:
                matrix, padded = product
                scores = self.quantizer.dequantize(wanted, padded[:-1, : wanted.shape[1]])
                if invalid is not None:  # the product spreads it, at less cost than a write
                    scores[0, invalid] = np.nan
                affine_tile(matrix, padded, target)
            if invalid is not None:
                _clear(target, np.flatnonzero(invalid))
        return out

    def _unpacked(self, tile: Codes) -> Codes:
        if self.quantizer.bits >= 8:
            return tile
        packed, bits = tile.astype(np.uint8, copy=False), packed_bits(self.quantizer)
        return unpack(packed, bits, min(self.stored_codes, len(packed) * 8 // bits))

    @property
    def _matrix(self) -> NDArray[np.float32] | None:
        """Matrix from scores and a last row of ones to vectors; None where there is none."""
        return self.projection.synthesis if self.space == "original" else self.reduction

    def _shift(self, scores: NDArray[np.float32]) -> None:
        """Turn scores into vectors where that takes no matrix."""
        if self.space == "reduced" and self.projection.offset is not None:
            scores += self.projection.offset

    def _invalid(self, first: Codes, valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return which pixels are invalid, by the first code or by the mask; None where none is."""
        nodata = self.quantizer.nodata
        if nodata is None:
            return None if valid is None or valid.all() else ~valid
        invalid = np.isnan(first) if first.dtype.kind == "f" else first == nodata
        marked = np.asarray(invalid, dtype=np.bool_)
        marked = marked if valid is None else marked | ~valid
        return marked if marked.any() else None


def _clear(tile: NDArray[np.float32], invalid: NDArray[np.intp]) -> None:
    """Make columns NaN, unless they are: a BLAS may skip products with zero, whatever the other."""
    if not np.isnan(tile[:, invalid[0]]).all():
        tile[:, invalid] = np.nan
