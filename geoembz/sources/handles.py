"""Open files, a bounded number per thread: a mosaic may have more tiles than a process may open."""

import atexit
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

MOST_OPEN = 24
"""Files that one thread keeps open."""

_MOST_FILES = 65_536

_tokens = itertools.count()
_local = threading.local()


atexit.register(_local.__dict__.clear)  # GDAL wants its files closed before it is unloaded


def new_token() -> int:
    """Return a number that names one source in this process; a copy of it needs its own."""
    return next(_tokens)


def open_handle(token: int, opener: Callable[[], Any]) -> Any:
    """Return this thread's open file of a source; open it if need be, and let the oldest go.

    Files are never shared between threads: GDAL's are not safe to read from two at once. One that
    is let go is closed as soon as nobody reads from it.
    """
    allow_many_files()
    handles = _handles()
    if token in handles:
        handles.move_to_end(token)
        return handles[token]
    handles[token] = handle = opener()
    if len(handles) > MOST_OPEN:
        handles.popitem(last=False)
    return handle


@cache
def allow_many_files() -> None:
    """Let this process open as many files as the system allows it: each worker keeps some open.

    The usual limit of 1,024, which a process may raise by itself, is meant for programs that wait
    for files with `select`; nothing here does.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # what a sandbox forbids is no fault: fewer files then
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def n_open() -> int:
    """Return how many files this thread keeps open."""
    return len(_handles())


def _handles() -> OrderedDict[int, Any]:
    handles: OrderedDict[int, Any] | None = getattr(_local, "handles", None)
    if handles is None:
        handles = _local.handles = OrderedDict()
    return handles
