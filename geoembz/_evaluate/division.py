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

from geoembz._evaluate.metrics.spatial import block_ids
from geoembz._evaluate.metrics.splits import Rows, Split, fold_ids, random_split
from geoembz._evaluate.sample import Sample
from geoembz.errors import InvalidConfigError

type SplitKind = Literal["given", "random", "stratified", "grouped", "blocked"]
SPLITS: tuple[str, ...] = get_args(SplitKind.__value__)

N_FOLDS = 5
FEWEST_TEST_GROUPS = 10
"""With fewer groups in one fold, all folds are tested."""

_BLOCKS_ALONG_SIDE = 10
"""Blocks along the longer side of the labelled area, where no block size is given."""


@dataclass(frozen=True)
class Fold:
    """Row numbers; training rows are shuffled, since distance ties go to the lower row."""

    train: Rows
    test: Rows


@dataclass(frozen=True)
class Division:
    """How rows are divided.

    Parameters
    ----------
    kind
        Rule of the split.
    folds
        One fold, or several that test every row once.
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
    sample: Sample,
    *,
    kind: str | None = None,
    block_size: float | None = None,
    n_folds: int | None = None,
    seed: int = 0,
) -> Division:
    """Divide a sample into training and test rows.

    Parameters
    ----------
    sample
        Cleaned rows.
    kind
        One of `SPLITS`; by default ``given`` where the data say it, else ``grouped``, else
        ``blocked`` where rows have a place, else ``stratified`` by class.
    block_size
        Side of a block, in metres; a tenth of the sampled area's longer side by default.
    n_folds
        Folds to test, 1 for a single split; by default 1 where it holds enough groups, else 5.
    seed
        Chooses test rows or groups.

    Raises
    ------
    InvalidConfigError
        If the split asked for needs what the sample lacks, or leaves nothing to train or test on.
    """
    base = base_division(sample, kind, block_size)
    kind, groups, messages = base.kind, base.groups, base.messages
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
    return _division(sample, kind, splits, groups, messages, seed)


def base_division(
    sample: Sample, kind: str | None = None, block_size: float | None = None
) -> Division:
    """Return the rule of the split and what stays together, without folds; see `divide`."""
    kind = kind or _usual_kind(sample)
    groups, messages = _groups(sample, kind, block_size)
    return Division(kind, (), groups, {}, messages)


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
    size = _default_block_size(sample.x, sample.y) if block_size is None else block_size
    blocks = block_ids(sample.x, sample.y, size)
    count = len(np.unique(blocks))
    return blocks, (f"{count} blocks of {size:,.0f} m stay together in the split",)


def _default_block_size(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    extent = max(float(np.ptp(x)), float(np.ptp(y)))
    return extent / _BLOCKS_ALONG_SIDE * (1 + 1e-9) or 1.0


def _given_split(sample: Sample) -> Split:
    if sample.is_train is None:
        raise InvalidConfigError(f"{sample.name}: split 'given' needs a column is_train")
    return Split(np.flatnonzero(sample.is_train), np.flatnonzero(~sample.is_train))


def _fold_splits(
    sample: Sample, groups: NDArray[np.generic] | None, n_folds: int | None, seed: int
) -> list[Split]:
    balance = sample.labels if sample.has_classes else None
    if balance is None:
        balance = np.zeros(len(sample))
    count = N_FOLDS if groups is None else min(N_FOLDS, len(np.unique(groups)))
    if groups is not None and count < 2:
        raise InvalidConfigError(
            f"{sample.name}: all rows lie in one group or block; expected at least 2: use smaller "
            "blocks (--block-size), other groups, or --split random"
        )
    folds = fold_ids(balance, max(count, n_folds or 0), groups=groups, seed=seed)
    first = np.unique(groups[folds == 0]) if groups is not None else ()
    enough = groups is None or len(first) >= FEWEST_TEST_GROUPS
    tested = (1 if enough else count) if n_folds is None else n_folds
    return [
        Split(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))
        for fold in range(tested)
    ]


def _division(
    sample: Sample,
    kind: str,
    splits: list[Split],
    groups: NDArray[np.generic] | None,
    messages: tuple[str, ...],
    seed: int,
) -> Division:
    excluded: Counter[str] = Counter()
    folds = []
    for split in splits:
        test = _testable(sample, split)
        excluded["class without training rows"] += len(split.test) - len(test)
        train = np.random.default_rng(seed).permutation(split.train)
        if len(train) < 2 or not len(test):
            raise InvalidConfigError(
                f"{sample.name}: split {kind!r} leaves {len(train)} training and {len(test)} test "
                "rows; expected at least 2 and 1: give more labels, groups or smaller blocks"
            )
        folds.append(Fold(train, test))
    return Division(kind, tuple(folds), groups, dict(+excluded), messages)


def _testable(sample: Sample, split: Split) -> Rows:
    """Return the test rows whose class has training rows."""
    if sample.labels is None or not sample.has_classes:
        return split.test
    return split.test[np.isin(sample.labels[split.test], sample.labels[split.train])]
