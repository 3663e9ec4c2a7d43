"""Find the nearest codes of an array, in threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from geoembz.quantization import Codes
from geoembz.scoring.scorers import Scorer
from geoembz.scoring.topk import BestK
from geoembz.threads import single_threaded_blas, worker_count


def search_block(
    best: BestK,
    scorer: Scorer,
    codes: Codes,
    positions: NDArray[np.int64],
    valid: NDArray[np.bool_] | None = None,
) -> None:
    """Take the nearest of a block into `best`, tile by tile.

    Parameters
    ----------
    best
        What was found so far.
    scorer
        The queries.
    codes
        As stored, shape ``(code_length, n_pixels)``.
    positions
        Ascending, int64, shape ``(n_pixels,)``.
    valid
        bool, shape ``(n_pixels,)``; None where all pixels count.
    """
    for start in range(0, codes.shape[1], scorer.tile_pixels):
        columns = slice(start, start + scorer.tile_pixels)
        distances, nearest = scorer.distances(codes[:, columns])
        if valid is not None and not valid[columns].all():
            distances[:, ~valid[columns]] = best.farthest
            nearest = None
        best.update(distances, positions[columns], nearest)


def nearest_codes(
    scorer: Scorer, codes: Codes, k: int, valid: NDArray[np.bool_] | None = None
) -> BestK:
    """Search an array in memory, one thread per core.

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
    >>> from geoembz.scoring.scorers import HammingScorer
    >>> codes = np.array([[0b11, 0b01, 0b10]], dtype=np.uint8)
    >>> query = HammingScorer(np.array([[0b01]], dtype=np.uint8), accelerate=False)
    >>> nearest_codes(query, codes, k=2).positions
    array([[1, 0]])
    """
    count = codes.shape[1]
    threads = worker_count()
    step = max(-(-count // (threads * scorer.tile_pixels)), 1) * scorer.tile_pixels
    spans = [slice(start, min(start + step, count)) for start in range(0, count, step)]

    def search(span: slice) -> BestK:
        best = BestK(scorer.n_queries, k, scorer.dtype)
        positions = np.arange(span.start, span.stop, dtype=np.int64)
        some = None if valid is None else valid[span]
        search_block(best, scorer, codes[:, span], positions, some)
        return best

    total = BestK(scorer.n_queries, k, scorer.dtype)
    with single_threaded_blas(), ThreadPoolExecutor(threads) as pool:
        for best in pool.map(search, spans):
            total.merge(best)
    return total
