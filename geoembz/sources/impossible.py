"""Vectors of a known product that no model makes: fill that nobody declared, and damage.

Exports fill with 0 or −1; −128 under the square law is −1.00786. Such vectors hold one number
throughout, and AlphaEarth's have length 1: averages are shorter, nothing is longer.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.sources.base import Source, SourceData, SourceTraits, traits_of
from geoembz.sources.guards import TOLERANCE, square_law
from geoembz.sources.nodata import one_number, rejecting
from geoembz.sources.power_law import FACTOR
from geoembz.sources.views import ViewSource, labelled

LONGEST = 1.1
"""Resampled unit vectors stay below this length."""


class PossibleSource(ViewSource):
    """Floats of a product; pixels that cannot be its vectors are rejected.

    Parameters
    ----------
    source
        The numbers.
    traits
        What is known of the product.
    """

    def __init__(self, source: Source, traits: SourceTraits) -> None:
        super().__init__(source, traits=traits)
        self._bounded = traits.unit_norm

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(window)
        impossible = one_number(data.values)
        if self._bounded:
            impossible |= _too_long(data.values)
        return rejecting(data, impossible)


def possible(source: Source, traits: SourceTraits) -> Source:
    """Return a source of a product's floats; notes and skipped inputs of its own stay."""
    named = labelled(source, traits)
    return PossibleSource(source, traits_of(named))


def _too_long(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which vectors are longer than 1, but for those that are so by a wrong law.

    Of those all are wrong, and `check_vectors` says which law it was.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("d...,d...->...", values, values, dtype=np.float32, casting="same_kind")
        found = np.asarray(squares > LONGEST**2, np.bool_)
        if found.any():
            vectors = values[:, found].astype(np.float32)
            linear = _unit(square_law(vectors)) & (np.abs(vectors).max(axis=0) <= 1)
            found[found] = ~linear & ~_unit(square_law(vectors / np.float32(FACTOR)))
    return found


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(np.linalg.norm(vectors, axis=0) - 1) <= TOLERANCE, np.bool_)
