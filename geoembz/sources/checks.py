"""The square law of int8 products, and vectors that a product cannot hold.

AlphaEarth and OlmoEarth store ``value = sign(q) * (abs(q) / 127.5) ** 2``; −128 in all components
is nodata. Exports fill with 0 or −1, and −128 under the law is −1.00786: such vectors hold one
number throughout. AlphaEarth's have length 1: averages are shorter, nothing is longer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.encoding._quantization import ALPHAEARTH, power_values
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.base import Source, SourceData, SourceTraits, traits_of
from geoembz.sources.nodata import LARGEST_COMPONENT, one_number, reject, says_none
from geoembz.sources.wrappers import ViewSource

EXPONENT, FACTOR = ALPHAEARTH
NODATA = -128
RECIPE = "aef"
"""The recipe that stores these codes as they are."""


def power_table() -> NDArray[np.float32]:
    """Return the value of each code seen as uint8, float32 ``(256,)``; NaN for −128.

    Examples
    --------
    >>> table = power_table()
    >>> float(table[np.uint8(51)]), bool(np.isnan(table[128]))
    (0.1599999964237213, True)
    """
    return power_values(np.arange(256, dtype=np.uint8).view(np.int8)).astype(np.float32)


class PowerLawSource(ViewSource):
    """Int8 codes of another source, read as the numbers they stand for.

    A pixel is nodata where every code is −128. Where only some are, or where every code is another
    one (an undeclared fill), it is rejected as corrupt.

    Parameters
    ----------
    source
        Reads the int8 codes, as they are and with no nodata value of its own.
    traits
        What is known of the product.
    """

    def __init__(self, source: Source, traits: SourceTraits) -> None:
        super().__init__(source, traits=traits)
        self._table = power_table()

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(window)
        missing = data.values.min(axis=0) == NODATA  # in any component: it is the smallest code
        known = replace(data, table=self._table)
        if missing.any():
            every = data.values.max(axis=0) == NODATA
            known = replace(known, valid=~every if data.valid is None else data.valid & ~every)
        return reject(known, missing | one_number(data.values))


def refuse_other_nodata(product: str, nodata: float | str | None) -> None:
    """Refuse a nodata value where the product's law has one already."""
    if nodata is not None and str(nodata) not in {str(NODATA), f"{NODATA}.0"}:
        raise InvalidConfigError(
            f"product {product}: nodata {nodata!r}; {NODATA} in all bands is its nodata by "
            "definition; leave the nodata value out, or pass --product raster"
        )


TOLERANCE = 0.02
"""How far a norm may be from 1: int8 codes of unit vectors decode to 0.99 to 1.01."""

MOST_OUTSIDE = 0.05
"""Share of vectors that may have another length: borders and fill that no nodata value marks."""

_FEWEST = 16
"""Vectors below which their lengths prove nothing."""

AEF_BANDS = 64


def check_vectors(
    source: Source,
    sample: Sequence[NDArray[np.float32]],
    nodata: float | str | None = None,
) -> None:
    """Refuse vectors whose length says that they are not what the product holds.

    AlphaEarth's vectors have length 1. If they only have it after the square law is applied (once
    more), they were dequantized linearly, or not at all. Vectors of other products have no length
    to hold them against.

    Parameters
    ----------
    source
        The input.
    sample
        Vectors of it, float32 ``(dimension, n)``, all finite.
    nodata
        What the caller said of nodata; ``"none"`` says that there is none.

    Raises
    ------
    SourceError
        If the vectors were dequantized with the wrong law, or some are fill that nobody declared.
    """
    if not says_none(nodata):
        refuse_undeclared_fill(source.name, sample)
    traits = traits_of(source)
    if source.dimension != AEF_BANDS or not (traits.unit_norm or traits.product == "raster"):
        return
    vectors = np.concatenate([block[:, :4096] for block in sample], axis=1)
    if vectors.shape[1] < _FEWEST or has_unit_norm(vectors):
        return
    wrong = _wrong_law(vectors, claims_unit_norm=traits.unit_norm)
    if wrong is None and traits.unit_norm and source.dtype.kind != "f":
        # floats may be averages, which are shorter
        wrong = f"{_median_length(vectors)}; AlphaEarth's have length 1: these are no codes of "
        wrong += f"AlphaEarth; {_AS_THEY_ARE}"
    if wrong is not None:
        raise SourceError(f"{source.name}: {wrong}")


_AS_THEY_ARE = "say --product raster to take the numbers as they are"


def _wrong_law(vectors: NDArray[np.float32], *, claims_unit_norm: bool) -> str | None:
    """Return by what mistake vectors have another length than 1; None where none explains it."""
    length = _median_length(vectors)
    advice = "; expected v = sign(q) * (|q| / 127.5)²; convert the int8 tiles instead"
    if has_unit_norm(square_law(vectors)):
        return (
            f"{length} that have length 1 under AlphaEarth's square law: they were dequantized "
            f"linearly, as q / 127.5{advice}"
        )
    if has_unit_norm(square_law(vectors / np.float32(FACTOR))):
        return (
            f"numbers up to {np.abs(vectors).max():.3g} that are AlphaEarth's codes, not vectors: "
            f"they were never dequantized{advice}"
        )
    if claims_unit_norm and has_unit_norm(np.sqrt(np.abs(vectors))):
        return (
            f"{length} that have length 1 when the square law is undone: the codes are linear "
            f"(q = 127.5 v), or the law was applied twice; {_AS_THEY_ARE}"
        )
    return None


def _median_length(vectors: NDArray[np.float32]) -> str:
    return f"vectors of length {float(np.median(np.linalg.norm(vectors, axis=0))):.3g}"


def refuse_undeclared_fill(name: str, sample: Sequence[NDArray[np.float32]]) -> None:
    """Refuse vectors that hold one number throughout, where that can be no embedding.

    A number beyond ±1,000 is none, nor is any beside vectors that all have length 1. Zeros beside
    vectors of other lengths may be: a ReLU makes them.

    Raises
    ------
    SourceError
        If there are such vectors; the message names the number.
    """
    fill = np.concatenate([block[0, one_number(block)] for block in sample])
    if not fill.size:
        return
    total = sum(block.shape[1] for block in sample)
    others = [block[:, ~one_number(block)][:, :4096] for block in sample]
    rest = np.concatenate(others, axis=1)
    far = fill[np.abs(fill) > LARGEST_COMPONENT]
    if far.size and rest.shape[1]:
        found, what = far, "beyond what components of embeddings are"
    elif rest.shape[1] >= _FEWEST and has_unit_norm(rest):
        found, what = fill, "while the other vectors have length 1"
    else:
        return
    number = f"{found[0]:.9g}"
    raise SourceError(
        f"{name}: {found.size:,} of {total:,} sampled vectors hold {number} in all components, "
        f"{what}: it looks like nodata that nobody declared; pass --nodata {number}, or --nodata "
        "none to take them as vectors (several numbers with commas)"
    )


def square_law(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return ``sign(v) * abs(v) ** 2``."""
    return np.asarray(np.sign(values) * np.abs(values) ** EXPONENT, dtype=np.float32)


def has_unit_norm(vectors: NDArray[np.float32]) -> bool:
    """Whether all but a few of the columns have length 1.

    Examples
    --------
    >>> has_unit_norm(np.array([[0.6, 0.8], [0.8, -0.6]], dtype=np.float32))
    True
    """
    norms = np.linalg.norm(vectors, axis=0)
    return bool(np.mean(np.abs(norms - 1) > TOLERANCE) <= MOST_OUTSIDE)


LONGEST = 1.1
"""Resampled unit vectors stay below this length."""


class PossibleSource(ViewSource):
    """Floats of a product; pixels that cannot be its vectors are rejected.

    Parameters
    ----------
    source
        The numbers.
    traits
        What is known of the product; notes and skipped inputs of the source stay.
    """

    def __init__(self, source: Source, traits: SourceTraits) -> None:
        super().__init__(source, traits=traits.over(traits_of(source)))
        self._bounded = traits.unit_norm

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        data = self.source.read(window)
        impossible = one_number(data.values)
        if self._bounded:
            impossible |= _too_long(data.values)
        return reject(data, impossible)


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
