"""Split rows by place: square blocks as groups, and a buffer between training and test rows."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics.splits import Split, labelled_split
from geoembz.errors import InvalidConfigError


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
    points = _points(x, y)
    if not block_size > 0:
        raise InvalidConfigError(f"block_ids: block size {block_size}; expected more than 0")
    cells = np.floor((points - points.min(axis=0)) / block_size).astype(np.int64)
    numbers = np.unique(cells[:, ::-1], axis=0, return_inverse=True)[1]
    return np.asarray(numbers.ravel(), dtype=np.int64)


def blocked_split(
    x: ArrayLike,
    y: ArrayLike,
    labels: ArrayLike,
    block_size: float,
    *,
    test_share: float = 0.2,
    buffer: float = 0.0,
    seed: int = 0,
) -> Split:
    """Split whole spatial blocks, balanced by class, and drop training rows close to test rows.

    Parameters
    ----------
    x, y
        Shape ``(n,)``, in the units of the CRS.
    labels
        Shape ``(n,)``.
    block_size, buffer
        Side of a block, and the distance that training rows must keep from test rows; CRS units.
    test_share, seed
        As in `labelled_split`.

    Raises
    ------
    InvalidConfigError
        If there are too few blocks, or nothing is left to train or test on.

    References
    ----------
    Roberts et al. (2017), Ecography 40(8), on blocked validation.

    Examples
    --------
    >>> x = np.arange(40.0)
    >>> split = blocked_split(x, np.zeros(40), x % 2, block_size=10, test_share=0.25, buffer=2)
    >>> len(split.test), split.exclusions()["within the buffer of a test row"] in (2, 4)
    (10, True)
    """
    split = labelled_split(labels, test_share, groups=block_ids(x, y, block_size), seed=seed)
    return _buffered(split, _points(x, y), np.asarray(labels), buffer) if buffer > 0 else split


def _buffered(
    split: Split, points: NDArray[np.float64], labels: NDArray[np.generic], buffer: float
) -> Split:
    from scipy.spatial import KDTree

    distances = KDTree(points[split.test]).query(points[split.train])[0]
    train, close = split.train[distances > buffer], split.train[distances <= buffer]
    seen = np.isin(labels[split.test], labels[train])
    if not seen.any():
        raise InvalidConfigError(
            f"blocked_split: a buffer of {buffer} leaves {len(train)} training rows and none of a "
            "class in the test blocks; use a smaller buffer or larger blocks"
        )
    excluded = {**split.excluded, "within the buffer of a test row": close}
    if not seen.all():
        before = excluded.get("class without training rows", np.empty(0, np.int64))
        excluded["class without training rows"] = np.union1d(before, split.test[~seen])
    return replace(split, train=train, test=split.test[seen], excluded=excluded)


def _points(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    across, down = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if across.shape != down.shape or across.ndim != 1 or not across.size:
        raise InvalidConfigError(
            f"spatial split: got x {across.shape} and y {down.shape}; expected (n,) twice"
        )
    points = np.stack([across, down], axis=1)
    if not np.isfinite(points).all():
        raise InvalidConfigError("spatial split: a coordinate is NaN or infinite; leave it out")
    return points
