"""Count differing bits between packed queries and packed codes, as they lie in a store.

Codes are component first, so a row of bytes belongs to one byte of every pixel: counting byte by
byte runs along rows and needs no regrouping into words. With numba installed (extra ``accel``) the
same loop is compiled; both give the same numbers.
"""

from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

_TILE_PIXELS = 16_384
"""Pixels that each NumPy call works on: enough to hide the call, few enough for the cache."""

WORTHWHILE_BYTES = 2**28
"""Bytes compared below which loading the accelerator takes longer than it saves."""

_ROWS_PER_BYTE = 31
"""Bytes whose differing bits, 8 at most each, add up in one uint8 without overflow."""


@cache
def has_accelerator() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def hamming_tile(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], *, accelerate: bool
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Count the bits in which queries and pixels differ.

    Parameters
    ----------
    queries
        uint8, shape ``(n_queries, n_bytes)``, at most 8,191 bytes.
    codes
        uint8, shape ``(n_bytes, n_pixels)``.
    accelerate
        Use numba.

    Returns
    -------
    distances
        uint16, shape ``(n_queries, n_pixels)``.
    nearest
        The smallest of each query, uint16, shape ``(n_queries,)``.

    Examples
    --------
    >>> queries, codes = np.array([[0b1011]], np.uint8), np.array([[0b1011, 0b0001]], np.uint8)
    >>> hamming_tile(queries, codes, accelerate=False)[0]
    array([[0, 2]], dtype=uint16)
    """
    distances = np.empty((len(queries), codes.shape[1]), dtype=np.uint16)
    if accelerate:
        from geoembz.scoring.accelerated import count_differing_bits

        nearest = np.empty(len(queries), dtype=np.uint16)
        count_differing_bits(queries, _contiguous_rows(codes), distances, nearest)
        return distances, nearest
    _count(queries, codes, distances)
    return distances, distances.min(axis=1, initial=np.iinfo(np.uint16).max)


def _contiguous_rows(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return codes whose pixels lie side by side, without a copy where they do."""
    return codes if codes.strides[1] == 1 else np.ascontiguousarray(codes)


def _count(queries: NDArray[np.uint8], codes: NDArray[np.uint8], out: NDArray[np.uint16]) -> None:
    for start in range(0, codes.shape[1], _TILE_PIXELS):
        columns = slice(start, start + _TILE_PIXELS)
        _count_tile(queries, codes[:, columns], out[:, columns])


def _count_tile(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], out: NDArray[np.uint16]
) -> None:
    differing, sums = (np.empty(codes.shape[1], dtype=np.uint8) for _ in range(2))
    for query, total in zip(queries, out, strict=True):
        total[:] = 0
        for start in range(0, len(codes), _ROWS_PER_BYTE):
            sums[:] = 0
            for row in range(start, min(start + _ROWS_PER_BYTE, len(codes))):
                np.bitwise_xor(codes[row], query[row], out=differing)
                np.bitwise_count(differing, out=differing)
                np.add(sums, differing, out=sums)
            total += sums
