"""A made-up foundation model: a fixed random network from what lies at a place to a vector.

Its vectors are like real ones where that matters to compression and search: a mean far from zero; a
spectrum that falls as a power of the rank; neighbours that resemble each other down to the last
component; land covers that are more or less alike, each with its own response to soil, season or
light.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from geoembz._demo.fields import Floats
from geoembz._demo.landscape import COVERS, FIELDS, Landscape
from geoembz._geo.grid import Window

_KINDS = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4])
"""Water, built, trees, herbs or arable land: which `COVERS` are alike."""
_ALIKE = 0.7
_APART = np.array([1.6, 0.9, 0.45, 0.45, 0.45])[_KINDS]
"""How strongly the model responds to a cover's kind, and to what is its own."""
_FIELD_GAINS = np.array([0.15, 0.1, 0.25, 0.25, 0.4, 0.45, 0.3, 0.15, 0.25, 0.3])
"""How strongly the model responds to each of `FIELDS`."""

# The standard deviation along axis j is about _SCALE * (1 + j / 6) ** -_FALL, which comes close to
# embeddings by Galileo (128 numbers): 8, 16, 32 and 64 components explain 0.90, 0.96, 0.988 and
# 0.9975 of their variance. Noise falls more slowly: the first components are the cleanest.
_SCALE, _FALL, _NOISE, _NOISE_FALL = 0.7, 1.6, 0.09, 0.95
_MEAN_NORM = 0.85
_WEIGHTS_SEED = 13
_SPREAD = np.array([0.17, 0.66, 0.17], np.float32)
"""How a pixel's light spreads over it and its two neighbours."""


@dataclass(frozen=True)
class Model:
    """``mean + axes @ (tanh(weights @ latents + bias) + noise)``.

    Parameters
    ----------
    mean, bias, noise
        float32, shape ``(dimension, 1)``; `noise` is a standard deviation.
    axes
        float32, shape ``(dimension, dimension)``: orthogonal, of decreasing length.
    weights
        float32, shape ``(dimension, len(COVERS) + len(FIELDS))``.
    """

    mean: Floats
    axes: Floats
    weights: Floats
    bias: Floats
    noise: Floats

    @classmethod
    def draw(cls, dimension: int) -> Self:
        """Draw a model of vectors of length `dimension`."""
        rng = np.random.default_rng(_WEIGHTS_SEED)
        axes, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
        decay = 1 + np.arange(dimension) / 6
        kinds = _ALIKE * rng.standard_normal((dimension, int(_KINDS.max()) + 1))[:, _KINDS]
        covers = kinds + _APART * rng.standard_normal((dimension, len(COVERS)))
        fields = _FIELD_GAINS * rng.standard_normal((dimension, len(FIELDS)))
        bias = 0.5 * rng.standard_normal((dimension, 1))
        mean = _MEAN_NORM / np.sqrt(dimension) * rng.standard_normal((dimension, 1))
        noise = _NOISE * decay[:, None] ** (_FALL - _NOISE_FALL)
        state = (mean, axes * _SCALE * decay**-_FALL, np.hstack([covers, fields]), bias, noise)
        return cls(*(a.astype(np.float32) for a in state))

    def embed(self, landscape: Landscape, window: Window, rng: np.random.Generator) -> Floats:
        """Return the vectors (dimension, y, x) of a window, the sensor's noise from `rng`."""
        latents = sense(landscape, window)
        features: Floats = self.weights @ latents.reshape(len(latents), -1)
        features += self.bias
        for feature, noise in zip(features, self.noise, strict=True):  # one fits into the cache
            np.tanh(feature, out=feature)
            feature += noise * _draw_noise(rng, window)
        vectors: Floats = self.axes @ features
        vectors += self.mean
        return vectors.reshape(-1, *window.shape)


def sense(landscape: Landscape, window: Window) -> Floats:
    """Return the shares of covers and the fields of a window, mixed along borders as light is."""
    from scipy.ndimage import correlate1d

    last = len(landscape.cover) - 1
    rows, cols = (
        np.arange(start - 1, start + length + 1).clip(0, last)
        for start, length in ((window.row, window.height), (window.col, window.width))
    )
    cover = landscape.cover[np.ix_(rows, cols)]
    shares = cover == np.arange(len(COVERS), dtype=np.uint8)[:, None, None]
    latents = np.concatenate([shares.astype(np.float32), landscape.fields[:, rows[:, None], cols]])
    for axis in (1, 2):
        latents = correlate1d(latents, _SPREAD, axis=axis)
    return np.ascontiguousarray(latents[:, 1:-1, 1:-1])


def _draw_noise(rng: np.random.Generator, window: Window) -> Floats:
    """Return noise of unit variance, shape ``(pixel,)``, half of it shared with the next pixel.

    Sums of four uniform numbers: quicker than normal ones, and nearly as normal.
    """
    noise = rng.random(window.size + window.width + 1, dtype=np.float32)
    noise = noise[1:] + noise[:-1]
    noise = noise[window.width :] + noise[: -window.width]
    noise -= 2
    noise *= np.float32(np.sqrt(3))
    return noise
