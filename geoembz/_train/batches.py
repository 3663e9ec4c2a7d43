"""In which order samples are taken: shuffled, yet block after block, so that each is read once.

Samples are numbered block by block. Some blocks at a time are drawn and mixed, as many as a process
keeps. PyTorch deals batches out to its workers in turn; so each worker gets blocks of its own.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geoembz._util.options import check_whole
from geoembz.errors import InvalidConfigError

type Numbers = NDArray[np.int64]


def draw_order(
    starts: Numbers, kept: int, *, seed: int, epoch: int, shuffle: bool, workers: int = 1
) -> list[Numbers]:
    """Return the samples of each worker in the order in which it takes them.

    Parameters
    ----------
    starts
        Number of the first sample of each block, and the number of all samples at the end.
    kept
        Blocks that are mixed with each other.
    seed, epoch
        What the order is drawn by.
    shuffle
        False for the order in which samples lie in the store.
    workers
        Among how many blocks are dealt out.

    Examples
    --------
    >>> draw_order(np.array([0, 2, 3, 5]), 1, seed=0, epoch=0, shuffle=False)[0].tolist()
    [0, 1, 2, 3, 4]
    """
    rng = np.random.default_rng([seed, epoch])
    count = len(starts) - 1
    blocks = rng.permutation(count) if shuffle else np.arange(count)
    dealt: list[list[int]] = [[] for _ in range(workers)]
    taken = np.zeros(workers, np.int64)
    for block in blocks.tolist():
        worker = int(np.argmin(taken))
        dealt[worker].append(block)
        taken[worker] += starts[block + 1] - starts[block]
    return [_mix(starts, own, kept, rng if shuffle else None) for own in dealt]


def _mix(starts: Numbers, blocks: list[int], kept: int, rng: np.random.Generator | None) -> Numbers:
    """Return the samples of blocks; shuffled, those of so many blocks together."""
    parts = [np.empty(0, np.int64)]
    for first in range(0, len(blocks), kept):
        ranges = [np.arange(starts[b], starts[b + 1]) for b in blocks[first : first + kept]]
        part = np.concatenate(ranges).astype(np.int64)
        parts.append(part if rng is None else rng.permutation(part))
    return np.concatenate(parts)


class Batches:
    """Lists of sample numbers, new ones each time they are gone through.

    What PyTorch's `DataLoader` takes as ``batch_sampler``, or, with ``batch_size=None``, as
    ``sampler``: then samples come as stacked arrays.

    Parameters
    ----------
    starts, kept, seed, shuffle, workers
        As in `draw_order`.
    size
        Samples of a batch.
    drop_last
        Leave out a last batch of fewer samples.

    Raises
    ------
    InvalidConfigError
        If there is nothing in a batch, or no worker.
    """

    def __init__(
        self,
        starts: Numbers,
        kept: int,
        size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        workers: int = 1,
        drop_last: bool = False,
    ) -> None:
        check_whole(batch_size=size, workers=workers)
        if size < 1 or workers < 0:
            raise InvalidConfigError(
                f"batches: {size} samples for {workers} workers; expected 1 sample or more, and "
                "the loader's num_workers"
            )
        self._starts, self._kept, self._seed = starts, kept, seed
        self._size, self._shuffle, self._drop_last = size, shuffle, drop_last
        self._workers = max(workers, 1)  # 0 is PyTorch's word for none beside the main process
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, such as after a training that was resumed."""
        check_whole(epoch=epoch)
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        count = int(self._starts[-1])
        return count // self._size if self._drop_last else -(-count // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        """Go through the batches of the next epoch, those of each worker in turn."""
        epoch, self._epoch = self._epoch, self._epoch + 1
        streams = draw_order(
            self._starts,
            self._kept,
            seed=self._seed,
            epoch=epoch,
            shuffle=self._shuffle,
            workers=self._workers,
        )
        wholes = [len(stream) // self._size for stream in streams]
        for number in range(max(wholes)):
            for stream, whole in zip(streams, wholes, strict=True):
                if number < whole:
                    yield stream[number * self._size : (number + 1) * self._size].tolist()
        rests = zip(streams, wholes, strict=True)
        rest = np.concatenate([stream[whole * self._size :] for stream, whole in rests])
        for first in range(0, len(rest), self._size):
            batch = rest[first : first + self._size].tolist()
            if len(batch) == self._size or not self._drop_last:
                yield batch
