"""How many tasks go to a worker at once.

A scheduler handles a few hundred messages a second, so tasks go in batches; but whoever gets the
last batch keeps all others waiting, so the batches shrink towards the end.
"""

LARGEST_BATCH = 32
"""Tasks in a batch, at most: what a lost worker has to look up again."""

_SHARE = 2


def batch_size(n_left: int, n_threads: int) -> int:
    """Return the size of the next batch: guided self-scheduling.

    Parameters
    ----------
    n_left
        Tasks that have not been handed out.
    n_threads
        Tasks that the cluster runs at once.

    References
    ----------
    Polychronopoulos & Kuck, *Guided self-scheduling*, IEEE Transactions on Computers C-36, 1987.

    Examples
    --------
    >>> batch_size(100_000, 8), batch_size(100, 8), batch_size(3, 8)
    (32, 6, 1)
    """
    return max(1, min(LARGEST_BATCH, n_left // (_SHARE * max(n_threads, 1))))


def batches_ahead(n_threads: int) -> int:
    """Return how many batches to keep handed out: one running and one waiting per thread.

    Examples
    --------
    >>> batches_ahead(8)
    17
    """
    return 2 * n_threads + 1
