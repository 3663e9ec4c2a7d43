"""Loops of `rq` compiled by numba; NumPy finds the same, to the bit, without them.

Import this module only where `has_accelerator` says so, and there is enough to do: to load numba
takes a second. All loops are in one file, since numba notices a change of a loop's own file only.
"""

import numpy as np
from numpy.typing import NDArray

from geoembz._util.compiling import compiled


@compiled
def extend_sums(
    alone: NDArray[np.float32],
    products: NDArray[np.float32],
    errors: NDArray[np.float32],
    codes: NDArray[np.uint8],
    chosen_errors: NDArray[np.float32],
    chosen_codes: NDArray[np.uint8],
) -> None:
    """Add the codeword of a stage to partial sums, and keep the best few of each pixel.

    Numbers are added in the order in which NumPy adds them, and of equal errors the first one is
    kept, so that codes do not depend on whether numba is there.

    Parameters
    ----------
    alone
        What each codeword adds by itself, shape ``(n_pixels, 256)``.
    products
        What it adds with each earlier one, shape ``(stage, 256, 256)``.
    errors, codes
        Of the partial sums, shapes ``(n_pixels, n_sums)`` and ``(n_pixels, n_sums, n_stages)``.
    chosen_errors, chosen_codes
        Receive those of the sums that are kept, ascending.
    """
    n_pixels, n_words = alone.shape
    n_earlier, n_sums, n_kept = len(products), errors.shape[1], chosen_errors.shape[1]
    scores, best = np.empty(n_words, np.float32), np.empty(n_kept, np.float32)
    parents, words = np.empty(n_kept, np.int64), np.empty(n_kept, np.int64)
    for pixel in range(n_pixels):
        best[:] = np.inf
        for parent in range(n_sums):
            error = errors[pixel, parent]
            for word in range(n_words):
                scores[word] = error + alone[pixel, word]
            for earlier in range(n_earlier):
                added = products[earlier, codes[pixel, parent, earlier]]
                for word in range(n_words):
                    scores[word] += added[word]
            worst, is_near = best[n_kept - 1], False
            for word in range(n_words):  # without a branch, so that it is vectorised
                is_near |= scores[word] < worst
            if is_near:
                _keep_smallest(scores, parent, best, parents, words)
        chosen_errors[pixel] = best
        for place in range(n_kept):
            for earlier in range(n_earlier):
                chosen_codes[pixel, place, earlier] = codes[pixel, parents[place], earlier]
            chosen_codes[pixel, place, n_earlier] = words[place]


@compiled
def _keep_smallest(
    scores: NDArray[np.float32],
    parent: int,
    best: NDArray[np.float32],
    parents: NDArray[np.int64],
    words: NDArray[np.int64],
) -> None:
    """Sort the scores of one partial sum into the best so far, equal ones behind."""
    last = len(best) - 1
    for word, score in enumerate(scores):
        if score >= best[last]:
            continue
        place = last
        while place > 0 and best[place - 1] > score:
            best[place] = best[place - 1]
            parents[place], words[place] = parents[place - 1], words[place - 1]
            place -= 1
        best[place], parents[place], words[place] = score, parent, word
