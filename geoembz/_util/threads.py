"""Threads: how many, which are shared, how to give them many tasks, and how long one is waited for.

A BLAS that starts threads of its own inside every worker fights the workers, and splits a product
differently from machine to machine. `threadpoolctl` sets a limit for the whole process, so
overlapping users must share one limit: the first sets it, the last restores it.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

from geoembz._util.options import check_whole
from geoembz.errors import InvalidConfigError

RUNNING_SECONDS, PARTING_SECONDS = 1.0, 0.6
"""How long to wait after Ctrl-C for what is running, then for what is to be let go: 2 s in all."""

_lock = threading.Lock()
_users = 0
_limiter: Any = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit BLAS to one thread for the length of the block, in the whole process.

    Blocks may nest and overlap across threads; the former limit returns when the last one ends.

    Examples
    --------
    >>> with single_threaded_blas():
    ...     product = np.ones((2, 3)) @ np.ones((3, 2))
    """
    _acquire()
    try:
        yield
    finally:
        _release()


def worker_count(requested: int | None = None) -> int:
    """Return how many workers to use: `requested`, or the cores this process may run on.

    Raises
    ------
    InvalidConfigError
        If none are requested, or a part of one.
    """
    if requested is not None:
        check_whole(workers=requested)
        if requested < 1:
            raise InvalidConfigError(f"workers {requested}; expected 1 or more")
        return requested
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def within(seconds: float, action: Callable[[], object]) -> None:
    """Do something, and go on after some seconds even if it has not ended by then.

    Whoever pressed Ctrl-C does not wait for a server that does not answer.

    Parameters
    ----------
    seconds
        To wait at most.
    action
        Called in a thread, which does not keep the process alive.

    Examples
    --------
    >>> import threading
    >>> within(0.01, lambda: threading.Event().wait(5))
    """
    thread = threading.Thread(target=action, name="geoembz-parting", daemon=True)
    thread.start()
    thread.join(seconds)


def _acquire() -> None:
    global _users, _limiter  # noqa: PLW0603 - one limit per process is the point
    with _lock:
        if _users == 0:
            controller = _controller(len(sys.modules))
            with _in_control(controller):
                _limiter = controller, controller.limit(limits=1, user_api="blas")
        _users += 1


def _release() -> None:
    global _users, _limiter  # noqa: PLW0603
    with _lock:
        _users -= 1
        if _users == 0:
            controller, limiter = _limiter
            with _in_control(controller):
                limiter.restore_original_limits()
            _limiter = None


@contextmanager
def _in_control(controller: Any) -> Iterator[None]:
    """Let this thread set limits, and afterwards any other.

    threadpoolctl 3.8 heeds only the thread that first set OpenBLAS' limit, and silently does
    nothing for others. Here the first user sets it and the last restores it, in whatever thread.
    """
    clears = [
        getattr(library, "clear_controlling_thread", None) for library in controller.lib_controllers
    ]
    for clear in filter(None, clears):
        clear(force=True)
    try:
        yield
    finally:
        for clear in filter(None, clears):
            clear(force=True)


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> Any:  # noqa: ARG001 - see below
    """Return what limits the libraries that are loaded.

    Looking for them takes milliseconds, so the answer is kept until another module is imported,
    which may have loaded another BLAS: `n_modules` is only the key of the cache.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@cache
def shared_pool() -> ThreadPoolExecutor:
    """Return the threads that read and decode: one set, so that many callers do not multiply them.

    What runs in it must not wait for it.
    """
    return ThreadPoolExecutor(worker_count(), thread_name_prefix="geoembz-read")


if hasattr(os, "register_at_fork"):  # a child has no threads, and would wait for them
    os.register_at_fork(after_in_child=shared_pool.cache_clear)


_TASKS_PER_WORKER = 32

_WAKE_SECONDS = 0.2


def check_workers(command: str, workers: int | None) -> None:
    """Refuse a number of threads that a command cannot work with; None leaves it to the command.

    Raises
    ------
    InvalidConfigError
        If it is none, a part of one, or more than a machine and a server should be asked for.
    """
    check_whole(workers=workers)
    if workers is not None and not 1 <= workers <= 256:
        raise InvalidConfigError(f"{command}: --workers {workers}; expected 1 to 256")


def for_each[T, R](items: Iterable[T], action: Callable[[T], R], workers: int) -> list[R]:
    """Return what an action returns for each item, in their order; see `in_order`.

    Examples
    --------
    >>> for_each([1, 2, 3], lambda item: item * item, workers=2)
    [1, 4, 9]
    """
    return list(in_order(items, action, workers, workers * _TASKS_PER_WORKER))


def in_order[T, R](
    items: Iterable[T], action: Callable[[T], R], workers: int, ahead: int
) -> Generator[R, None, None]:
    """Yield what an action returns for each item, in their order.

    The first error ends the work: tasks that have begun finish, none is begun after it. After
    Ctrl-C, they are waited for no longer than a second.

    Parameters
    ----------
    items
        May be many: they are taken as they are needed.
    action
        Called in threads.
    workers
        Number of threads, at least 1; see `check_workers`.
    ahead
        Items that are taken, and results that are kept, before the first of them is yielded.

    Examples
    --------
    >>> sum(in_order(range(10_000), lambda item: item % 2, workers=2, ahead=8))
    5000
    """
    guard = _Guard(action)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="geoembz-each")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(guard.run, item))
            if len(waiting) > ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    except CancelledError as error:  # of an earlier item, that a later one's failure kept
        pool.shutdown(wait=True, cancel_futures=True)
        raise (guard.failures or [error])[0] from None
    except (Exception, GeneratorExit):
        guard.stop(seconds=None)
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    except (
        BaseException
    ):  # Ctrl-C may come while the pool starts a thread that it does not know yet
        guard.stop(RUNNING_SECONDS)
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown(wait=True)


def _result[R](future: Future[R]) -> R:
    """Wait for a result; wake now and then, so that Python can tell of signals to other threads."""
    while not future.done():
        wait((future,), _WAKE_SECONDS)
    return future.result()


class _Guard[T, R]:
    """Lets no task begin after one has failed, or after `stop`, and knows which are running."""

    def __init__(self, action: Callable[[T], R]) -> None:
        self._action = action
        self._idle, self._running, self._stopped = threading.Condition(), 0, False
        self.failures: list[BaseException] = []

    def run(self, item: T) -> R:
        with self._idle:
            if self._stopped:
                raise CancelledError
            self._running += 1
        try:
            return self._action(item)
        except BaseException as error:
            self.failures.append(error)
            self._stopped = True
            raise
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def stop(self, seconds: float | None) -> None:
        """Let no task begin, and wait for those that run, no longer than some seconds."""
        with self._idle:
            self._stopped = True
            self._idle.wait_for(lambda: not self._running, seconds)
