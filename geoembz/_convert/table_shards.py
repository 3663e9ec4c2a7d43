"""Encode a whole table, several batches at once; sort its rows by shard; write the shards."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.sampling import PixelRoles
from geoembz._convert.site import Build
from geoembz._convert.table_rows import VALID, RowFormat, Spill, X, Y
from geoembz._geo.grid import Window
from geoembz._geo.hilbert import hilbert_order
from geoembz._objects.files import make_parents
from geoembz._objects.tree import ObjectTree, local_faults
from geoembz._util.output import scratch_folder
from geoembz._util.progress import Progress
from geoembz._util.threads import in_order, single_threaded_blas
from geoembz._work.executors import find_lost, run_tasks
from geoembz.encoding import Encoding
from geoembz.encoding._fidelity import FidelitySums
from geoembz.encoding._quantization import Codes
from geoembz.sources.tables import TableBatch
from geoembz.store.digests import StoredObjects, parse_objects
from geoembz.store.journal import FOLDER, Journal
from geoembz.store.table_writer import TableWriter


@dataclass(frozen=True)
class EncodedBatch:
    """Rows of a table as they will be stored.

    Parameters
    ----------
    batch
        The rows as they were read.
    codes
        Shape ``(n, code_length)``.
    valid
        Whether a row holds a vector, shape ``(n,)``.
    fidelity
        What was lost, on the held-out rows.
    """

    batch: TableBatch
    codes: Codes
    valid: NDArray[np.bool_]
    fidelity: FidelitySums


@dataclass(frozen=True)
class TableEncoder:
    """Encodes batches and measures what that loses.

    Parameters
    ----------
    encoding
        The fitted encoding.
    roles
        Which rows are held out.
    centre
        Mean vector of the sample, float64 ``(dimension,)``.
    """

    encoding: Encoding
    roles: PixelRoles
    centre: NDArray[np.float64]

    def __call__(self, batch: TableBatch) -> EncodedBatch:
        """Encode one batch."""
        values = batch.vectors.T
        codes, valid = self.encoding.encode_block(values)
        keys = self.roles.keys(Window(batch.start, 0, len(valid), 1))
        tested = self.roles.held_out(keys) & valid
        original = self.encoding.target(values[:, tested])
        decoded = self.encoding.decode_block(np.ascontiguousarray(codes[:, tested]))
        fidelity = FidelitySums.of(original.T, decoded.T, self.centre)
        return EncodedBatch(batch, np.ascontiguousarray(codes.T), valid, fidelity)


def spill_encoded(
    batches: Iterable[TableBatch],
    places: NDArray[np.float64],
    encoder: TableEncoder,
    form: RowFormat,
    spill: Spill,
    skip: frozenset[int],
    workers: int,
) -> tuple[FidelitySums, int]:
    """Encode everything and sort it into files by shard; return fidelity and valid rows.

    Parameters
    ----------
    batches
        The whole table, in order.
    places
        x and y of every row, float64 ``(n_rows, 2)``: rows are stored along a Hilbert curve.
    encoder
        Encodes a batch.
    form
        How rows travel.
    spill
        Where to.
    skip
        First rows of the shards that are written already.
    workers
        Batches encoded at once.
    """
    order = hilbert_order(places[:, 0], places[:, 1])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    fidelity, valid_rows = FidelitySums(), 0
    with single_threaded_blas():
        for done in in_order(batches, encoder, workers, ahead=workers):
            batch = done.batch
            fidelity = fidelity.merge(done.fidelity)
            valid_rows += int(done.valid.sum())
            rows = rank[batch.start : batch.start + len(done.codes)]
            spill.append(rows, form.pack(batch.columns, batch.places, done.codes, done.valid), skip)
    return fidelity, valid_rows


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
    done = find_finished(build.journal)
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


def find_finished(journal: Journal) -> dict[int, FinishedShard]:
    """Return the shards that are done, by first row, but those that were lost or cut since."""
    done = {
        row: FinishedShard(document["bounds"], parse_objects(document["stored"]))
        for (row, _), document in journal.finished().items()
    }
    lost = find_lost(journal.tree, {row: shard.stored for row, shard in done.items()})
    return {row: shard for row, shard in done.items() if row not in lost}


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
