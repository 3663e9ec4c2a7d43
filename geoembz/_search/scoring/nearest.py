"""Find the nearest codes of an array, in threads."""

import numpy as np
from numpy.typing import NDArray

from geoembz._search.scoring.base import Scorer
from geoembz._search.scoring.topk import BestK
from geoembz._util.threads import shared_pool, single_threaded_blas, worker_count
from geoembz.encoding._projection import MOST_PIXELS
from geoembz.encoding._quantization import Codes

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
    >>> from geoembz._search.scoring.scorers import HammingScorer
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
