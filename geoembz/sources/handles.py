"""Open files, a bounded number per thread: a mosaic may have more tiles than a process may open."""

import atexit
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

MOST_OPEN = 24
"""Files that one thread keeps open."""

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
    handles = _handles()
    if token in handles:
        handles.move_to_end(token)
        return handles[token]
    handles[token] = handle = opener()
    if len(handles) > MOST_OPEN:
        handles.popitem(last=False)
    return handle


def n_open() -> int:
    """Return how many files this thread keeps open."""
    return len(_handles())


def _handles() -> OrderedDict[int, Any]:
    handles: OrderedDict[int, Any] | None = getattr(_local, "handles", None)
    if handles is None:
        handles = _local.handles = OrderedDict()
    return handles
