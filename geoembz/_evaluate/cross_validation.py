"""Which rows train and which test: the split, or the folds where groups are few.

Neighbouring pixels leak, so rows with a place are split by blocks unless something better is known
(a split that came with the data, polygons, sites). Where one fifth of the groups is too few for an
interval, every group is tested once: cross-validation, everything fitted anew in each fold.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.splits import (
    Fold,
    Rows,
    block_ids,
    fold_ids,
    random_split,
    shuffle_training_rows,
    without_unseen_classes,
)
from geoembz._evaluate.sample import DEFAULTS, ExperimentOptions, Sample
from geoembz.errors import InvalidConfigError

type SplitKind = Literal["given", "random", "stratified", "grouped", "blocked"]
SPLITS: tuple[str, ...] = get_args(SplitKind.__value__)

N_FOLDS = 5
FEWEST_TEST_GROUPS = 10
"""With fewer groups in one fold, all folds are tested."""

_BLOCKS_ALONG_SIDE = 10
"""Blocks along the longer side of the labelled area, where no block size is given."""


@dataclass(frozen=True)
class Division:
    """How rows are divided.

    Parameters
    ----------
    kind
        Rule of the split.
    folds
        One fold, or several that test every row once. Training rows are shuffled, since distance
        ties go to the lower row.
    groups
        Rows with one value stay together, and are resampled together; None for single rows.
    exclusions
        Number of rows left out, by reason.
    messages
        What a user should know about it.
    """

    kind: str
    folds: tuple[Fold, ...]
    groups: NDArray[np.generic] | None
    exclusions: Mapping[str, int] = field(default_factory=dict)
    messages: tuple[str, ...] = ()

    @property
    def tested(self) -> Rows:
        """Row numbers of all test rows, fold by fold."""
        return np.concatenate([fold.test for fold in self.folds])

    @property
    def tested_groups(self) -> NDArray[np.generic] | None:
        """Group of each test row, fold by fold."""
        return None if self.groups is None else self.groups[self.tested]


def divide(
    sample: Sample, options: ExperimentOptions = DEFAULTS, n_folds: int | None = None
) -> Division:
    """Divide a sample into training and test rows.

    Parameters
    ----------
    sample
        Cleaned rows.
    options
        Its `split` is one of `SPLITS`; by default ``given`` where the data say it, else
        ``grouped``, else ``blocked`` where rows have a place, else ``stratified`` by class. Its
        `block_size` is a tenth of the sampled area's longer side by default. Its `seed` chooses
        test rows or groups.
    n_folds
        Folds to test, 1 for a single split; by default 1 where it holds enough groups, else 5.

    Raises
    ------
    InvalidConfigError
        If the split asked for needs what the sample lacks, or leaves nothing to train or test on.
    """
    kind, groups, messages = _choose_rule(sample, options)
    seed = options.seed
    if kind == "given":
        splits = [_given_split(sample)]
    elif kind == "random":
        splits = [random_split(len(sample), seed=seed)]
        if groups is not None:
            messages = (*messages, "a random split tests on rows that resemble training rows")
    else:
        splits = _fold_splits(sample, groups if kind != "stratified" else None, n_folds, seed)
    if len(splits) > 1:
        messages = (*messages, f"{len(splits)}-fold cross-validation: every group is tested once")
    excluded: Counter[str] = Counter()
    folds = []
    for split in splits:
        fold = _prepare(sample, split, seed)
        excluded["class without training rows"] += len(split.test) - len(fold.test)
        if len(fold.train) < 2 or not len(fold.test):
            raise InvalidConfigError(
                f"{sample.name}: split {kind!r} leaves {len(fold.train)} training and "
                f"{len(fold.test)} test rows; expected at least 2 and 1: give more labels, groups "
                "or smaller blocks"
            )
        folds.append(fold)
    return Division(kind, tuple(folds), groups, dict(+excluded), messages)


def divide_for_choice(
    sample: Sample, options: ExperimentOptions = DEFAULTS
) -> tuple[Division, Division]:
    """Divide a sample in three; return two divisions with the same training rows.

    The first tests the rows that a choice is made on, the second those that confirm it; see
    `divide`.

    Raises
    ------
    InvalidConfigError
        As `divide`, or if there are too few groups or rows for three parts.
    """
    kind, groups, messages = _choose_rule(sample, options)
    seed = options.seed
    balance = _balance(sample)
    if kind == "given":
        rows = _given_split(sample).test
        parts = np.full(len(sample), 2)
        grouping = None if groups is None else groups[rows]
        parts[rows] = fold_ids(balance[rows], 2, groups=grouping, seed=seed)
    else:
        grouping = groups if kind in {"grouped", "blocked"} else None
        if grouping is not None and (count := len(np.unique(grouping))) < 2 * N_FOLDS:
            raise InvalidConfigError(
                f"{sample.name}: plan needs {2 * N_FOLDS} groups or blocks, two each to choose and "
                f"to confirm on, but there are {count}; use smaller blocks (--block-size) or other "
                "groups, or --split stratified"
            )
        parts = fold_ids(balance, N_FOLDS, groups=grouping, seed=seed)
    train = np.flatnonzero(parts >= 2)
    folds = [_prepare(sample, Fold(train, np.flatnonzero(parts == p)), seed) for p in (1, 0)]
    if len(train) < 2 or min(len(fold.test) for fold in folds) < 2:
        raise InvalidConfigError(f"{sample.name}: too few rows to train, choose and confirm on")
    choice, confirmation = (Division(kind, (fold,), groups, {}, messages) for fold in folds)
    return choice, confirmation


def _choose_rule(
    sample: Sample, options: ExperimentOptions
) -> tuple[str, NDArray[np.generic] | None, tuple[str, ...]]:
    """Return the rule of a split, what stays together, and what a user should know about it."""
    kind = options.split or _usual_kind(sample)
    return (kind, *_groups(sample, kind, options.block_size))


def _usual_kind(sample: Sample) -> str:
    if sample.is_train is not None:
        return "given"
    if sample.groups is not None:
        return "grouped"
    return "stratified" if sample.x is None else "blocked"


def _groups(
    sample: Sample, kind: str, block_size: float | None
) -> tuple[NDArray[np.generic] | None, tuple[str, ...]]:
    """Return what the bootstrap resamples, whatever the split."""
    if kind not in SPLITS:
        raise InvalidConfigError(f"split {kind!r}; expected one of {', '.join(SPLITS)}")
    if sample.groups is not None and kind != "blocked":
        return sample.groups, ()
    if sample.x is None or sample.y is None:
        if kind in {"grouped", "blocked"}:
            raise InvalidConfigError(
                f"{sample.name}: split {kind!r} needs {'groups' if kind == 'grouped' else 'places'}"
                ", which the sample has not; name groups with --groups, or choose another --split"
            )
        return None, ()
    size = default_block_size(sample.x, sample.y) if block_size is None else block_size
    blocks = block_ids(sample.x, sample.y, size)
    count = len(np.unique(blocks))
    return blocks, (f"{count} blocks of {size:,.0f} m stay together in the split",)


def default_block_size(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    extent = max(float(np.ptp(x)), float(np.ptp(y)))
    return extent / _BLOCKS_ALONG_SIDE * (1 + 1e-9) or 1.0


def _given_split(sample: Sample) -> Fold:
    if sample.is_train is None:
        raise InvalidConfigError(f"{sample.name}: split 'given' needs a column is_train")
    return Fold(np.flatnonzero(sample.is_train), np.flatnonzero(~sample.is_train))


def _fold_splits(
    sample: Sample, groups: NDArray[np.generic] | None, n_folds: int | None, seed: int
) -> list[Fold]:
    count = N_FOLDS if groups is None else min(N_FOLDS, len(np.unique(groups)))
    if groups is not None and count < 2:
        raise InvalidConfigError(
            f"{sample.name}: all rows lie in one group or block; expected at least 2: use smaller "
            "blocks (--block-size), other groups, or --split random"
        )
    folds = fold_ids(_balance(sample), max(count, n_folds or 0), groups=groups, seed=seed)
    first = np.unique(groups[folds == 0]) if groups is not None else ()
    enough = groups is None or len(first) >= FEWEST_TEST_GROUPS
    tested = (1 if enough else count) if n_folds is None else n_folds
    return [
        Fold(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(tested)
    ]


def _balance(sample: Sample) -> NDArray[np.generic]:
    """Return the classes that folds should hold evenly; without classes all rows are alike."""
    return (
        sample.labels if sample.labels is not None and sample.has_classes else np.zeros(len(sample))
    )


def _prepare(sample: Sample, fold: Fold, seed: int) -> Fold:
    """Shuffle the training rows, and leave out test rows whose class has none."""
    if sample.labels is not None and sample.has_classes:
        fold = without_unseen_classes(fold, sample.labels)
    return shuffle_training_rows(fold, seed)
