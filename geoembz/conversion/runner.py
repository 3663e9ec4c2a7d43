"""Run tasks with dask, and stop the others when one fails."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from geoembz.threads import single_threaded_blas

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

    def guarded(item: Item) -> Result | None:
        result: Result | None = guard.run(function, item)
        return result

    call = delayed(guarded, pure=False)
    tasks = [call(item) for item in items]
    with single_threaded_blas():
        results = compute(  # type: ignore[no-untyped-call]
            *tasks, scheduler=threaded.get, num_workers=workers
        )
    guard.raise_failure()
    return list(results)


class _Guard:
    """Remembers the first failure and lets no further task begin after it."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._lock, self._done = threading.Lock(), 0
        self._failure: Exception | None = None

    def run(self, function: Callable[[Any], Any], item: Any) -> Any:
        if self._failure is not None:
            return None
        try:
            result = function(item)
        except Exception as error:  # noqa: BLE001 - re-raised by raise_failure, in the caller's thread
            with self._lock:
                self._failure = self._failure or error
            return None
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
        return result

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
