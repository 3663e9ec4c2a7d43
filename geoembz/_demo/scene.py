"""What a synthetic scene holds: land cover, and a model that turns it into embedding vectors.

It looks like a foundation model's output where that matters for compression: patches of land cover
that mix along their borders, a spectrum that decays but does not end, variation within a class
that is partly smooth and partly noise, a mean far from zero, clouds and an edge without data.
Files are not known here.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

N_CLASSES = 7

_N_SMOOTH = 12

# Chosen so that float32 kNN finds the class of about 95 % of the pixels and 64 of 128 principal
# components explain about 99 % of the variance, while the mean alone has a cosine of 0.7.
_SPECTRUM_DECAY = 0.75  # the standard deviation along axis j is (1 + j) ** -0.75, times these:
_BETWEEN, _SMOOTH, _WHITE = 0.8, 0.45, 0.6
_BORDER_SHARPNESS = 9.0
_MEAN_NORM = 1.5


@dataclass(frozen=True)
class Scene:
    """What lies where.

    Parameters
    ----------
    shares
        float32, shape ``(class, y, x)``: how much of a pixel each class covers.
    smooth
        float32, shape ``(field, y, x)``: variation within a class, unit variance.
    labels
        uint8, shape ``(y, x)``: class 1 to 7, 0 where nobody surveyed.
    valid
        bool, shape ``(y, x)``: False in the ragged corner and under the clouds.
    """

    shares: NDArray[np.float32]
    smooth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    valid: NDArray[np.bool_]

    @classmethod
    def draw(cls, size: int, seed: int) -> Self:
        """Draw a scene of `size` x `size` pixels."""
        rng = np.random.default_rng([seed, 1])
        cover = _smooth_fields(rng, N_CLASSES, size, size / 26)
        shares = np.exp(_BORDER_SHARPNESS * (cover - cover.max(axis=0)))
        shares /= shares.sum(axis=0)
        surveyed = _smooth_fields(rng, 1, size, size / 40)[0] > -0.3
        labels = np.where(surveyed, cover.argmax(axis=0) + 1, 0).astype(np.uint8)
        smooth = _smooth_fields(rng, _N_SMOOTH, size, size / 90)
        return cls(shares, smooth, labels, _draw_valid(rng, size))


@dataclass(frozen=True)
class Model:
    """What a place looks like: ``mean + axes @ (centroids @ shares + smooth + white noise)``."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    centroids: NDArray[np.float32]
    spectrum: NDArray[np.float32]

    @classmethod
    def draw(cls, dimension: int, seed: int) -> Self:
        """Draw a model of vectors of length `dimension`."""
        rng = np.random.default_rng([seed, 2])
        axes, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
        spectrum = (1 + np.arange(dimension)) ** -_SPECTRUM_DECAY
        centroids = _BETWEEN * spectrum[:, None] * rng.standard_normal((dimension, N_CLASSES))
        mean = rng.standard_normal(dimension) * _MEAN_NORM / np.sqrt(dimension)
        state = (a.astype(np.float32) for a in (mean, axes, centroids, spectrum))
        return cls(*state)

    def embed(
        self,
        shares: NDArray[np.float32],
        smooth: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return the vectors (dimension, y, x) of a window of a scene, white noise from `rng`."""
        n_smooth = min(len(smooth), len(self.mean))
        scores = rng.standard_normal((len(self.mean), shares[0].size), dtype=np.float32)
        scores *= _WHITE * self.spectrum[:, None]
        scores[:n_smooth] += _SMOOTH * self.spectrum[:n_smooth, None] * _flat(smooth[:n_smooth])
        scores += self.centroids @ _flat(shares)
        vectors: NDArray[np.float32] = self.axes @ scores
        vectors += self.mean[:, None]
        return vectors.reshape(-1, *shares.shape[1:])


def _smooth_fields(
    rng: np.random.Generator, count: int, size: int, sigma: float
) -> NDArray[np.float32]:
    """Return `count` fields (count, size, size) of noise smoothed by `sigma` px, unit variance."""
    from scipy.ndimage import gaussian_filter

    fields = np.empty((count, size, size), dtype=np.float32)
    for field in fields:
        noise = rng.standard_normal((size, size), dtype=np.float32)
        gaussian_filter(noise, sigma, output=field, mode="wrap", truncate=3)
        deviation = float(field.std())
        field /= deviation if deviation > 0 else 1.0
    return fields


def _draw_valid(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Return where there are data: a ragged corner and a few clouds are cut out."""
    wobble, cloud = _smooth_fields(rng, 2, size, size / 30)
    row, col = np.mgrid[:size, :size] / size
    corner = row + (1 - col) < 0.2 + 0.03 * wobble
    clouds = cloud > np.quantile(cloud, 0.985)
    valid: NDArray[np.bool_] = ~(corner | clouds)
    return valid


def _flat(fields: NDArray[np.float32]) -> NDArray[np.float32]:
    return fields.reshape(len(fields), -1)
