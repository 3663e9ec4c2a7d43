"""Run the tasks of a conversion: on threads of this process here, or on a cluster.

Where one task fails no further one begins, and the first failure is raised.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from geoembz._util.threads import RUNNING_SECONDS, single_threaded_blas
from geoembz.errors import InvalidConfigError

TASKS_AT_ONCE = 8192
"""How many tasks dask is given at once: it keeps some kB for each, and rasters have millions."""


type Progress = Callable[[int, int], None]
"""Called with the number of finished tasks and the number of all."""


def run_tasks[Item, Result](
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    progress: Progress | None = None,
) -> list[Result]:
    """Apply `function` to every item on dask's threads; return the results in order.

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
    from dask import threaded
    from dask.base import compute
    from dask.delayed import delayed

    guard = _Guard(len(items), progress)
    results: list[Any] = []

    def guarded(item: Item) -> Result | None:
        result: Result | None = guard.run(function, item)
        return result

    call = delayed(guarded, pure=False)
    try:
        with single_threaded_blas():
            for start in range(0, len(items), TASKS_AT_ONCE):
                tasks = [call(item) for item in items[start : start + TASKS_AT_ONCE]]
                results += compute(  # type: ignore[no-untyped-call]
                    *tasks, scheduler=threaded.get, num_workers=workers
                )
                if guard.has_failed:
                    break
    except BaseException:  # Ctrl-C: the threads know nothing of it
        guard.stop(RUNNING_SECONDS)
        raise
    guard.raise_failure()
    return results


class _Guard:
    """Remembers the first failure and lets no further task begin after it, or after `stop`."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._lock, self._done = threading.Lock(), 0
        self._idle, self._running = threading.Condition(), 0
        self._failure: Exception | None = None
        self._stopped = False

    def run(self, function: Callable[[Any], Any], item: Any) -> Any:
        with self._idle:
            if self._failure is not None or self._stopped:
                return None
            self._running += 1
        try:
            return self._count(function(item))
        except Exception as error:  # noqa: BLE001 - re-raised by raise_failure, in the caller's thread
            with self._lock:
                self._failure = self._failure or error
            return None
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _count(self, result: Any) -> Any:
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
        return result

    def stop(self, seconds: float) -> None:
        """Let no task begin, and wait for those that run, but not for ever."""
        with self._idle:
            self._stopped = True
            self._idle.wait_for(lambda: not self._running, timeout=seconds)

    @property
    def has_failed(self) -> bool:
        return self._failure is not None

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


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
