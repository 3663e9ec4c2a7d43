"""Blocks of a store, read by whoever does the work, in the order of a file that is written here."""

from collections.abc import Callable, Iterator, Sequence

from geoembz._geo.grid import Window
from geoembz._work.executors import ThreadWorkers, Workers

ALONE = ThreadWorkers(1)
"""One block after the other: each is read and decoded by all cores."""

_WAITING_BYTES = 512 * 2**20
"""Of blocks that are read ahead of the one that is written; one always is."""


def read_blocks[Result](
    pool: Workers,
    read: Callable[[Window], Result],
    blocks: Sequence[Window],
    block_bytes: int,
) -> Iterator[tuple[Window, Result]]:
    """Read blocks, several at once where several workers are, and yield them in order.

    Parameters
    ----------
    pool
        Reads them.
    read
        Returns what a block holds.
    blocks
        All of them.
    block_bytes
        About what is returned of one.
    """
    most = 1 if pool == ALONE else max(_WAITING_BYTES // max(block_bytes, 1), 1)
    return zip(blocks, pool.each(read, blocks, most=most), strict=True)
