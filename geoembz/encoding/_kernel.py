"""Encode and decode pixels a few tiles at a time, so that every pass over them is in cache."""

from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from geoembz._util.options import check_whole
from geoembz._util.threads import for_each, single_threaded_blas, worker_count
from geoembz.encoding._packing import Bits, pack, packed_length, unpack
from geoembz.encoding._projection import (
    TILE_PIXELS,
    Projection,
    affine_tile,
    cached_pixels,
    padded_tile,
    scale_to_unit,
)
from geoembz.encoding._quantization import Codes, Quantizer
from geoembz.errors import InvalidConfigError

_THREAD_ROWS = 16 * TILE_PIXELS
"""Vectors that one thread encodes at a time: whole tiles."""

_PLAIN_PIXELS = 1 << 14
"""Pixels that are decoded at a time where that takes no product: long rows, and few NumPy calls."""

type Space = Literal["original", "reduced"]


def code_length(quantizer: Quantizer) -> int:
    """Return the stored numbers per vector: codes, or bytes where several codes share one."""
    if quantizer.bits >= 8:
        return quantizer.n_codes
    return packed_length(quantizer.n_codes, cast("Bits", quantizer.bits))


def pack_codes(quantizer: Quantizer, codes: Codes) -> Codes:
    """Return codes as they are stored: packed into bytes where they are narrower."""
    if quantizer.bits >= 8:
        return codes
    return pack(codes.astype(np.uint8, copy=False), cast("Bits", quantizer.bits))


def unpack_codes(quantizer: Quantizer, stored: Codes, n_codes: int) -> Codes:
    """Return the first `n_codes` codes of stored vectors, or as many as these have."""
    if quantizer.bits >= 8:
        return stored
    packed, bits = stored.astype(np.uint8, copy=False), cast("Bits", quantizer.bits)
    return unpack(packed, bits, min(n_codes, len(packed) * 8 // bits))


@single_threaded_blas()  # several threads divide a product, and round it, otherwise
def encode_block(
    projection: Projection,
    quantizer: Quantizer,
    values: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    *,
    normalize: bool = False,
    out: Codes | None = None,
) -> tuple[Codes, NDArray[np.bool_]]:
    """Encode ``(dimension, n_pixels)``, into `out` if given; see `Encoding.encode_block`."""
    n_pixels = values.shape[1]
    shape = (code_length(quantizer), n_pixels)
    codes = np.empty(shape, dtype=quantizer.dtype) if out is None else out
    mask = np.ones(n_pixels, dtype=np.bool_) if valid is None else valid.copy()
    step = cached_pixels(projection.n_components)
    scores = np.empty((projection.n_components, step), dtype=np.float32)
    centering = None
    if projection.matrix is not None:
        centering = projection.centering(keeps_rows=True)
    for start in range(0, n_pixels, step):
        columns = slice(start, start + step)
        with np.errstate(over="ignore"):  # float64 beyond float32 is infinite, so invalid
            tile_values = values[:, columns].astype(np.float32, copy=False)
            if normalize:
                tile_values = scale_to_unit(tile_values)
        components = scores[:, : tile_values.shape[1]]
        projection.transform(tile_values, components, centering)
        by_matrix = centering is not None
        invalid = _clear_invalid(components, tile_values, mask[columns], by_matrix=by_matrix)
        quantize_tile(quantizer, components, invalid, codes[:, columns])
    return codes, mask


def quantize_tile(
    quantizer: Quantizer,
    components: NDArray[np.float32],
    invalid: NDArray[np.intp],
    out: Codes,
) -> None:
    """Quantize and pack a tile, the invalid pixels as such; its components may be overwritten."""
    if quantizer.bits < 8:
        out[:] = pack_codes(quantizer, quantizer.quantize(components))
    else:
        quantizer.quantize_in_place(components, out)
    if len(invalid):  # padding bits included: what the array's fill value says
        out[:, invalid] = quantizer.fill_value


def encode_rows(
    projection: Projection,
    quantizer: Quantizer,
    rows: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    *,
    normalize: bool = False,
) -> tuple[Codes, NDArray[np.bool_]]:
    """Encode ``(n, dimension)`` to ``(n, code_length)``, whole tiles in threads if there are many.

    Threads take whole tiles, so that a code does not depend on their number.
    """
    codes = np.empty((len(rows), code_length(quantizer)), dtype=quantizer.dtype)
    mask = np.ones(len(rows), dtype=np.bool_) if valid is None else valid.copy()

    def encode(start: int) -> None:
        span = slice(start, start + _THREAD_ROWS)
        _, mask[span] = encode_block(
            projection,
            quantizer,
            rows[span].T,
            mask[span],
            normalize=normalize,
            out=codes[span].T,
        )

    if len(rows) <= _THREAD_ROWS:
        encode(0)
    else:
        with single_threaded_blas():
            for_each(range(0, len(rows), _THREAD_ROWS), encode, worker_count())
    return codes, mask


def _clear_invalid(
    components: NDArray[np.float32],
    tile: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    by_matrix: bool,
) -> NDArray[np.intp]:
    """Clear the mask of pixels that are not finite; zero the components of invalid ones.

    Returns the positions of the invalid ones.
    """
    # Through a matrix one bad input makes every component bad: one row tells.
    finite = np.isfinite(components[:1] if by_matrix else components).all(axis=0)
    suspect = np.flatnonzero(~finite & mask)
    # Most are nodata throughout: one number of each tells, and all of them lie far apart in memory.
    first = np.isfinite(tile[0, suspect])
    mask[suspect[~first]] = False
    suspect = suspect[first]
    if len(suspect):
        mask[suspect] &= np.isfinite(tile[:, suspect]).all(axis=0)
        # Finite inputs whose sum is beyond float32 are valid: they get the outermost codes.
        overflowed = suspect[mask[suspect]]
        largest = float(np.finfo(np.float32).max)
        components[:, overflowed] = np.nan_to_num(
            components[:, overflowed], nan=0.0, posinf=largest, neginf=-largest
        )
    invalid = np.flatnonzero(~mask)
    if len(invalid):
        components[:, invalid] = 0.0
    return invalid


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
        stored, most = quantizer.n_codes, quantizer.n_prefixes
        check_whole(components=components)
        if components is not None and components != most:
            if not 1 <= components < most:
                raise InvalidConfigError(f"components={components}; expected 1 to {most}")
            quantizer = quantizer.select(components)
            if quantizer.n_components < projection.n_components:
                projection = projection.select(components)
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
            tile = unpack_codes(self.quantizer, codes[:, columns], self.stored_codes)
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
