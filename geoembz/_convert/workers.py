"""Where the tasks of a conversion run: threads of this process, or a dask.distributed cluster."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from geoembz._convert.runner import Progress, run_tasks
from geoembz.errors import InvalidConfigError

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


@contextmanager
def open_workers(scheduler: str | None, count: int) -> Iterator[Workers]:
    """Yield the workers of a conversion, and let go of them afterwards.

    Parameters
    ----------
    scheduler
        None for threads; else see `check_scheduler`.
    count
        Threads, or processes where `scheduler` is ``local``.

    Raises
    ------
    SchedulerError
        If no scheduler answers, or it has no workers.
    """
    if scheduler is None:
        yield ThreadWorkers(count)
        return
    from geoembz._convert.cluster import open_cluster

    with open_cluster(scheduler, count) as workers:
        yield workers


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


def absolute(place: Any) -> Any:
    """Return a path that means the same in every folder; what is no local path stays as it is.

    Examples
    --------
    >>> absolute("s3://bucket/out.zarr"), Path(absolute("in.tif")).is_absolute()
    ('s3://bucket/out.zarr', True)
    """
    if isinstance(place, list | tuple):
        return [absolute(each) for each in place]
    if not isinstance(place, str | Path) or "://" in str(place) or str(place).startswith("/vsi"):
        return place
    path = Path(place)
    names_files = path.parent.exists() or _PATTERN.search(str(place))
    return str(path.absolute()) if names_files else place
