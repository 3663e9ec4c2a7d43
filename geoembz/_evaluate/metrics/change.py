"""Score change detection: how well the distance between two dates tells changed pixels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._evaluate.metrics.neighbours import unit_rows
from geoembz.errors import InvalidConfigError


def change_distances(before: ArrayLike, after: ArrayLike) -> NDArray[np.float64]:
    """Return the cosine distance of each pixel between two dates, shape ``(n,)``.

    Parameters
    ----------
    before, after
        Shape ``(n, D)``: the same pixels, in the same order.

    Examples
    --------
    >>> change_distances([[1, 0], [1, 0]], [[2, 0], [0, 1]])
    array([0., 1.])
    """
    first, second = unit_rows(before), unit_rows(after)
    if first.shape != second.shape:
        raise InvalidConfigError(
            f"change_distances: got {first.shape} before and {second.shape} after; expected the "
            "same pixels"
        )
    return np.asarray(1.0 - np.einsum("ij,ij->i", first, second, dtype=np.float64))


def roc_auc(changed: ArrayLike, distances: ArrayLike) -> float:
    """Return the area under the ROC curve of a threshold on `distances`.

    That is the probability that a changed pixel has a greater distance than an unchanged one; a
    tie counts one half.

    Parameters
    ----------
    changed
        Bool, shape ``(n,)``.
    distances
        Shape ``(n,)``.

    Returns
    -------
    auc
        nan where all pixels or none have changed.

    References
    ----------
    Hanley and McNeil (1982), Radiology 143(1).

    Examples
    --------
    >>> roc_auc([True, True, False, False], [0.9, 0.4, 0.5, 0.1])
    0.75
    """
    from scipy.stats import rankdata

    flags, ranks = np.asarray(changed, bool), rankdata(np.asarray(distances))
    if flags.shape != ranks.shape:
        raise InvalidConfigError(f"roc_auc: got {flags.shape} flags and {ranks.shape} distances")
    positive, negative = int(flags.sum()), int((~flags).sum())
    if not positive or not negative:
        return float("nan")
    above = float(ranks[flags].sum()) - positive * (positive + 1) / 2
    return above / (positive * negative)
