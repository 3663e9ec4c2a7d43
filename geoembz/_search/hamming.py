"""Count differing bits between packed queries and packed codes, as they lie in a store.

Codes are component first, so a row of bytes belongs to one byte of every pixel: counting byte by
byte runs along rows and needs no regrouping into words. With numba installed (extra ``accel``)
`compiled.keep_nearest_bits` counts and keeps the nearest in one pass; both find the same.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._search.scorer import ALL_VALID, BestK, Scorer
from geoembz._util.threads import shared_pool, single_threaded_blas, worker_count
from geoembz.encoding._projection import MOST_PIXELS
from geoembz.encoding._quantization import Codes

_DISTANCES = 2**18
"""Counts of bits that NumPy makes at once: enough to hide a call, few enough to stay in cache."""

_TILE_PIXELS = 16_384
"""Pixels that each NumPy call works on: enough to hide the call, few enough for the cache."""

_ROWS_PER_BYTE = 31
"""Bytes whose differing bits, 8 at most each, add up in one uint8 without overflow."""


class HammingScorer(Scorer):
    """Differing bits between queries and codes.

    Parameters
    ----------
    bits
        Encoded queries, uint8, shape ``(n_queries, n_bytes)``.
    accelerate
        Use numba; None for where it is installed.
    """

    dtype = np.dtype(np.uint16)

    def __init__(self, bits: NDArray[np.uint8], *, accelerate: bool | None = None) -> None:
        super().__init__(accelerate=accelerate)
        self._bits = np.ascontiguousarray(bits)

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self._bits)

    @property
    def step_pixels(self) -> int:
        """Pixels whose distances are made at once."""
        return max(_DISTANCES // self.n_queries, 4096)

    def search(
        self,
        best: BestK,
        codes: Codes,
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take the nearest of a block into `best`; see `Scorer.search`."""
        if not self._accelerate:
            super().search(best, codes, positions, valid)
            return
        from geoembz._search.compiled import keep_nearest_bits

        mask = ALL_VALID if valid is None else valid
        heaps = best.heap_distances, best.heap_positions
        keep_nearest_bits(self._bits, _contiguous_rows(_bytes(codes)), positions, mask, *heaps)

    def distances(self, codes: Codes) -> NDArray[np.uint16]:
        """Return differing bits, shape ``(n_queries, n_pixels)``."""
        return differing_bits(self._bits, _bytes(codes))

    def scores(self, distances: NDArray[Any]) -> NDArray[np.int32]:
        """Return differing bits as int32."""
        return distances.astype(np.int32)


def differing_bits(queries: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Count the bits in which queries and pixels differ.

    Parameters
    ----------
    queries
        uint8, shape ``(n_queries, n_bytes)``, at most 8,191 bytes.
    codes
        uint8, shape ``(n_bytes, n_pixels)``.

    Returns
    -------
    distances
        uint16, shape ``(n_queries, n_pixels)``.

    Examples
    --------
    >>> queries, codes = np.array([[0b1011]], np.uint8), np.array([[0b1011, 0b0001]], np.uint8)
    >>> differing_bits(queries, codes)
    array([[0, 2]], dtype=uint16)
    """
    distances = np.empty((len(queries), codes.shape[1]), dtype=np.uint16)
    _count(queries, codes, distances)
    return distances


def _contiguous_rows(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return codes whose pixels lie side by side, without a copy where they do."""
    return codes if codes.strides[1] == 1 else np.ascontiguousarray(codes)


def _bytes(codes: Codes) -> NDArray[np.uint8]:
    return codes if codes.dtype == np.uint8 else codes.view(np.uint8)  # type: ignore[return-value]


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


_BLOCK_PIXELS = 8 * MOST_PIXELS
"""Pixels searched in one call: their positions take half a megabyte, not fresh pages."""


def nearest_codes(
    scorer: Scorer, codes: Codes, k: int, valid: NDArray[np.bool_] | None = None
) -> BestK:
    """Search an array in memory, one thread per core; not from within `shared_pool`.

    Parameters
    ----------
    scorer
        The queries.
    codes
        As stored, shape ``(code_length, n_pixels)``.
    k
        How many to find; fewer where there are not so many.
    valid
        bool, shape ``(n_pixels,)``; None where all pixels count.

    Examples
    --------
    >>> from geoembz._search.metrics import HammingScorer
    >>> codes = np.array([[0b11, 0b01, 0b10]], dtype=np.uint8)
    >>> query = HammingScorer(np.array([[0b01]], dtype=np.uint8), accelerate=False)
    >>> nearest_codes(query, codes, k=2).positions
    array([[1, 0]])
    """
    count = codes.shape[1]
    threads = worker_count()
    step = max(-(-count // (threads * MOST_PIXELS)), 1) * MOST_PIXELS
    spans = [slice(start, min(start + step, count)) for start in range(0, count, step)]

    def search(span: slice) -> BestK:
        best = scorer.best(k)
        for start in range(span.start, span.stop, _BLOCK_PIXELS):
            block = slice(start, min(start + _BLOCK_PIXELS, span.stop))
            positions = np.arange(block.start, block.stop, dtype=np.int64)
            some = None if valid is None else valid[block]
            scorer.search(best, codes[:, block], positions, some)
        return best

    total = scorer.best(k)
    with single_threaded_blas():
        for best in shared_pool().map(search, spans):
            total.merge(best)
    return total
