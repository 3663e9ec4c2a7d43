"""What patches, pixels and polygons have in common: they are numbered, drawn and put in batches."""

import multiprocessing
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._train.batches import Batches, draw_order
from geoembz._util.options import check_whole
from geoembz._util.results import Result
from geoembz._util.threads import shared_pool
from geoembz.errors import InvalidConfigError

type Index = int | slice | Sequence[int] | NDArray[np.integer]
"""One sample, or several."""


class Samples(Result, Sequence[Any]):
    """A sequence of samples in a fixed order, which PyTorch's `DataLoader` takes as a dataset.

    It can be pickled, and opens its store anew in each process.
    """

    @property
    @abstractmethod
    def _seed(self) -> int:
        """Of orders."""

    @property
    @abstractmethod
    def _starts(self) -> NDArray[np.int64]:
        """Number of the first sample of each block that is read at once, and of all samples."""

    @property
    @abstractmethod
    def _kept(self) -> int:
        """Blocks that a process keeps."""

    @abstractmethod
    def _take(self, numbers: NDArray[np.int64]) -> tuple[Any, ...]:
        """Return all parts of some samples, each part stacked."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self._starts[-1])

    def __getitem__(self, index: Any) -> Any:
        """Return a sample, or several, stacked; see the class.

        Parameters
        ----------
        index
            A number, a slice, or several numbers.

        Raises
        ------
        IndexError
            If there is no such sample.
        """
        if isinstance(index, int | np.integer):
            return _alone(tuple(part[0] for part in self._take(self._numbers([index]))))
        return _alone(self._take(self._numbers(index)))

    def __getitems__(self, numbers: Sequence[int]) -> list[Any]:
        """Return several samples, one by one: what `DataLoader` asks for when it collates."""
        parts = self._take(self._numbers(numbers))
        return [_alone(sample) for sample in zip(*parts, strict=True)]

    def __iter__(self) -> Iterator[Any]:
        """Go through all samples in the order in which they lie."""
        return (self[number] for number in range(len(self)))

    def _numbers(self, index: Any) -> NDArray[np.int64]:
        if isinstance(index, slice):
            return np.arange(*index.indices(len(self)), dtype=np.int64)
        numbers = np.asarray(index)
        if numbers.ndim != 1 or (len(numbers) and numbers.dtype.kind not in "iu"):
            raise InvalidConfigError(
                f"{type(self).__name__.lower()}: index {index!r}; expected a number, a slice or a "
                "list of numbers"
            )
        numbers = numbers.astype(np.int64)
        numbers = np.where(numbers < 0, numbers + len(self), numbers)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < len(self)):
            raise IndexError(f"{index} of {len(self)} {type(self).__name__.lower()}")
        return numbers

    def order(self, epoch: int = 0, *, shuffle: bool = True) -> NDArray[np.int64]:
        """Return the numbers of all samples, shuffled so that each block of a store is read once.

        As many blocks of chunks are mixed as a process keeps.

        Parameters
        ----------
        epoch
            Another one gives another order.
        shuffle
            False for the order in which they lie.
        """
        drawn = draw_order(self._starts, self._kept, seed=self._seed, epoch=epoch, shuffle=shuffle)
        return drawn[0]

    def batches(
        self, size: int, *, shuffle: bool = True, workers: int = 1, drop_last: bool = False
    ) -> Batches:
        """Return lists of sample numbers in the order of `order`; a new one in every pass.

        With PyTorch they are a loader's ``batch_sampler``, or, with ``batch_size=None``, its
        ``sampler``: then a batch comes as stacked arrays, and nothing is copied to collate it.

        Parameters
        ----------
        size
            Samples of a batch.
        shuffle
            False for the order in which they lie; among several workers, of each.
        workers
            The loader's ``num_workers``: each gets blocks of its own to read.
        drop_last
            Leave out a last batch of fewer samples.
        """
        return Batches(
            self._starts,
            self._kept,
            size,
            seed=self._seed,
            shuffle=shuffle,
            workers=workers,
            drop_last=drop_last,
        )

    def __repr__(self) -> str:
        """Show what they are."""
        return self.to_table()


def _alone(parts: tuple[Any, ...]) -> Any:
    return parts if len(parts) > 1 else parts[0]


def for_many(action: Callable[[int], None], count: int) -> None:
    """Do something for each of some numbers: in threads, but in a worker process, one of many."""
    if count < 2 or multiprocessing.parent_process() is not None:
        for number in range(count):
            action(number)
    else:
        list(shared_pool().map(action, range(count)))


def check_seed(seed: int) -> None:
    """Refuse what no generator of random numbers takes.

    Raises
    ------
    InvalidConfigError
        Saying what came.
    """
    check_whole(seed=seed)
    if seed < 0:
        raise InvalidConfigError(f"seed {seed}; expected 0 or more")
