"""Kernels of a map of change: the distance of two vectors and its score, or their difference."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._export.region import Region
from geoembz._map.bands import MapBands
from geoembz._map.sampling import sample_codes
from geoembz._search.pairs import PairDistances
from geoembz.encoding import Decoder, Metric
from geoembz.encoding._quantization import Codes

SAMPLE_PIXELS = 2**16
"""Pixels that the spread of distances, and the scale of differences, are taken from."""

_LARGEST_CODE, _NODATA = 127, -128
_CLIPPED_SHARE = 0.001
"""Share of sampled pixels whose largest difference may be cut off by the scale."""


@dataclass(frozen=True)
class Spread:
    """How far the distances of most pixels lie apart.

    Parameters
    ----------
    median
        Of the sampled distances.
    deviation
        What a standard deviation would be, from the median absolute deviation; 0 where all sampled
        pixels are alike.
    pixels
        How many were sampled.
    """

    median: float
    deviation: float
    pixels: int

    @classmethod
    def of(cls, distances: NDArray[np.float32]) -> Self:
        """Measure a sample.

        Half of the pixels may have changed, in any way, without moving the result far. Where more
        than half have the same distance, the mean absolute deviation takes the median's place.

        References
        ----------
        B. Iglewicz and D. Hoaglin, *How to Detect and Handle Outliers* (1993): modified z-scores.

        Examples
        --------
        >>> Spread.of(np.array([1, 2, 3, 4, 100], dtype=np.float32)).median
        3.0
        """
        wide = distances.astype(np.float64)
        median = float(np.median(wide))
        apart = np.abs(wide - median)
        deviation = 1.4826 * float(np.median(apart)) or 1.2533 * float(apart.mean())
        return cls(median, deviation, len(wide))

    def scores(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return modified z-scores; 0 where the sample had no spread."""
        if not self.deviation:
            return np.zeros_like(distances)
        return (distances - np.float32(self.median)) / np.float32(self.deviation)


@dataclass(frozen=True)
class DistanceKernel:
    """Distance of two vectors, and its score among those of other pixels.

    Parameters
    ----------
    distances
        Between codes.
    spread
        Of a sample of them.
    seed
        Of the sample.
    """

    distances: PairDistances
    spread: Spread
    seed: int

    @classmethod
    def of(cls, inputs: tuple[Region, Region], metric: Metric, seed: int) -> Self:
        """Measure the spread of distances in a sample."""
        distances = PairDistances.of(inputs[0].reader.encoding, metric)
        return cls(
            distances, Spread.of(distances(*sample_codes(inputs, SAMPLE_PIXELS, seed))), seed
        )

    @property
    def bands(self) -> MapBands:
        """Distance and score."""
        names = (f"{self.distances.metric} distance", "z-score")
        tags = {"median": repr(self.spread.median), "deviation": repr(self.spread.deviation)}
        return MapBands("change", names, "float32", np.nan, tags=tags)

    @property
    def identity(self) -> dict[str, Any]:
        """The seed of the sample."""
        return {"seed": self.seed}

    def to_json(self) -> dict[str, Any]:
        """Return the spread."""
        spread = self.spread
        return {
            "median": spread.median,
            "deviation": spread.deviation,
            "sampled_pixels": spread.pixels,
        }

    def __call__(self, *codes: Codes) -> NDArray[np.float32]:
        """Return distances and scores, shape ``(2, n_pixels)``."""
        distances = self.distances(*codes)
        return np.stack([distances, self.spread.scores(distances)])


@dataclass(frozen=True)
class DifferenceKernel:
    """The first components of what was added between two dates, one byte each.

    Parameters
    ----------
    decoder
        To the first components.
    scale
        Of the bytes.
    seed
        Of the sample that it was taken from.
    """

    decoder: Decoder
    scale: float
    seed: int

    @classmethod
    def of(cls, inputs: tuple[Region, Region], count: int, seed: int) -> Self:
        """Choose the scale by a sample: one for all components, so that lengths stay lengths.

        Raises
        ------
        InvalidConfigError
            If the encoding has not so many components, or they have no order.
        """
        decoder = inputs[0].reader.encoding.decoder("reduced", count)
        one, two = sample_codes(inputs, SAMPLE_PIXELS, seed)
        apart = np.abs(decoder.decode(two) - decoder.decode(one)).max(axis=0)
        largest = float(np.quantile(apart, 1 - _CLIPPED_SHARE, method="higher"))
        return cls(decoder, (largest or 1.0) / _LARGEST_CODE, seed)

    @property
    def bands(self) -> MapBands:
        """One for each component."""
        names = tuple(f"component {number}" for number in range(self.decoder.length))
        shown = (0, 1, 2) if len(names) >= 3 else (0,)
        return MapBands("difference", names, "int8", _NODATA, scale=self.scale, shown=shown)

    @property
    def identity(self) -> dict[str, Any]:
        """The seed of the sample."""
        return {"seed": self.seed}

    def to_json(self) -> dict[str, Any]:
        """Return the scale."""
        return {"scale": self.scale}

    def __call__(self, *codes: Codes) -> NDArray[np.int8]:
        """Return differences in units of the scale, shape ``(n_components, n_pixels)``."""
        one, two = (self.decoder.decode(block) for block in codes)
        two -= one
        two *= np.float32(1 / self.scale)
        np.rint(two, out=two)
        np.clip(np.nan_to_num(two, copy=False), -_LARGEST_CODE, _LARGEST_CODE, out=two)
        return two.astype(np.int8)
