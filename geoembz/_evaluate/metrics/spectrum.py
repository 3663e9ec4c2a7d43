"""Describe what there is to compress: variance spectrum, and balance of binary dimensions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class BinaryBalance:
    """Balance of thresholded dimensions, float64 arrays of shape ``(D,)``.

    `imbalance` is the distance of the share of ones from one half (0 balanced, 0.5 constant), the
    seed article's figure; `entropy_bits` is the entropy of the bit (1 balanced, 0 constant).
    """

    imbalance: NDArray[np.float64]
    entropy_bits: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """Return means over the dimensions, the sum of the entropies, and the constant bits."""
        return {
            "imbalance": float(self.imbalance.mean()),
            "entropy_bits": float(self.entropy_bits.mean()),
            "total_entropy_bits": float(self.entropy_bits.sum()),
            "constant_dimensions": int((self.entropy_bits == 0).sum()),
        }

    def per_dimension(self) -> dict[str, list[float]]:
        """Return both figures of every dimension, to four places."""
        return {
            "imbalance": np.round(self.imbalance, 4).tolist(),
            "entropy_bits": np.round(self.entropy_bits, 4).tolist(),
        }


def variance_spectrum(vectors: ArrayLike) -> dict[int, float]:
    """Return the share of the variance in the first 4, 8, 16 … D principal components.

    Parameters
    ----------
    vectors
        Shape ``(n, D)``, finite; summed in float64, block by block.

    Raises
    ------
    InvalidConfigError
        If there are fewer than two rows, or no variance.

    Examples
    --------
    >>> variance_spectrum(np.diag([3.0, 1.0, 1.0, 1.0, 1.0, 1.0])[:, :5] * 2)[4] > 0.9
    True
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise InvalidConfigError(f"variance_spectrum: got {vectors.shape}; expected (n > 1, D)")
    variances = np.maximum(np.linalg.eigvalsh(_scatter(vectors))[::-1], 0)
    if not variances.sum() > 0:
        raise InvalidConfigError("variance_spectrum: all vectors are equal, or a value is NaN")
    cumulative = np.cumsum(variances) / variances.sum()
    return {k: float(cumulative[k - 1]) for k in _doublings(vectors.shape[1])}


def binary_balance(bits: ArrayLike) -> BinaryBalance:
    """Return how balanced each binary dimension is.

    Parameters
    ----------
    bits
        Bool (or 0 and 1), shape ``(n, D)``, n > 0: one bit per element, not packed.

    References
    ----------
    Robinson and Corley (2026), "Compressing Earth Embeddings", section on binary quantization.

    Examples
    --------
    >>> binary_balance([[1, 0], [0, 0], [1, 0], [0, 0]]).summary()["imbalance"]
    0.25
    """
    bits = np.asarray(bits, dtype=bool)
    if bits.ndim != 2 or not len(bits):
        raise InvalidConfigError(f"binary_balance: got {bits.shape}; expected (n > 0, D)")
    ones = bits.mean(axis=0, dtype=np.float64)
    shares = np.stack([ones, 1 - ones])
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return BinaryBalance(np.abs(ones - 0.5), np.abs((shares * logs).sum(axis=0)))


def _scatter(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the sum of centred outer products, shape ``(D, D)``."""
    dimension = vectors.shape[1]
    mean = vectors.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((dimension, dimension))
    for start in range(0, len(vectors), _BLOCK_ROWS):
        centred = vectors[start : start + _BLOCK_ROWS] - mean
        scatter += centred.T @ centred
    return scatter


def _doublings(dimension: int) -> list[int]:
    """Return 4, 8, 16 … below `dimension`, then `dimension`."""
    steps = [2**power for power in range(2, dimension.bit_length()) if 2**power < dimension]
    return [*steps, dimension]
