"""One vector for many pixels: mean, spread, extremes and generalised mean, summed block by block.

Sums are taken of vectors as they are seen (original or reduced), in float64.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError

type Pool = Literal["mean", "std", "min", "max", "gem", "mean+std"]

POOLS: tuple[Pool, ...] = get_args(Pool.__value__)

type _Floats = NDArray[np.float64]

_STATISTICS: dict[str, tuple[Callable[[_Floats], _Floats], np.ufunc, float]] = {
    "sum": (np.asarray, np.add, 0.0),
    "squares": (np.square, np.add, 0.0),
    "cubes": (lambda values: values * values * values, np.add, 0.0),
    "min": (np.asarray, np.minimum, np.inf),
    "max": (np.asarray, np.maximum, -np.inf),
}
"""What is kept of pixels: a function of each number, how results are joined, and of no pixel."""

_NEEDED: dict[str, tuple[str, ...]] = {
    "mean": ("sum",),
    "std": ("sum", "squares"),
    "min": ("min",),
    "max": ("max",),
    "gem": ("cubes",),
}
"""Statistics that each kind of pooling is made of."""


def check_pools(pool: Pool | Sequence[Pool] | None) -> tuple[Pool, ...]:
    """Return the kinds of pooling that were asked for, each once; the mean where none is named.

    Raises
    ------
    InvalidConfigError
        If there is no such kind.

    Examples
    --------
    >>> check_pools("gem"), check_pools(("mean", "std", "mean"))
    (('gem',), ('mean', 'std'))
    """
    asked = ("mean",) if pool is None else (pool,) if isinstance(pool, str) else tuple(pool)
    pools = tuple(dict.fromkeys(asked))
    if not pools or not set(pools) <= set(POOLS):
        raise InvalidConfigError(f"pool {pool!r}; expected one or more of {', '.join(POOLS)}")
    return pools


def pooled_length(pool: Pool, length: int) -> int:
    """Return the length of a pooled vector: ``mean+std`` has the two one after the other.

    Examples
    --------
    >>> pooled_length("std", 64), pooled_length("mean+std", 64)
    (64, 128)
    """
    return length * len(pool.split("+"))


@dataclass(frozen=True, eq=False)
class Measures:
    """What some pixels add to statistics.

    Parameters
    ----------
    values
        Float64 by statistic, shape ``(length, …)`` of their groups.
    counts
        Valid pixels of each group, int64.
    """

    values: Mapping[str, _Floats]
    counts: NDArray[np.int64]


def measure(
    pools: Sequence[Pool],
    starts: Sequence[NDArray[np.intp]],
    vectors: NDArray[Any],
    valid: NDArray[np.bool_],
) -> Measures:
    """Sum pixels up that stand side by side for each group.

    Parameters
    ----------
    pools
        What will be asked for.
    starts
        Where the pixels of each group begin, along each axis of the pixels.
    vectors
        Shape ``(length, …)``.
    valid
        Which pixels count, without the first axis.
    """
    floats = vectors.astype(np.float64)
    values = {}
    for name in _statistics_of(pools):
        function, join, nothing = _STATISTICS[name]
        part = np.where(valid, function(floats), nothing)
        for axis, first in enumerate(starts, start=1):
            part = join.reduceat(part, first, axis=axis)
        values[name] = part
    counts = valid.astype(np.int64)
    for axis, first in enumerate(starts):
        counts = np.add.reduceat(counts, first, axis=axis)
    return Measures(values, counts)


def _statistics_of(pools: Sequence[Pool]) -> list[str]:
    return sorted({name for pool in pools for part in pool.split("+") for name in _NEEDED[part]})


class Statistics:
    """What pools are made of, over groups of pixels.

    Parameters
    ----------
    pools
        What will be asked for.
    length
        Numbers of a pixel.
    shape
        Of the groups: how many polygons, or rows and columns of cells.

    Attributes
    ----------
    counts
        Valid pixels of each group, int64.
    """

    def __init__(self, pools: Sequence[Pool], length: int, shape: tuple[int, ...]) -> None:
        self._values = {
            name: np.full((length, *shape), _STATISTICS[name][2]) for name in _statistics_of(pools)
        }
        self.counts = np.zeros(shape, np.int64)

    def add(self, groups: tuple[Any, ...], measures: Measures) -> None:
        """Add what some pixels measure.

        Parameters
        ----------
        groups
            Index of the groups that have pixels there, no group twice.
        measures
            Of those pixels, for the same pools.
        """
        for name, kept in self._values.items():
            join = _STATISTICS[name][1]
            kept[:, *groups] = join(kept[:, *groups], measures.values[name])
        self.counts[groups] += measures.counts

    def pooled(self, pool: Pool) -> NDArray[np.float32]:
        """Return pooled vectors ``(length, …)``, float32, NaN for groups without a valid pixel.

        ``std`` is that of the pixels themselves (divided by n). ``gem`` is the cube root of the
        mean of cubes, both with their sign: so it is defined for negative numbers.

        References
        ----------
        Radenović et al. 2018, "Fine-tuning CNN image retrieval with no human annotation", which
        cuts negative numbers off instead; p is 3, as there at the start of training.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [self._part(part) for part in pool.split("+")]
        result = np.concatenate(parts)
        return np.where(self.counts > 0, result, np.nan).astype(np.float32)

    def _part(self, name: str) -> _Floats:
        values = [self._values[needed] for needed in _NEEDED[name]]
        if name in {"min", "max"}:
            return values[0]
        mean = values[0] / self.counts
        if name == "gem":
            return np.asarray(np.cbrt(mean))
        if name == "std":
            return np.sqrt(np.maximum(values[1] / self.counts - mean * mean, 0.0))
        return np.asarray(mean)
