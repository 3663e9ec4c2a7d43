"""Measures that need no labels: of pixels, neighbours, distances and bits."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.neighbours import cosine_neighbours, hamming_neighbours
from geoembz._evaluate.metrics.splits import Fold
from geoembz._evaluate.metrics.structure import (
    binary_balance,
    cosine_pair_distances,
    hamming_pair_distances,
    random_pairs,
    recall_at,
    spearman,
    variance_spectrum,
)
from geoembz._evaluate.task import Views
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.encoding._fidelity import clipped_share, pixel_fidelity

QUERIES, PAIRS = 2_000, 20_000
"""Rows whose neighbours are searched, and pairs whose distances are ranked: recall and correlation
are then known to about 0.01, and cost no more than a task."""

RECALL_DEPTHS = (1, 10, 100)
_BEYOND = np.float32(1e30)
"""Beyond every codeword."""

_BLOCK_ROWS = 8192
"""Rows measured at once: memory does not grow with the sample."""


class Fidelity:
    """The uncompressed side of the comparison, computed once for all recipes.

    Parameters
    ----------
    vectors
        All rows, uncompressed.
    fold
        Encodings are fitted on its training rows, everything here is measured on its test rows.
    seed
        Chooses queries and pairs.

    Attributes
    ----------
    tested, centre
        Test rows, and the mean of the training rows, which the centred cosine takes off.
    depths
        Those of `RECALL_DEPTHS` that there are enough rows for.
    queries, pairs
        Positions among the test rows of what is searched for, and of what is measured.
    """

    def __init__(self, vectors: NDArray[np.float32], fold: Fold, seed: int) -> None:
        self.vectors, self.fold = vectors, fold
        n = len(fold.test)
        self.tested = vectors[fold.test]
        self.centre = np.asarray(vectors[fold.train].mean(axis=0, dtype=np.float64))
        self.depths = tuple(k for k in RECALL_DEPTHS if k < n)
        rng = np.random.default_rng(seed)
        self.queries = np.sort(rng.permutation(n)[:QUERIES]).astype(np.int64)
        self.pairs = random_pairs(n, PAIRS, seed=seed) if n > 1 else np.empty((0, 2), np.int64)

    @cached_property
    def neighbours(self) -> NDArray[np.int64]:
        """True neighbours of the queries among the other test rows."""
        return self._cosine_neighbours(self.tested)

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """True distances of the pairs."""
        return cosine_pair_distances(self.tested, self.pairs)

    def baseline(self) -> dict[str, Any]:
        """Describe the uncompressed vectors: spectrum, and balance of their signs."""
        train = self.vectors[self.fold.train]
        return {
            "n_train": len(train),
            "n_test": len(self.fold.test),
            "spectrum": {str(k): share for k, share in variance_spectrum(train).items()},
            "binary_balance": binary_balance(train > self.centre.astype(np.float32)),
        }

    def measure(self, encoding: Encoding, views: Views) -> dict[str, Any]:
        """Measure one recipe on the test rows."""
        rows = self.fold.test
        original, centre = self.tested, self.centre
        if encoding.normalize:  # what was encoded is the direction, and that is what comes back
            original = encoding.target(original.T).T
            centre = encoding.target(self.vectors[self.fold.train].T).mean(axis=1, dtype=np.float64)
        result: dict[str, Any] = {
            **pixel_fidelity(original, views.reconstructed[rows], centre).summary(),
            "clipped_share": self._clipped_share(encoding),
        }
        if self.depths:
            reduced = views.reduced[rows]
            result["recall"] = self._recall(self._cosine_neighbours(reduced))
            queries = views.float_queries(rows[self.queries])
            result["recall_float_query"] = self._recall(self._cosine_neighbours(reduced, queries))
            found = cosine_pair_distances(reduced, self.pairs)
            result["spearman"] = spearman(self.distances, found)
        if views.packed_bits is not None:
            result |= self._measure_bits(views.packed_bits[rows], encoding.n_components)
        return result

    def _measure_bits(self, bits: NDArray[np.uint8], count: int) -> dict[str, Any]:
        """Measure what only bits have."""
        result: dict[str, Any] = {}
        if self.depths:
            own = self.queries
            found = hamming_neighbours(bits[own], bits, max(self.depths), own_row=own).indices
            result["hamming_recall"] = self._recall(found)
            apart = hamming_pair_distances(bits, self.pairs)
            result["hamming_spearman"] = spearman(self.distances, apart)
        unpacked = np.unpackbits(bits, axis=1, count=count, bitorder="little")
        return {**result, "binary_balance": binary_balance(unpacked)}

    def _cosine_neighbours(
        self, vectors: NDArray[np.float32], queries: NDArray[np.float32] | None = None
    ) -> NDArray[np.int64]:
        own = self.queries
        queries = vectors[own] if queries is None else queries
        return cosine_neighbours(queries, vectors, max(self.depths), own_row=own).indices

    def _recall(self, found: NDArray[np.int64]) -> dict[str, float]:
        return {str(k): r for k, r in recall_at(self.neighbours, found, self.depths).items()}

    def _clipped_share(self, encoding: Encoding) -> float | None:
        """Return the share of test values beyond the outermost codewords; None without such."""
        limits = _outermost_codewords(encoding)
        if limits is None:
            return None
        beyond = 0.0
        with single_threaded_blas():
            for start in range(0, len(self.tested), _BLOCK_ROWS):
                block = encoding.target(self.tested[start : start + _BLOCK_ROWS].T)
                values = encoding.projection.transform(np.ascontiguousarray(block)).T
                beyond += clipped_share(values, *limits) * len(values)
        return beyond / len(self.tested)


def _outermost_codewords(
    encoding: Encoding,
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the smallest and largest codeword of each component, where codes are per component."""
    quantizer = encoding.quantizer
    if quantizer.bits not in {2, 4, 8} or quantizer.kind in {"pq", "rq"}:
        return None
    beyond = np.full((quantizer.n_components, 1), _BEYOND, np.float32)
    low, high = (quantizer.dequantize(quantizer.quantize(end))[:, 0] for end in (-beyond, beyond))
    return low, high
