"""The fit's sample of a table: rows spread over it, without reading all of it where possible."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.sampling import PixelRoles
from geoembz._geo.grid import Window
from geoembz.errors import NoValidPixelsError
from geoembz.sources.tables import TableSource

FEWEST_PARTS, MOST_PARTS = 8, 64
"""Row groups to begin reading in. Below the first number the whole table is read."""

_READ_SHARE = 8
"""At most one row in so many is read for the sample, where the row groups allow it."""


def draw_rows(source: TableSource, roles: PixelRoles, n_samples: int) -> list[NDArray[np.float32]]:
    """Return the fit's sample, float32 blocks ``(dimension, n)``, all finite.

    A row group can only be read from its beginning, so rows come from the heads of up to 64 of
    them; a table of few row groups is read once from front to back.

    Parameters
    ----------
    source
        The table.
    roles
        Which rows are held out, and the keys that choose the others.
    n_samples
        How many rows are wanted.

    Raises
    ------
    NoValidPixelsError
        If no row holds a vector.
    """
    blocks = []
    if len(source.group_rows) >= FEWEST_PARTS:
        blocks = [_chosen(roles, *part) for part in _heads(source, roles.seed, n_samples)]
    if 2 * sum(block.shape[1] for block in blocks) < min(n_samples, roles.shape[0]):
        share = n_samples / roles.shape[0]
        blocks = [
            _chosen(roles, batch.start, batch.vectors, int(np.ceil(share * len(batch.vectors))))
            for batch in source.batches()
        ]
    if not any(block.shape[1] for block in blocks):
        raise NoValidPixelsError(
            "no row holds a vector: every one is missing, NaN or infinite; expected embeddings"
        )
    return blocks


def _heads(
    source: TableSource, seed: int, n_samples: int
) -> Iterator[tuple[int, NDArray[Any], int]]:
    """Yield first row, vectors and rows wanted of the heads of one group of each equal run."""
    counts = source.group_rows
    n_parts = min(len(counts), MOST_PARTS)
    edges = np.linspace(0, len(counts), n_parts + 1).astype(int)
    rng = np.random.default_rng(seed)
    share = -(-n_samples // n_parts)
    for low, high in pairwise(edges):
        group = int(rng.integers(low, high))
        depth = min(counts[group], max(share + share // 4, counts[group] // _READ_SHARE))
        parts = list(source.head(group, depth))
        vectors = np.concatenate([values for _, values in parts])[:depth]
        yield parts[0][0], vectors, share


def _chosen(
    roles: PixelRoles, start: int, vectors: NDArray[Any], count: int
) -> NDArray[np.float32]:
    """Return at most `count` finite rows that are not held out, as columns."""
    keys = roles.keys(Window(start, 0, len(vectors), 1))
    finite = np.isfinite(vectors).all(axis=1)
    chosen = roles.fit_pixels(keys, finite, count)
    with np.errstate(over="ignore"):
        sample = vectors[chosen].astype(np.float32)
    return np.ascontiguousarray(sample[np.isfinite(sample).all(axis=1)].T)
