"""Run the tasks of a command: on threads of this process here, or on a cluster.

Where one task fails no further one begins, and the first failure is raised. What a journal has is
not done again: that of a conversion that was interrupted.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz._util.optional import import_extra
from geoembz._util.progress import Progress, counted, listener
from geoembz._util.threads import for_each, in_order, single_threaded_blas
from geoembz.errors import InvalidConfigError
from geoembz.store.digests import StoredObject, StoredObjects, lost_objects
from geoembz.store.journal import Journal

_log = logging.getLogger("geoembz.work")


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
        Called after each task, from the thread that ran it; None for whoever listens.

    Raises
    ------
    Exception
        Whatever the first failing task raised; tasks that had not begun are skipped.
    """
    lock, done, tell = threading.Lock(), 0, progress or listener()

    def counted(item: Item) -> Result:
        nonlocal done
        result = function(item)
        with lock:
            done += 1
            _log.debug("%d of %d done", done, len(items))
            if tell is not None:
                tell(done, len(items))
        return result

    with single_threaded_blas():
        return for_each(items, counted, workers)


LOCAL = "local"
"""Names a cluster of processes on this machine, made for one command."""

_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^/\s]+:\d+/?")


class Workers(Protocol):
    """Runs tasks."""

    @property
    def count(self) -> int:
        """How many tasks run at once, at the moment."""
        ...

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

    def each(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, most: int
    ) -> Iterator[Any]:
        """Yield what `function` returns for every item, in order.

        Parameters
        ----------
        function
            A task.
        items
            One argument per task.
        most
            Results that are there at once, at most: those that are made, and those that wait.

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

    def each(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, most: int
    ) -> Iterator[Any]:
        """Yield what `function` returns for every item; see `Workers.each`."""
        at_once = min(most, 2 * self.count)
        results = in_order(items, function, self.count, ahead=at_once - 1)
        return counted(results, len(items)) if isinstance(items, Sized) else results


def check_scheduler(scheduler: str | None) -> None:
    """Refuse what names no scheduler, or cannot be reached for want of a package.

    Raises
    ------
    InvalidConfigError
        If it is neither an address, such as ``tcp://10.0.0.5:8786``, nor ``local``.
    MissingPackageError
        If distributed is not installed.

    Examples
    --------
    >>> check_scheduler("tcp://10.0.0.5:8786")
    """
    if scheduler is None:
        return
    if scheduler == LOCAL or _ADDRESS.fullmatch(scheduler):
        import_extra("distributed", "cluster", "--scheduler: a cluster needs distributed")
        return
    raise InvalidConfigError(
        f"scheduler {scheduler!r}; expected an address such as tcp://10.0.0.5:8786, as "
        f"`dask scheduler` prints it, or {LOCAL!r} for processes on this machine"
    )


class Recorded(Protocol):
    """The result of a task, as a journal records it."""

    @property
    def stored(self) -> StoredObjects:
        """The objects of the store that the task wrote, by key."""
        ...

    @property
    def kept(self) -> StoredObjects:
        """What it wrote beside the journal, for other tasks."""
        ...


def run_recorded[Result: Recorded](
    task: Callable[[Window], Result],
    shards: Sequence[Window],
    journal: Journal,
    tree: ObjectTree,
    date: int | None,
    read: Callable[[Mapping[str, Any]], Result],
    workers: Workers,
    progress: Progress | None,
) -> list[Result]:
    """Run a task on the shards that the journal lacks; return the results of all, in order.

    Parameters
    ----------
    task
        Writes a shard, and records it.
    shards
        All of them.
    journal
        Says what is finished.
    tree, date
        Where it is, and its position on the time axis; None where there is no such axis.
    read
        Reads a result that was recorded.
    workers
        Run the tasks.
    progress
        Called with the numbers of finished and of missing shards.
    """
    done = _find_finished(journal, tree, date, read)
    missing = [shard for shard in shards if (shard.row, shard.col) not in done] if done else shards
    before = f"; {len(done):,} were done before" if done else ""
    _log.info("writing %s shards%s", f"{len(missing):,}", before)
    fresh = workers.run(task, missing, progress=progress)
    tree.remove_partials()  # a killed worker may have left some
    if not done:
        return fresh
    new = iter(fresh)
    known = (done.get((shard.row, shard.col)) for shard in shards)
    return [next(new) if result is None else result for result in known]


def _find_finished[Result: Recorded](
    journal: Journal,
    tree: ObjectTree,
    date: int | None,
    read: Callable[[Mapping[str, Any]], Result],
) -> dict[tuple[int, int], Result]:
    """Return what the journal says is done, and the store still has."""
    done = {key: read(document) for key, document in journal.finished().items()}
    lost = find_lost(tree, {key: result.stored for key, result in done.items()}, date)
    lost |= find_lost(journal.tree, {key: result.kept for key, result in done.items()})
    return {key: result for key, result in done.items() if key not in lost}


def find_lost[Key](
    tree: ObjectTree, stored: Mapping[Key, StoredObjects], date: int | None = None
) -> set[Key]:
    """Return the finished shards whose objects were lost or cut since: they are written again.

    A journal may outlive what it records: power fails, a disk is cleaned.
    """
    lost = set(lost_objects(tree, merge_stored(stored.values()), date))
    return {key for key, objects in stored.items() if not lost.isdisjoint(objects)}


def merge_stored(parts: Iterable[StoredObjects]) -> dict[str, StoredObject]:
    """Return the objects of all shards, by key."""
    return {key: entry for part in parts for key, entry in part.items()}
