"""Encode a whole table, several batches at once, and spill its rows by shard."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.sampling import PixelRoles
from geoembz._convert.spill import Spill
from geoembz._convert.table_rows import RowFormat
from geoembz._geo.grid import Window
from geoembz._geo.hilbert import hilbert_order
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.encoding._fidelity import FidelitySums
from geoembz.encoding._quantization import Codes
from geoembz.sources.tables import TableBatch


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
    for done in _ahead(encoder, batches, workers):
        batch = done.batch
        fidelity = fidelity.merge(done.fidelity)
        valid_rows += int(done.valid.sum())
        rows = rank[batch.start : batch.start + len(done.codes)]
        spill.append(rows, form.pack(batch.columns, batch.places, done.codes, done.valid), skip)
    return fidelity, valid_rows


def _ahead[Item, Result](
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Apply a function to items in threads, in order, holding only a few at a time."""
    waiting: deque[Future[Result]] = deque()
    with single_threaded_blas(), ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
