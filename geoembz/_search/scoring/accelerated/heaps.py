"""Keep the k nearest in max-heaps: the worst that is kept stands first and gives way first.

NumPy needs a handful of calls for each query and tile to find out that nothing is nearer; one
compiled pass counts what is, and mostly goes on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._search.scoring.accelerated.compiled import compiled


@compiled
def keep_nearest(
    distances: NDArray[Any],
    positions: NDArray[np.int64],
    valid: NDArray[np.bool_],
    farthest: Any,
    heap_distances: NDArray[Any],
    heap_positions: NDArray[np.int64],
) -> None:
    """Take the nearest of a block into the heap of each query.

    Parameters
    ----------
    distances
        Shape ``(n_queries, n)``; NaN is never near.
    positions
        Shape ``(n,)``.
    valid
        Shape ``(n,)``, or empty where all pixels count.
    farthest
        The distance of places that are still free; what is as far is not kept.
    heap_distances, heap_positions
        Shape ``(n_queries, k)``, each row a max-heap by distance, then position.
    """
    for query in range(len(distances)):
        row, heap = distances[query], heap_distances[query]
        limit, near = heap[0], False
        for pixel in range(len(row)):  # no branch inside: vector registers compare
            near |= row[pixel] <= limit
        if near:
            keep_row(row, positions, valid, farthest, heap, heap_positions[query])


@compiled
def keep_row(
    distances: NDArray[Any],
    positions: NDArray[np.int64],
    valid: NDArray[np.bool_],
    farthest: Any,
    heap_distances: NDArray[Any],
    heap_positions: NDArray[np.int64],
) -> None:
    """Take the nearest of one query; arguments as of `keep_nearest`, without the first axis."""
    for pixel in range(len(distances)):
        distance = distances[pixel]
        if distance <= heap_distances[0] and distance < farthest:
            if len(valid) > 0 and not valid[pixel]:
                continue
            position = positions[pixel]
            if distance < heap_distances[0] or position < heap_positions[0]:
                _replace_worst(heap_distances, heap_positions, distance, position)


@compiled
def _replace_worst(
    distances: NDArray[Any], positions: NDArray[np.int64], distance: Any, position: int
) -> None:
    """Put a nearer one into a max-heap, in place of its first."""
    place, size = 0, len(distances)
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            distances[other] > distances[child]
            or (distances[other] == distances[child] and positions[other] > positions[child])
        ):
            child = other
        if distances[child] < distance or (
            distances[child] == distance and positions[child] <= position
        ):
            break
        distances[place], positions[place] = distances[child], positions[child]
        place = child
    distances[place], positions[place] = distance, position
