"""Exact moments of any number of vectors, summed in bounded memory. Pixels are columns."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError

_BLOCK_PIXELS = 8192
"""Pixels converted to float64 at a time while moments are summed."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and covariance of any number of vectors, as additive float64 sums.

    Sums are taken about `shift` (near the mean) so that squares of large offsets do not cancel.
    Merging in a fixed order gives the same bits however the vectors were divided among workers.

    Parameters
    ----------
    shift
        float64, shape ``(dimension,)``.
    count
        Number of vectors.
    total
        Sum of ``x - shift``, float64, shape ``(dimension,)``.
    products
        Sum of outer products of ``x - shift``, float64, shape ``(dimension, dimension)``.
    """

    shift: NDArray[np.float64]
    count: int
    total: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float32], shift: NDArray[np.float64] | None = None) -> Self:
        """Sum finite `values`, shape ``(dimension, n_pixels)``, about `shift` or their own mean."""
        dimension, n_pixels = values.shape
        if shift is None:
            shift = values.mean(axis=1, dtype=np.float64) if n_pixels else np.zeros(dimension)
        total = np.zeros(dimension)
        products = np.zeros((dimension, dimension))
        for start in range(0, n_pixels, _BLOCK_PIXELS):
            # `shift` makes these float64: sums of millions of float32 products lose digits.
            block = values[:, start : start + _BLOCK_PIXELS] - shift[:, np.newaxis]
            total += block.sum(axis=1)
            products += block @ block.T
        return cls(shift, n_pixels, total, products)

    def merge(self, other: Self) -> Self:
        """Return the moments of both sets; they must share the shift.

        Raises
        ------
        InvalidConfigError
            If the two were summed about different points.
        """
        if not np.array_equal(self.shift, other.shift):
            raise InvalidConfigError(
                "moments: the two sums have different shifts; pass the first one's `shift` to `of`"
            )
        return type(self)(
            self.shift,
            self.count + other.count,
            self.total + other.total,
            self.products + other.products,
        )

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean vector, float64, shape ``(dimension,)``."""
        return self.shift + self.total / self.count

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (divided by ``count - 1``), float64, shape ``(dimension, dimension)``."""
        # What is left of the mean beside the shift is small, so this difference cancels little.
        centre = self.total / self.count
        return (self.products - self.count * np.outer(centre, centre)) / max(self.count - 1, 1)

    @cached_property
    def second_moment(self) -> NDArray[np.float64]:
        """Mean of ``x @ x.T``, float64, shape ``(dimension, dimension)``: no mean taken off."""
        cross = np.outer(self.shift, self.total / self.count)
        about = self.products / self.count
        return about + cross + cross.T + np.outer(self.shift, self.shift)

    @cached_property
    def covariance_axes(self) -> NDArray[np.float64]:
        """Eigenvectors of the covariance as rows, largest eigenvalue first; signs are fixed."""
        return _axes(self.covariance)

    @cached_property
    def second_moment_axes(self) -> NDArray[np.float64]:
        """Eigenvectors of the second moment as rows, largest eigenvalue first; signs are fixed."""
        return _axes(self.second_moment)


def _axes(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eigenvectors as rows, largest eigenvalue first.

    Each one's entry of the largest magnitude is made positive: the same data, the same matrix.
    """
    _, vectors = np.linalg.eigh(symmetric)
    rows = vectors[:, ::-1].T  # LAPACK sorts eigenvalues upwards, and leaves signs to chance
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1, keepdims=True), axis=1)
    return np.asarray(rows * np.where(largest < 0, -1.0, 1.0), dtype=np.float64)
