"""In which form an engine gets a store's vectors: codes as they are, where it knows their kind.

Engines compare numbers in one space. Ours is reduced space. Decoded vectors share a part outside of
it, of the mean. It changes dot products and squared distances by a number for each query, and
cosines by the length that it adds; so those get a component more.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding, Metric
from geoembz.encoding._quantization import Codes

type Kind = Literal["bits", "int8", "pq", "float16"]
"""How the engine holds vectors: codes as stored (bits, int8, pq), or reduced vectors."""


_ROUNDING = 1e-6
"""Share of a squared length below which it is none."""


@dataclass(frozen=True)
class VectorForm:
    """The vectors of an encoding as an engine gets them, for one metric.

    Parameters
    ----------
    encoding
        Of the store.
    metric
        What neighbours are near by.
    """

    encoding: Encoding
    metric: Metric

    @classmethod
    def of(cls, encoding: Encoding, metric: Metric) -> Self:
        """Check the metric, and return the form.

        Raises
        ------
        InvalidConfigError
            If it does not suit the codes.
        """
        encoding.check_metric(metric)
        return cls(encoding, metric)

    @cached_property
    def kind(self) -> Kind:
        """How vectors are held.

        Cosines need vectors of length 1, which no engine makes of codes. Those of ``l2-`` recipes
        have about that length only, and near neighbours differ by less.
        """
        if self.metric.name == "hamming":
            return "bits"
        if self.metric.name == "cosine":
            return "float16"
        if self._steps is not None:
            return "int8"
        return "float16" if self._centroids is None else "pq"

    @property
    def length(self) -> int:
        """Numbers (or, of bits, bits) of a vector."""
        if self.kind == "bits":
            return 8 * self.encoding.code_length
        return self.reduced.dimension + self._has_outside

    @cached_property
    def reduced(self) -> Encoding:
        """The encoding of the same codes in reduced space."""
        return self.encoding.in_reduced_space(self.metric.whiten)

    @property
    def ranges(self) -> NDArray[np.float32]:
        """FAISS' ranges of 8-bit codes: for each component the start and the width of 256 steps."""
        assert self._steps is not None  # noqa: S101 - of kind int8
        start, step = self._steps
        return np.concatenate([start - 127.5 * step, 255 * step]).astype(np.float32)

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Codewords of pq in reduced space, shape ``(n_subquantizers, 256, width)``."""
        assert self._centroids is not None  # noqa: S101 - of kind pq
        return self._centroids

    def vectors(self, codes: Codes) -> NDArray[np.float32]:
        """Return what an engine compares, float32 ``(n, length)``: of length 1 for cosines."""
        found = np.ascontiguousarray(self._decode(np.ascontiguousarray(codes)).T)
        if self.metric.name != "cosine":
            return found
        if self._has_outside:
            found = np.column_stack([found, np.full(len(found), self._outside_length, np.float32)])
        return _divide(found, np.linalg.norm(found, axis=1))

    def stored(self, codes: Codes) -> NDArray[np.uint8]:
        """Return what an engine stores of codes ``(code_length, n)``, a row of bytes for each."""
        if self.kind == "float16":
            return self.vectors(codes).astype("<f2").view(np.uint8)
        rows = np.ascontiguousarray(codes.T)
        if self.kind == "int8":
            return (rows.astype(np.int16) + 127).astype(np.uint8)
        return rows.view(np.uint8)

    def queries(self, vectors: NDArray[np.float32]) -> NDArray[Any]:
        """Return queries in original space ``(n, dimension)`` as the engine compares them."""
        if self.kind == "bits":
            return np.ascontiguousarray(self.encoding.encode(vectors)).view(np.uint8)
        reduced = self.encoding.reduce(vectors, self.metric.whiten)
        if self.metric.name != "cosine":
            return reduced
        if self._has_outside:
            along = self._outside_products(vectors) / self._outside_length
            reduced = np.column_stack([reduced, along.astype(np.float32)])
        whole = reduced if self.metric.whiten else vectors
        return _divide(reduced, np.linalg.norm(whole, axis=1))

    def scores(self, vectors: NDArray[np.float32], found: NDArray[Any]) -> NDArray[Any]:
        """Return scores as `geoembz.search` has them, of what FAISS found.

        Parameters
        ----------
        vectors
            Queries in original space, shape ``(n_queries, dimension)``.
        found
            Dot products, squared distances or counts of bits, shape ``(n_queries, k)``.
        """
        is_whole = self.metric.whiten > 0  # a metric of reduced space
        if self.metric.name == "euclidean":
            squares = 0 if is_whole else self._outside_squares(vectors)[:, np.newaxis]
            return np.sqrt(np.maximum(found + squares, 0)).astype(np.float32)
        if self.metric.name == "dot" and not is_whole:
            return (found + self._outside_products(vectors)[:, np.newaxis]).astype(np.float32)
        return found

    @cached_property
    def _shared(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Some vector, decoded, and the same in reduced space: what else differs, all share."""
        codes = np.zeros((self.encoding.code_length, 1), self.encoding.code_dtype)
        whole = self.encoding.decode_block(codes)[:, 0].astype(np.float64)
        return whole, self._decode(codes)[:, 0].astype(np.float64)

    @cached_property
    def _outside_length(self) -> float:
        """Length of what decoded vectors share outside reduced space."""
        whole, inside = self._shared
        square = float(whole @ whole - inside @ inside)
        return square**0.5 if square > _ROUNDING * float(whole @ whole) else 0.0

    @property
    def _has_outside(self) -> bool:
        """Whether vectors have a component more, for that."""
        is_asked = self.metric.name == "cosine" and not self.metric.whiten
        return is_asked and self._outside_length > 0

    def _outside_products(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the dot product of each query with it."""
        whole, inside = self._shared
        return vectors.astype(np.float64) @ whole - self.encoding.reduce(vectors) @ inside

    def _outside_squares(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the squared distance, outside reduced space, of each query from it."""
        whole, inside = self._shared
        far = np.square(vectors - whole).sum(axis=1)
        near = np.square(self.encoding.reduce(vectors) - inside).sum(axis=1)
        return np.asarray(np.maximum(far - near, 0))

    @cached_property
    def _steps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Value of code 0 and of a step in each component; None where codes are no such steps."""
        quantizer = self.encoding.quantizer
        if quantizer.kind != "int8" or self.encoding.code_dtype != np.int8:
            return None
        length = self.encoding.code_length
        corners = np.array([[0, 100]] * length, np.int8)
        start, far = self._decode(corners).astype(np.float64).T
        step = (far - start) / 100
        trial = np.random.default_rng(0).integers(-127, 128, (length, 16)).astype(np.int8)
        expected = start[:, np.newaxis] + step[:, np.newaxis] * trial
        return (start, step) if self._agrees(trial, expected) else None

    @cached_property
    def _centroids(self) -> NDArray[np.float32] | None:
        """Codewords in reduced space; None where codes are no pq, or its groups are rotated."""
        if self.encoding.quantizer.kind != "pq":
            return None
        groups = self.encoding.code_length
        every = np.broadcast_to(np.arange(256, dtype=np.uint8), (groups, 256))
        words = self._decode(np.ascontiguousarray(every)).reshape(groups, -1, 256)
        trial = np.random.default_rng(0).integers(0, 256, (groups, 16)).astype(np.uint8)
        expected = np.stack([words[m][:, trial[m]] for m in range(groups)])
        return (
            np.ascontiguousarray(words.transpose(0, 2, 1))
            if self._agrees(trial, expected.reshape(-1, 16))
            else None
        )

    def _decode(self, codes: Codes) -> NDArray[np.float32]:
        return self.reduced.decode_block(codes)

    def _agrees(self, codes: Codes, expected: NDArray[Any]) -> bool:
        """Whether codes decode to what an engine would make of them."""
        found = self._decode(codes)
        if found.shape != expected.shape:
            return False
        return bool(np.allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(found).max()))


def _divide(rows: NDArray[np.float32], lengths: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(rows / np.where(lengths == 0, 1, lengths)[:, np.newaxis], np.float32)
