"""Split labelled rows into training and test rows without leaking from one to the other.

Neighbouring pixels resemble each other, so a random split tests on near copies of its training
rows. Blocks and groups keep such rows on one side. scikit-learn's splitters deal rows and groups
out in another order: every score in the documentation rests on the folds made here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

type Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Row numbers to train and to test on."""

    train: Rows
    test: Rows


def random_split(n_rows: int, test_share: float = 0.2, *, seed: int = 0) -> Fold:
    """Draw test rows at random; leaks wherever rows resemble their neighbours.

    Examples
    --------
    >>> split = random_split(10, 0.3)
    >>> len(split.train), len(split.test)
    (7, 3)
    """
    n_test = round(n_rows * _check_share(test_share))
    if not 0 < n_test < n_rows:
        raise InvalidConfigError(
            f"split: {n_rows} rows with a test share of {test_share} leave one side empty"
        )
    order = np.random.default_rng(seed).permutation(n_rows)
    return Fold(train=np.sort(order[n_test:]), test=np.sort(order[:n_test]))


def labelled_split(
    labels: ArrayLike,
    test_share: float = 0.2,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Fold:
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
        Without test rows of a class that has no training rows.

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
    n_folds = max(2, round(1 / _check_share(test_share)))
    held_out = fold_ids(classes, n_folds, groups=groups, seed=seed) == 0
    split = without_unseen_classes(
        Fold(np.flatnonzero(~held_out), np.flatnonzero(held_out)), classes
    )
    if not split.train.size or not split.test.size:
        raise InvalidConfigError(
            f"split: {len(split.train)} training and {len(split.test)} usable test rows; each "
            "class needs two rows, polygons or blocks at least"
        )
    return split


def shuffle_training_rows(fold: Fold, seed: int = 0) -> Fold:
    """Return a fold whose training rows are in a seeded random order: the rule for ties.

    Of equally near rows the first ones are neighbours, and of few bits many are equally near. In
    rows that are sorted by class the first class would win them all.

    Examples
    --------
    >>> shuffle_training_rows(Fold(np.arange(4), np.arange(4, 6))).train
    array([2, 0, 1, 3])
    """
    return Fold(np.random.default_rng(seed).permutation(fold.train), fold.test)


def without_unseen_classes(fold: Fold, classes: NDArray[np.generic]) -> Fold:
    """Return a fold without the test rows whose class has no training row."""
    return Fold(fold.train, fold.test[np.isin(classes[fold.test], classes[fold.train])])


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
    rank = rank_within(codes)
    share = (rank + 0.5) / np.bincount(codes)[codes]
    share[rank == 0] = -1.0
    return np.sort(order[np.argsort(share, kind="stable")[:n_rows]])


def block_ids(x: ArrayLike, y: ArrayLike, block_size: float) -> NDArray[np.int64]:
    """Return the square block of each point, numbered from 0 in row-major order.

    Parameters
    ----------
    x, y
        Shape ``(n,)``, in the units of the CRS.
    block_size
        Side of a block, in the same units.

    Raises
    ------
    InvalidConfigError
        If the size is not positive, a coordinate is not finite or shapes differ.

    Examples
    --------
    >>> block_ids([0, 90, 110, 10], [0, 50, 10, 130], block_size=100)
    array([0, 0, 1, 2])
    """
    points = _stack_points(x, y)
    if not block_size > 0:
        raise InvalidConfigError(f"block_ids: block size {block_size}; expected more than 0")
    cells = np.floor((points - points.min(axis=0)) / block_size).astype(np.int64)
    numbers = np.unique(cells[:, ::-1], axis=0, return_inverse=True)[1]
    return np.asarray(numbers.ravel(), dtype=np.int64)


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
        crowding += 1e-6 * filled.sum(axis=1)  # among equals the emptier fold
        empty = filled.sum(axis=1) == 0
        # as many groups are left as folds are empty: fill those, or one would have no rows
        if len(order) - place <= empty.sum():
            crowding[~empty] = np.inf
        fold = int(np.argmin(crowding))
        filled[fold] += shares[group]
        fold_of[group] = fold
    return np.asarray(fold_of[members])


def rank_within(codes: Rows) -> Rows:
    """Return the position of each row among the rows of its own code."""
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(np.bincount(codes)) - np.bincount(codes)
    rank = np.empty(len(codes), np.int64)
    rank[order] = np.arange(len(codes)) - starts[codes[order]]
    return rank


def _check_share(test_share: float) -> float:
    if not 0 < test_share < 1:
        raise InvalidConfigError(f"split: test share {test_share}; expected between 0 and 1")
    return test_share


def _stack_points(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    across, down = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if across.shape != down.shape or across.ndim != 1 or not across.size:
        raise InvalidConfigError(
            f"spatial split: got x {across.shape} and y {down.shape}; expected (n,) twice"
        )
    points = np.stack([across, down], axis=1)
    if not np.isfinite(points).all():
        raise InvalidConfigError("spatial split: a coordinate is NaN or infinite; leave it out")
    return points
