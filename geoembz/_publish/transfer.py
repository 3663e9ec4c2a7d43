"""Do something with many objects at once, in bounded memory.

Knows threads only. Memory is the number of workers times the largest object.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from itertools import batched
from threading import Event

from geoembz._util.threads import RUNNING_SECONDS, within
from geoembz.errors import InvalidConfigError

_TASKS_PER_WORKER = 32


def for_each[T, R](items: Iterable[T], action: Callable[[T], R], workers: int) -> list[R]:
    """Return what an action returns for each item, in their order.

    The first error ends the work: tasks that have begun finish, none is begun after it. After
    Ctrl-C, they are waited for no longer than a second.

    Parameters
    ----------
    items
        May be many: they are submitted in batches.
    action
        Called in threads.
    workers
        Number of threads, at least 1.

    Raises
    ------
    InvalidConfigError
        If there are no workers.

    Examples
    --------
    >>> for_each([1, 2, 3], lambda item: item * item, workers=2)
    [1, 4, 9]
    """
    if not 1 <= workers <= 256:
        raise InvalidConfigError(f"publish: --workers {workers}; expected 1 to 256")
    failed = Event()

    def guarded(item: T) -> R:
        if failed.is_set():
            raise CancelledError
        try:
            return action(item)
        except BaseException:
            failed.set()
            raise

    results: list[R] = []
    pool = ThreadPoolExecutor(workers, thread_name_prefix="geoembz-publish")
    try:
        for batch in batched(items, workers * _TASKS_PER_WORKER):
            results += pool.map(guarded, batch)
    except Exception:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    except BaseException:
        failed.set()
        within(RUNNING_SECONDS, lambda: pool.shutdown(wait=True, cancel_futures=True))
        raise
    pool.shutdown(wait=True)
    return results
