"""Figures of a map: exact sums over its shards, so that the order of the work does not matter."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_STRETCH = 2.0
"""Standard deviations about the mean that are shown from dark to bright, as GIS programs do."""


@dataclass(frozen=True)
class BandSums:
    """Sums over the valid pixels of one band.

    Parameters
    ----------
    count
        How many there are.
    total, squares
        Sum of the numbers, and of their squares.
    least, most
        The smallest and the largest; infinite where there is none.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Sum up numbers, shape ``(n,)``; those that are not finite do not count."""
        wide = values.astype(np.float64)
        wide = wide[np.isfinite(wide)]
        if not len(wide):
            return cls()
        return cls(
            len(wide),
            float(wide.sum()),
            float(np.square(wide).sum()),
            float(wide.min()),
            float(wide.max()),
        )

    def merge(self, other: "BandSums") -> "BandSums":
        """Return the sums over both."""
        return BandSums(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            min(self.least, other.least),
            max(self.most, other.most),
        )

    @property
    def mean(self) -> float:
        """Mean of the numbers."""
        return self.total / max(self.count, 1)

    @property
    def std(self) -> float:
        """Standard deviation of the numbers."""
        return math.sqrt(max(self.squares / max(self.count, 1) - self.mean**2, 0.0))

    @property
    def stretch(self) -> tuple[float, float]:
        """What is shown darkest and brightest, of the numbers that there are.

        Examples
        --------
        >>> low, high = BandSums.of(np.array([0, 1, 1, 1, 1, 1, 1, 1], "float32")).stretch
        >>> round(low, 3), high
        (0.214, 1.0)
        """
        reach = _STRETCH * self.std
        return max(self.least, self.mean - reach), min(self.most, self.mean + reach)

    def to_json(self) -> list[float]:
        """Return it as a journal has it; empty where there is none, JSON knowing no infinity."""
        parts = [self.count, self.total, self.squares, self.least, self.most]
        return parts if self.count else []

    @classmethod
    def from_json(cls, parts: list[float]) -> Self:
        """Read what `to_json` returned."""
        return cls(int(parts[0]), *parts[1:]) if parts else cls()


@dataclass(frozen=True)
class MapFigures:
    """Sums over the shards of a map.

    Parameters
    ----------
    valid_pixels
        Pixels with an embedding.
    bands
        Sums of each band.
    counts
        Of a map of classes, the pixels of each value.
    """

    valid_pixels: int = 0
    bands: tuple[BandSums, ...] = ()
    counts: Mapping[int, int] | None = None

    @classmethod
    def of(cls, values: NDArray[Any], *, has_classes: bool) -> Self:
        """Sum up the valid pixels of a shard, shape ``(n_bands, n)``."""
        counts = None
        if has_classes:
            found, numbers = np.unique(values[0], return_counts=True)
            counts = dict(zip(found.tolist(), numbers.tolist(), strict=True))
        return cls(values.shape[1], tuple(map(BandSums.of, values)), counts)

    @classmethod
    def sum(cls, parts: Iterable["MapFigures"]) -> "MapFigures":
        """Return the figures of all shards, added up in their order."""
        return reduce(cls._merge, (part for part in parts if part.bands), cls())

    def _merge(self, other: "MapFigures") -> "MapFigures":
        if not self.bands:
            return other
        bands = tuple(a.merge(b) for a, b in zip(self.bands, other.bands, strict=True))
        counts = None
        if self.counts is not None and other.counts is not None:
            values = sorted({*self.counts, *other.counts})
            counts = {v: self.counts.get(v, 0) + other.counts.get(v, 0) for v in values}
        return MapFigures(self.valid_pixels + other.valid_pixels, bands, counts)

    def to_json(self) -> dict[str, Any]:
        """Return it as a journal has it."""
        return {
            "valid_pixels": self.valid_pixels,
            "bands": [sums.to_json() for sums in self.bands],
            "counts": None if self.counts is None else [[*item] for item in self.counts.items()],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        counts = document["counts"]
        return cls(
            document["valid_pixels"],
            tuple(map(BandSums.from_json, document["bands"])),
            None if counts is None else {int(value): int(n) for value, n in counts},
        )
