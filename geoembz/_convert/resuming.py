"""Run the tasks that a journal lacks: those of an interrupted conversion are not done again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from geoembz._convert.executors import Progress, Workers
from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz.store.digests import StoredObject, StoredObjects, lost_objects
from geoembz.store.journal import Journal


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
