"""Add up the vectors of each feature's pixels, chunk by chunk."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.hits import Hits
from geoembz.store import StoreReader, View

REQUESTS_AT_ONCE = 8
"""Chunks read at the same time: reads wait for storage more than they compute."""


class Totals:
    """Sums over features; codes of points are kept as they are.

    Parameters
    ----------
    reader
        A store that is read; all must have one encoding.
    count
        Number of features.
    space, components, whiten
        What is read; see `StoreReader.read_pixels`.

    Attributes
    ----------
    covered, pixels
        Pixels of each feature, and those of them that hold an embedding, int64.
    chunks_read
        Windows read, each inside one chunk.
    """

    def __init__(
        self,
        reader: StoreReader,
        count: int,
        space: View,
        components: int | None = None,
        whiten: float = 0.0,
    ) -> None:
        self._view = (space, components, whiten)
        encoding = reader.encoding
        self._is_codes = space == "codes"
        fill = encoding.fill_value if self._is_codes else 0
        dtype = encoding.code_dtype if self._is_codes else np.dtype(np.float64)
        self._sums = np.full((count, reader.length(*self._view)), fill, dtype)
        self.covered, self.pixels = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.chunks_read = 0

    def add(self, reader: StoreReader, date: int, hits: Iterable[Hits]) -> None:
        """Read the windows of some hits, several at once, and add them in order."""

        def read(hits: Hits) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            return self._read(reader, date, hits)

        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            for group in batched(hits, 4 * REQUESTS_AT_ONCE):
                for hit, (vectors, valid) in zip(group, pool.map(read, group), strict=True):
                    self._add(hit.features, vectors, valid)
                    self.chunks_read += 1

    def vectors(self) -> NDArray[Any]:
        """Return the means, float32, NaN where there is no pixel; or the codes."""
        if self._is_codes:
            return self._sums
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float32] = (self._sums / self.pixels[:, np.newaxis]).astype(np.float32)
        return mean

    def _read(
        self, reader: StoreReader, date: int, hits: Hits
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the vectors of the hits ``(length, n)``, and which are valid."""
        unique, back = np.unique(hits.pixels, return_inverse=True)
        vectors = reader.read_pixels(hits.window, unique, *self._view, date)
        if not self._is_codes:
            valid = ~np.isnan(vectors[0])
        elif (mask := reader.read_mask(hits.window, date)) is not None:
            valid = mask.reshape(-1)[unique]
        else:
            valid = ~reader.encoding.is_nodata(vectors[0])
        return vectors[:, back], np.asarray(valid)[back]

    def _add(
        self, features: NDArray[np.intp], vectors: NDArray[Any], valid: NDArray[np.bool_]
    ) -> None:
        """Add one window's vectors; a feature's pixels stand side by side in it."""
        starts = _starts(features)
        self.covered[features[starts]] += np.diff([*starts, len(features)])
        if self._is_codes:
            self._sums[features] = vectors.T
        features, vectors = features[valid], vectors[:, valid]
        if not len(features):
            return
        starts = _starts(features)
        self.pixels[features[starts]] += np.diff([*starts, len(features)])
        if not self._is_codes:
            sums = np.add.reduceat(vectors, starts, axis=1, dtype=np.float64)
            self._sums[features[starts]] += sums.T


def _starts(features: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(features, prepend=-1))
