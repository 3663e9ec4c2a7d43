"""Split labelled rows into training and test rows without leaking from one to the other.

Neighbouring pixels resemble each other, so a random split tests on near copies of its training
rows. Blocks and groups keep such rows on one side; a buffer also drops what lies close to it.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

type Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers for training and testing, ascending; `excluded` says why rows are in neither."""

    train: Rows
    test: Rows
    excluded: dict[str, Rows] = field(default_factory=dict)

    def exclusions(self) -> dict[str, int]:
        """Return the number of rows left out, by reason."""
        return {reason: len(rows) for reason, rows in self.excluded.items()}


def random_split(n_rows: int, test_share: float = 0.2, *, seed: int = 0) -> Split:
    """Draw test rows at random; leaks wherever rows resemble their neighbours.

    Examples
    --------
    >>> split = random_split(10, 0.3)
    >>> len(split.train), len(split.test)
    (7, 3)
    """
    n_test = round(n_rows * _checked_share(test_share))
    if not 0 < n_test < n_rows:
        raise InvalidConfigError(
            f"split: {n_rows} rows with a test share of {test_share} leave one side empty"
        )
    order = np.random.default_rng(seed).permutation(n_rows)
    return Split(train=np.sort(order[n_test:]), test=np.sort(order[:n_test]))


def labelled_split(
    labels: ArrayLike,
    test_share: float = 0.2,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Split:
    """Split so that each class has its share on both sides, and no group is on both.

    Parameters
    ----------
    labels
        Shape ``(n,)``.
    test_share
        Share of test rows; taken as one fold of ``round(1 / test_share)``.
    groups
        Shape ``(n,)``: polygons, sites, or the blocks of `block_ids`.

    Returns
    -------
    split
        Test rows of a class without training rows are excluded, and counted.

    Raises
    ------
    InvalidConfigError
        If there are too few groups, or nothing is left to train or test on.

    Examples
    --------
    >>> split = labelled_split([0, 0, 1, 1], 0.5, groups=["p", "q", "r", "s"])
    >>> len(split.train), len(split.test)
    (2, 2)
    """
    classes = np.asarray(labels)
    n_folds = max(2, round(1 / _checked_share(test_share)))
    held_out = fold_ids(classes, n_folds, groups=groups, seed=seed) == 0
    return _without_unseen_classes(np.flatnonzero(~held_out), np.flatnonzero(held_out), classes)


def fold_ids(
    labels: ArrayLike,
    n_folds: int,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Rows:
    """Return the fold of each row, 0 to ``n_folds - 1``, balanced by class, groups kept whole.

    Raises
    ------
    InvalidConfigError
        If there are fewer rows or groups than folds.

    Examples
    --------
    >>> sorted(fold_ids([0, 1, 0, 1, 0, 1], 3).tolist())
    [0, 0, 1, 1, 2, 2]
    """
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    members = np.arange(len(codes)) if groups is None else np.asarray(groups)
    if len(members) != len(codes):
        raise InvalidConfigError(f"split: got {len(codes)} labels and {len(members)} groups")
    if (n_units := len(np.unique(members))) < n_folds:
        raise InvalidConfigError(
            f"split: {n_units} rows or groups cannot fill {n_folds} folds; use smaller groups or "
            "blocks, or a larger test share"
        )
    if groups is None:
        return _stratified_folds(codes, n_folds, seed)
    return _grouped_folds(codes, members, n_folds, seed)


def stratified_sample(labels: ArrayLike, n_rows: int, *, seed: int = 0) -> Rows:
    """Return at most `n_rows` row numbers, ascending, each class in proportion but never absent."""
    classes = np.asarray(labels)
    if len(classes) <= n_rows:
        return np.arange(len(classes))
    order = np.random.default_rng(seed).permutation(len(classes))
    codes = np.unique(classes[order], return_inverse=True)[1]
    rank = _rank_within(codes)
    share = (rank + 0.5) / np.bincount(codes)[codes]
    share[rank == 0] = -1.0
    return np.sort(order[np.argsort(share, kind="stable")[:n_rows]])


def _stratified_folds(codes: Rows, n_folds: int, seed: int) -> Rows:
    """Deal each class's shuffled rows round the folds, starting where the class before stopped."""
    order = np.random.default_rng(seed).permutation(len(codes))
    dealt = order[np.argsort(codes[order], kind="stable")]
    folds = np.empty(len(codes), np.int64)
    folds[dealt] = np.arange(len(codes)) % n_folds
    return folds


def _grouped_folds(codes: Rows, groups: NDArray[np.generic], n_folds: int, seed: int) -> Rows:
    """Give each group, largest first, to the fold that is emptiest in the group's classes."""
    members = np.unique(groups, return_inverse=True)[1]
    counts = np.zeros((members.max() + 1, codes.max() + 1))
    np.add.at(counts, (members, codes), 1)
    shares = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-shares[order].max(axis=1), kind="stable")]
    filled, fold_of = np.zeros((n_folds, counts.shape[1])), np.empty(len(counts), np.int64)
    for place, group in enumerate(order):
        crowding = ((filled + shares[group]) ** 2 - filled**2).sum(axis=1)
        crowding += 1e-6 * filled.sum(axis=1)
        empty = filled.sum(axis=1) == 0
        if len(order) - place <= empty.sum():
            crowding[~empty] = np.inf
        fold = int(np.argmin(crowding))
        filled[fold] += shares[group]
        fold_of[group] = fold
    return np.asarray(fold_of[members])


def _without_unseen_classes(train: Rows, test: Rows, classes: NDArray[np.generic]) -> Split:
    seen = np.isin(classes[test], classes[train])
    if not train.size or not seen.any():
        raise InvalidConfigError(
            f"split: {len(train)} training and {int(seen.sum())} usable test rows; each class "
            "needs two rows, polygons or blocks at least"
        )
    excluded = {} if seen.all() else {"class without training rows": test[~seen]}
    return Split(train=train, test=test[seen], excluded=excluded)


def _rank_within(codes: Rows) -> Rows:
    """Return the position of each row among the rows of its own code."""
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(np.bincount(codes)) - np.bincount(codes)
    rank = np.empty(len(codes), np.int64)
    rank[order] = np.arange(len(codes)) - starts[codes[order]]
    return rank


def _checked_share(test_share: float) -> float:
    if not 0 < test_share < 1:
        raise InvalidConfigError(f"split: test share {test_share}; expected between 0 and 1")
    return test_share
