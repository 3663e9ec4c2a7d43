"""Tiles that stand out: what each is offset by, if the steps found are all due to offsets.

The offset of every tile is what best explains the mean steps at its borders: least squares on the
graph of tiles, with the median tile at 0. Borders without a seam count as no step, so noise does
not add up over a mosaic.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoembz._seams.judge import Judgement

_RIDGE = 1e-9


def tile_offsets(
    judged: Sequence[Judgement], seams: Sequence[bool]
) -> dict[int, NDArray[np.float64]]:
    """Return the offset of each set of tiles that has a seam, by its number.

    Parameters
    ----------
    judged
        Borders of sources.
    seams
        Which of them are seams.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import splu

    if not any(seams):
        return {}
    sides = np.array([one.measured.border.sides for one in judged])
    numbers, index = np.unique(sides, return_inverse=True)
    first, second = index.reshape(sides.shape).T
    weights = np.array([float(one.measured.pairs) for one in judged])
    found = np.array(seams)[:, np.newaxis]
    steps = np.where(found, np.array([one.measured.vector for one in judged]), 0.0)
    n, edges = len(numbers), np.arange(len(judged))
    incidence = sparse.coo_array(
        (np.repeat([-1.0, 1.0], len(judged)), (np.tile(edges, 2), np.concatenate([first, second]))),
        shape=(len(judged), n),
    ).tocsc()
    weighted = incidence.T @ sparse.diags_array(weights)
    normal = (weighted @ incidence + _RIDGE * weights.sum() * sparse.eye_array(n)).tocsc()
    offsets = splu(normal).solve(np.ascontiguousarray(weighted @ steps))
    _, groups = connected_components(abs(incidence.T) @ abs(incidence), directed=False)
    for group in np.unique(groups):
        members = groups == group
        offsets[members] -= np.median(offsets[members], axis=0)
    touched = np.unique(index.reshape(sides.shape)[np.array(seams)])
    return {int(numbers[node]): offsets[node] for node in touched}
