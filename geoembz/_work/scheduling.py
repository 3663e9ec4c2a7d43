"""Send tasks to the workers of a cluster in batches, which a worker runs until it is stopped.

A scheduler handles a few hundred messages a second, so tasks go in batches; but whoever gets the
last batch keeps all others waiting, so the batches shrink towards the end. Workers are sent
functions of this module alone; everything else they import by themselves.
"""

import pickle
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from geoembz._util.threads import single_threaded_blas
from geoembz._version import __version__
from geoembz.errors import SchedulerError

LARGEST_BATCH = 32
"""Tasks in a batch, at most: what a lost worker has to look up again."""

_SHARE = 2
"""A batch is half of a thread's equal share of the rest, so that all threads end together."""

_THREADS_SECONDS = 2.0
"""How long a count of threads is trusted: asking is a round trip, and workers come and go."""

_lock = threading.Lock()
_forbidden: set[str] = set()
_running: Counter[str] = Counter()


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


class Parts:
    """Cuts the items into batches, by the threads that the cluster has at the moment.

    Parameters
    ----------
    client
        Connected to the scheduler.
    total
        Number of items.
    most
        How many of them may be handed out, or have results that wait, at the same time.
    """

    def __init__(self, client: Any, total: int, most: int) -> None:
        self._client, self._next, self._total, self._most = client, 0, total, most
        self._threads, self._asked = 0, float("-inf")

    @property
    def left(self) -> int:
        """Items that have not been handed out."""
        return self._total - self._next

    def n_threads(self) -> int:
        """Return the threads of all workers, as of a moment ago."""
        now = time.monotonic()
        if now - self._asked > _THREADS_SECONDS:
            with suppress(OSError):  # a scheduler that is lost shows in the batches
                self._threads = sum(self._client.nthreads().values())
            self._asked = now
        return self._threads

    def room(self, settled: int) -> int:
        """Return how many items may be handed out, of which the first `settled` are settled."""
        return min(self._total, settled + self._most) - self._next

    def take(self, settled: int) -> slice:
        """Return the place of the next batch, for which there must be room."""
        size = batch_size(min(self.left, self._most), self.n_threads())
        part = slice(self._next, self._next + min(size, self.room(settled)))
        self._next = part.stop
        return part


def dask_setup(_worker: Any) -> None:
    """Leave Ctrl-C to the client: a terminal sends it to its workers, too. dask calls this."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def restore(content: bytes) -> Any:
    """Return what was pickled by the client, whose code this process runs in any case."""
    return pickle.loads(content)  # noqa: S301


def run_batch(
    function: Callable[[Any], Any], items: Sequence[Any], token: str, software: str
) -> list[Any]:
    """Apply `function` to items, one after the other.

    Parameters
    ----------
    function
        The task.
    items
        One argument per call.
    token
        Names the run; see `forbid`.
    software
        Version of geoembz that the client runs.

    Raises
    ------
    SchedulerError
        If this process runs another version, or the run was forbidden meanwhile.
    """
    if software != __version__:
        raise SchedulerError(
            f"a worker runs geoembz {__version__}, the client {software}; expected one version, or "
            "the store would be of two; install the same everywhere"
        )
    with _lock:
        _running[token] += 1
    try:
        with single_threaded_blas():
            return [_unless_forbidden(function, item, token) for item in items]
    finally:
        with _lock:
            _running[token] -= 1


def _unless_forbidden(function: Callable[[Any], Any], item: Any, token: str) -> Any:
    if token in _forbidden:
        raise SchedulerError("another batch failed; this one was stopped")
    return function(item)


def forbid(token: str) -> None:
    """Begin no further task of a run in this process."""
    _forbidden.add(token)


def count_running(token: str) -> int:
    """Return how many batches of a run this process works on."""
    return _running[token]
