"""Write the shards of a table from its spilled rows."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.runner import Progress, run_tasks
from geoembz._convert.site import Build
from geoembz._convert.spill import Spill
from geoembz._convert.table_rows import VALID, RowFormat, X, Y
from geoembz._geo.grid import Window
from geoembz._objects.files import make_parents
from geoembz._objects.tree import local_faults
from geoembz._util.output import scratch_folder
from geoembz.store import Journal, ObjectTree, TableWriter
from geoembz.store.digests import StoredObject, StoredObjects, lost_objects, parse_objects
from geoembz.store.journal import FOLDER


def write_table_shards(
    writer: TableWriter,
    build: Build,
    form: RowFormat,
    spill: Spill,
    workers: int,
    progress: Progress | None,
) -> None:
    """Write the shards that the journal lacks, and record each with its chunks' bounds.

    Parameters
    ----------
    writer
        Where rows go.
    build
        Its journal says what is finished, and is told what is; its fence, whose it is.
    form, spill
        How rows travelled, and where they are.
    workers
        Shards written at once.
    progress
        Called with the numbers of finished and of missing shards.
    """
    done = finished_shards(build.journal)
    missing = [shard for shard in writer.plan.shards() if shard.row not in done]

    def task(shard: Window) -> dict[str, Any]:
        build.fence.check()
        result = _write_shard(writer, form, spill, shard)
        build.journal.record(shard, result)
        return result

    run_tasks(task, missing, workers=workers, progress=progress)


@dataclass(frozen=True)
class FinishedShard:
    """What the journal says of a finished shard.

    Parameters
    ----------
    bounds
        ``xmin, ymin, xmax, ymax`` of the places in each chunk; None where none is known.
    stored
        The objects that were written, by key.
    """

    bounds: Sequence[Sequence[float | None]]
    stored: StoredObjects


def finished_shards(journal: Journal) -> dict[int, FinishedShard]:
    """Return the shards that are done, by first row, but those that were lost or cut since."""
    done = {
        row: FinishedShard(document["bounds"], parse_objects(document["stored"]))
        for (row, _), document in journal.finished().items()
    }
    lost = set(lost_objects(journal.tree, stored_rows(done)))
    return {row: shard for row, shard in done.items() if lost.isdisjoint(shard.stored)}


def stored_rows(done: Mapping[int, FinishedShard]) -> dict[str, StoredObject]:
    """Return the objects of all shards, by key."""
    return {key: entry for shard in done.values() for key, entry in shard.stored.items()}


def chunk_bounds(done: Mapping[int, FinishedShard]) -> NDArray[np.float64]:
    """Return the bounds of all chunks, float64 ``(n_chunks, 4)``; NaN where unknown."""
    bounds = [chunk for row in sorted(done) for chunk in done[row].bounds]
    return np.array(bounds, dtype=np.float64).reshape(-1, 4)


@contextmanager
def spill_folder(tree: ObjectTree) -> Iterator[Path]:
    """Make a folder for spilled rows: in the journal, or where temporary files go."""
    if tree.is_local:
        path = tree.local_path / FOLDER / "spill"
        shutil.rmtree(path, ignore_errors=True)
        with local_faults(tree.url):
            make_parents(path, tree.local_path)
            path.mkdir()
    else:
        path = scratch_folder()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _write_shard(
    writer: TableWriter, form: RowFormat, spill: Spill, shard: Window
) -> dict[str, Any]:
    """Put a shard's rows in order, write them, return the bounds of its chunks and its objects."""
    rows = spill.read(shard.row)
    places = np.column_stack([np.asarray(rows[axis]) for axis in (X, Y)])
    stored = writer.write_shard(
        shard.row,
        form.codes(rows),
        np.asarray(rows[VALID]),
        places,
        form.arrays(rows),
        form.file_rows(rows, places),
    )
    chunk = writer.plan.chunk
    parts = (places[start : start + chunk] for start in range(0, len(places), chunk))
    return {"bounds": [_bounds(part) for part in parts], "stored": stored}


def _bounds(places: NDArray[np.float64]) -> list[float | None]:
    known = places[np.isfinite(places).all(axis=1)]
    if not len(known):
        return [None] * 4
    return [*known.min(axis=0).tolist(), *known.max(axis=0).tolist()]
