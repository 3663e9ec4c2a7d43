"""Read every block of a store once, on threads or on a cluster, and keep the nearest.

Threads take single blocks in turn, and each keeps its own best. To a cluster go runs of blocks, and
the best of each run come back. Which is which makes no difference: the k nearest are ordered by
distance and position, not by who found them.
"""

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz._objects.explain import stage
from geoembz._search.parts import Part, first_positions
from geoembz._search.scorer import valid_codes
from geoembz._util.progress import counted, listened
from geoembz._work.executors import ThreadWorkers, Workers
from geoembz.encoding._quantization import Codes

_RUNS_PER_WORKER = 32
"""Runs of blocks for each worker of a cluster: enough for all to end together."""

_MOST_KEPT_BYTES = 2**28
"""Of what all runs found, which is in memory at once."""

type _Numbered = tuple[int, object]
"""A part's number, and one of its blocks."""


class Found(Protocol):
    """What a stream of blocks holds that is kept of it."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        ...

    def merge(self, other: Any) -> None:
        """Take in what another stream held."""
        ...


class Finder[Kept: Found](Protocol):
    """What is looked for in blocks, such as a `Scorer`."""

    def best(self, k: int) -> Kept:
        """Return what `search` fills; threads have one each."""
        ...

    def search(
        self,
        best: Kept,
        codes: Codes,
        positions: NDArray[np.int64],
        valid: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take a block into `best`; see `Scorer.search`."""
        ...


def scan[Kept: Found](parts: Sequence[Part], queries: Finder[Kept], k: int, pool: Workers) -> Kept:
    """Return the k nearest of all parts.

    Parameters
    ----------
    parts
        What is read, under paths that all workers know.
    queries
        Measure the distances.
    k
        How many to keep for each query.
    pool
        Does the work.
    """
    total = queries.best(k)
    task = _Scan(parts, queries, k)
    if isinstance(pool, ThreadWorkers):
        # after Ctrl-C threads may still run: they find no further block
        counted_blocks = counted(_blocks(parts), sum(1 for _ in _blocks(parts)))
        with closing(_Shared(counted_blocks)) as shared, listened(None):  # threads are no measure
            found = pool.run(task, [shared] * pool.count)
    else:
        found = pool.run(task, _cut(parts, pool, total))
    for best in found:
        total.merge(best)
    return total


@dataclass(frozen=True)
class _Scan[Kept: Found]:
    """Finds the nearest in some blocks: those that an iterator gives, or a run of all blocks."""

    parts: Sequence[Part]
    queries: Finder[Kept]
    k: int

    def __call__(self, some: "range | _Shared") -> Kept:
        best, firsts = self.queries.best(self.k), first_positions(self.parts)
        for number, block in self._select(some):
            part = self.parts[number]
            read = part.read(block)
            with stage("compute"):
                valid = valid_codes(part.encoding.quantizer, read.codes, read.mask)
                self.queries.search(best, read.codes, read.positions + firsts[number], valid)
        return best

    def _select(self, some: "range | _Shared") -> Iterable[_Numbered]:
        if isinstance(some, range):
            return islice(_blocks(self.parts), some.start, some.stop)
        return some


class _Shared(Iterator[_Numbered]):
    """Gives each block to one of several threads."""

    def __init__(self, blocks: Generator[_Numbered]) -> None:
        self._blocks, self._lock = blocks, threading.Lock()

    def __next__(self) -> _Numbered:
        with self._lock:
            return next(self._blocks)

    def close(self) -> None:
        """Give no further block."""
        with self._lock:
            self._blocks.close()


def _cut(parts: Sequence[Part], pool: Workers, best: Found) -> list[range]:
    """Cut all blocks into runs of about one length, of which none is empty."""
    n_blocks = sum(1 for _ in _blocks(parts))
    fitting = max(_MOST_KEPT_BYTES // best.nbytes, pool.count)
    n_runs = min(_RUNS_PER_WORKER * pool.count, fitting, n_blocks)
    edges = [number * n_blocks // n_runs for number in range(n_runs + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


def _blocks(parts: Sequence[Part]) -> Generator[_Numbered]:
    for number, part in enumerate(parts):
        for block in part.blocks():
            yield number, block
