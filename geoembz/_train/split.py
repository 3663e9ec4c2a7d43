"""Which samples train, which validate, which test: by blocks, since neighbours are alike.

The parts are the five folds of `evaluate` and `plan`: one tests, one validates, three train.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.cross_validation import N_FOLDS, default_block_size
from geoembz._evaluate.metrics.splits import block_ids, fold_ids
from geoembz._evaluate.pixels import metres
from geoembz._geo import placed_points, same_crs
from geoembz._geo.grid import Grid
from geoembz.errors import InvalidConfigError

PARTS = {"test": (0,), "val": (1,), "train": (2, 3, 4)}
"""The folds of each part."""

_EQUAL_AREA = "EPSG:6933"
"""Metres all over the Earth, for grids of several CRSs: a place has one block in all of them."""

type Numbers = NDArray[np.int64]


def check_part(part: str | None) -> None:
    """Refuse a part that there is not.

    Raises
    ------
    InvalidConfigError
        Saying which there are.
    """
    if part is not None and part not in PARTS:
        raise InvalidConfigError(f"split {part!r}; expected one of {', '.join(sorted(PARTS))}")


def place_pixels(
    grids: Sequence[Grid], numbers: Numbers, rows: Numbers, cols: Numbers
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where pixels lie, in metres.

    Parameters
    ----------
    grids
        All of them.
    numbers
        Of the grid of each pixel, shape ``(n,)``.
    rows, cols
        Of each pixel.
    """
    x, y = np.empty(len(rows)), np.empty(len(rows))
    is_one = all(same_crs(grid.crs_wkt, grids[0].crs_wkt) for grid in grids)
    for number, grid in enumerate(grids):
        here = numbers == number
        if is_one:
            x[here], y[here] = metres(grid, rows[here], cols[here])
        else:
            points = np.column_stack([grid.x[cols[here]], grid.y[rows[here]]])
            x[here], y[here] = placed_points(points, grid.crs_wkt, _EQUAL_AREA).T
    return x, y


def blocks_of(
    x: NDArray[np.float64], y: NDArray[np.float64], size: float | None, least: float = 0.0
) -> tuple[Numbers, float]:
    """Return the block of each place, and the side of a block in metres.

    Parameters
    ----------
    x, y
        In metres.
    size
        Side of a block; None for a tenth of the longer side of all places.
    least
        The smallest side where none is given.
    """
    side = max(default_block_size(x, y), least) if size is None else size
    return block_ids(x, y, side), side


def folds_of(groups: NDArray[Any], labels: NDArray[Any] | None, seed: int) -> Numbers:
    """Return the fold of each sample, groups kept whole, classes balanced.

    Raises
    ------
    InvalidConfigError
        If there are fewer groups than folds.
    """
    balance = np.zeros(len(groups)) if labels is None else labels
    return fold_ids(balance, N_FOLDS, groups=groups, seed=seed)


def in_part(folds: Numbers, part: str) -> NDArray[np.bool_]:
    """Return which folds are of a part."""
    return np.isin(folds, PARTS[part])


def say_split(part: str, groups: str, seed: int) -> str:
    """Return how samples were divided, for messages."""
    share = f"{len(PARTS[part])} of {N_FOLDS} folds"
    return f"{part}: {share} of {groups}, which stay together; seed {seed}"
