"""What a worker of a cluster does: run a batch of tasks, until it is told to stop.

Only this module's functions are sent; everything else a worker imports by itself.
"""

import pickle
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from geoembz._util.threads import single_threaded_blas
from geoembz._version import __version__
from geoembz.errors import SchedulerError

_lock = threading.Lock()
_forbidden: set[str] = set()
_running: Counter[str] = Counter()


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
