"""Encode pixels a few tiles at a time, so that every pass over them finds them in cache."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas, worker_count
from geoembz.encoding._packing import Bits, pack, packed_length
from geoembz.encoding._projection import TILE_PIXELS, Projection, cached_pixels, normalized
from geoembz.encoding._quantization import Codes, Quantizer

_THREAD_ROWS = 16 * TILE_PIXELS
"""Vectors that one thread encodes at a time: whole tiles."""


def code_length(quantizer: Quantizer) -> int:
    """Return the stored numbers per vector: codes, or bytes where several codes share one."""
    if quantizer.bits >= 8:
        return quantizer.n_codes
    return packed_length(quantizer.n_codes, packed_bits(quantizer))


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
    centring = None
    if projection.matrix is not None:
        centring = projection.centring(keeps_rows=True)
    for start in range(0, n_pixels, step):
        columns = slice(start, start + step)
        with np.errstate(over="ignore"):
            tile_values = values[:, columns].astype(np.float32, copy=False)
            if normalize:
                tile_values = normalized(tile_values)
        components = scores[:, : tile_values.shape[1]]
        projection.transform(tile_values, components, centring)
        by_matrix = centring is not None
        invalid = _clear_invalid(components, tile_values, mask[columns], by_matrix=by_matrix)
        tile = codes[:, columns]
        _quantize(quantizer, components, tile)
        if len(invalid):  # padding bits included: what the array's fill value says
            tile[:, invalid] = quantizer.fill_value
    return codes, mask


def _quantize(quantizer: Quantizer, components: NDArray[np.float32], out: Codes) -> None:
    """Quantize and pack a tile; its components may be overwritten."""
    if quantizer.bits < 8:
        unpacked = quantizer.quantize(components).astype(np.uint8, copy=False)
        out[:] = pack(unpacked, packed_bits(quantizer))
    else:
        quantizer.quantize_in_place(components, out)


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
        with single_threaded_blas(), ThreadPoolExecutor(worker_count()) as pool:
            list(pool.map(encode, range(0, len(rows), _THREAD_ROWS)))
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
    suspect = np.flatnonzero(~finite)
    if len(suspect):
        mask[suspect] &= np.isfinite(tile[:, suspect]).all(axis=0)
        overflowed = suspect[mask[suspect]]
        largest = float(np.finfo(np.float32).max)
        components[:, overflowed] = np.nan_to_num(
            components[:, overflowed], nan=0.0, posinf=largest, neginf=-largest
        )
    invalid = np.flatnonzero(~mask)
    if len(invalid):
        components[:, invalid] = 0.0
    return invalid


def packed_bits(quantizer: Quantizer) -> Bits:
    """Return the width of codes that are packed."""
    return cast("Bits", quantizer.bits)
