"""Run the tasks of a conversion: on threads of this process here, or on a cluster.

Where one task fails no further one begins, and the first failure is raised.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from geoembz._util.threads import for_each, single_threaded_blas
from geoembz.errors import InvalidConfigError

type Progress = Callable[[int, int], None]
"""Called with the number of finished tasks and the number of all."""


def run_tasks[Item, Result](
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    progress: Progress | None = None,
) -> list[Result]:
    """Apply `function` to every item on threads; return the results in order.

    Parameters
    ----------
    function
        A task. It must not depend on the order of the tasks.
    items
        One argument per task.
    workers
        How many tasks run at once.
    progress
        Called after each task, from the thread that ran it.

    Raises
    ------
    Exception
        Whatever the first failing task raised; tasks that had not begun are skipped.
    """
    lock, done = threading.Lock(), 0

    def counted(item: Item) -> Result:
        nonlocal done
        result = function(item)
        with lock:
            done += 1
            if progress is not None:
                progress(done, len(items))
        return result

    with single_threaded_blas():
        return for_each(items, counted, workers)


LOCAL = "local"
"""Names a cluster of processes on this machine, made for one conversion."""

_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^/\s]+:\d+/?")
_PATTERN = re.compile(r"[*?\[]")


class Workers(Protocol):
    """Runs tasks."""

    @property
    def may_repeat(self) -> bool:
        """Whether a task may run again after its worker was lost."""
        ...

    def run(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        progress: Progress | None = None,
    ) -> list[Any]:
        """Apply `function` to every item; return the results in order.

        Raises
        ------
        Exception
            Whatever the first failing task raised; tasks that had not begun are skipped.
        """
        ...


@dataclass(frozen=True)
class ThreadWorkers:
    """Threads of this process.

    Parameters
    ----------
    count
        How many tasks run at once.
    """

    count: int
    may_repeat: ClassVar[bool] = False

    def run(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        progress: Progress | None = None,
    ) -> list[Any]:
        """Apply `function` to every item; see `Workers.run`."""
        return run_tasks(function, items, workers=self.count, progress=progress)


def check_scheduler(scheduler: str | None) -> None:
    """Refuse what names no scheduler.

    Raises
    ------
    InvalidConfigError
        If it is neither an address, such as ``tcp://10.0.0.5:8786``, nor ``local``.

    Examples
    --------
    >>> check_scheduler("tcp://10.0.0.5:8786")
    """
    if scheduler is None or scheduler == LOCAL or _ADDRESS.fullmatch(scheduler):
        return
    raise InvalidConfigError(
        f"scheduler {scheduler!r}; expected an address such as tcp://10.0.0.5:8786, as "
        f"`dask scheduler` prints it, or {LOCAL!r} for processes on this machine"
    )


def make_absolute(place: Any) -> Any:
    """Return a path that means the same in every folder; what is no local path stays as it is.

    Examples
    --------
    >>> make_absolute("s3://bucket/out.zarr"), Path(make_absolute("in.tif")).is_absolute()
    ('s3://bucket/out.zarr', True)
    """
    if isinstance(place, list | tuple):
        return [make_absolute(each) for each in place]
    if not isinstance(place, str | Path) or "://" in str(place) or str(place).startswith("/vsi"):
        return place
    path = Path(place)
    names_files = path.parent.exists() or _PATTERN.search(str(place))
    return str(path.absolute()) if names_files else place
