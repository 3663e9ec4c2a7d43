"""Which pixels a nodata value makes invalid: one rule for every door (spec/format.md, "Nodata").

A pixel is invalid where *all* its components are nodata, as in GDAL's rule for vectors. Where only
some are, the value decides: one that a component can have (0 of a ReLU, 255 of uint8) is a number
like others there; one that none can have, such as −9999, means that the vector is damaged.

Scale and offset are applied after the comparison: ``number * scale + offset``.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window
from geoembz.errors import InvalidConfigError
from geoembz.sources.band_names import BandNames
from geoembz.sources.base import SourceData
from geoembz.sources.provenance import SourceInfo

type Mask = NDArray[np.bool_]

LARGEST_COMPONENT = 1000.0
"""A nodata value beyond ± this is no component of an embedding."""

FEWEST_COMPONENTS = 8
"""Shorter vectors may hold one number throughout by chance."""

LARGEST_NUMBER = 1e30
"""Floats beyond ± this are nodata that nobody declared: GDAL fills with −3.4e38, netCDF with
9.97e36. Their squares are infinite as float32, so that nothing can be computed with them."""


@dataclass(frozen=True)
class Nodata:
    """Nodata values of the components of a vector.

    Parameters
    ----------
    values
        float64, shape ``(k, dimension)``: k values of each component, any of which counts; NaN
        where a component has none.
    """

    values: NDArray[np.float64]

    @classmethod
    def of(
        cls, declared: Sequence[float | Sequence[float] | None], override: float | str | None = None
    ) -> Self | None:
        """Return what is declared for each component, or what replaces it.

        NaN needs no comparison: components that are not finite are found while encoding.

        Parameters
        ----------
        declared
            One value per component, or several; None where there is none.
        override
            Replaces all of them: a number, or several as text, such as ``"0,-9999"``; ``"none"``
            says that there is none.

        Returns
        -------
        nodata
            None where nothing is to be compared.

        Raises
        ------
        InvalidConfigError
            If `override` is no number.
        """
        if says_none(override):
            return None
        if override is not None:
            declared = [_numbers(override)] * len(declared)
        columns = [() if entry is None else np.atleast_1d(entry).tolist() for entry in declared]
        values = np.full((max(map(len, columns), default=0), len(columns)), np.nan)
        for place, column in enumerate(columns):
            values[: len(column), place] = column
        values = np.unique(values[~np.isnan(values).all(axis=1)], axis=0)
        return cls(values) if len(values) else None

    def verdicts(self, raw: NDArray[Any]) -> Iterator[tuple[Mask, Mask, Mask]]:
        """Yield for each value which pixels have it in some components, in all, or are damaged.

        A value without a pixel is left out.
        """
        for row in self.values:
            hit = _equal(raw, row.reshape(-1, *[1] * (raw.ndim - 1)))
            some = np.asarray(hit.any(axis=0), np.bool_)
            if some.any():
                every = np.asarray(hit[~np.isnan(row)].all(axis=0), np.bool_)
                far = np.abs(row) > LARGEST_COMPONENT  # False for NaN
                yield some, every, np.asarray(hit[far].any(axis=0), np.bool_) & ~every


def apply_nodata(
    raw: NDArray[Any], valid: NDArray[np.bool_] | None, nodata: Nodata | None
) -> SourceData:
    """Return numbers as they are stored, with what a mask and nodata say of each pixel.

    Parameters
    ----------
    raw
        Shape ``(dimension, …)``, before any scale and offset.
    valid
        What a mask says, shape ``(…)``; None without one.
    nodata
        What is declared; None for nothing.

    Returns
    -------
    data
        With pixels that hold an impossible number, or nodata in part, rejected; and with the
        count of those that hold the value of nodata in part and are valid all the same.

    Examples
    --------
    >>> relu = np.array([[0, 0, 3.0]])  # one pixel, zero in two of three components
    >>> apply_nodata(relu.T, None, Nodata.of([0, 0, 0])).partial
    1
    >>> apply_nodata(relu.T - 9999, None, Nodata.of([-9999] * 3)).rejected
    1
    """
    known = np.ones(raw.shape[1:], np.bool_) if valid is None else valid.copy()
    corrupt, partial = _impossible(raw), np.zeros(raw.shape[1:], np.bool_)
    for some, every, damaged in nodata.verdicts(raw) if nodata else ():
        known &= ~every
        partial |= some & ~every
        corrupt = damaged if corrupt is None else corrupt | damaged
    rejected = 0
    if corrupt is not None:
        rejected = int(np.count_nonzero(corrupt & known))
        known &= ~corrupt
    kept = int(np.count_nonzero(partial & known))
    return SourceData(raw, None if known.all() else known, rejected, partial=kept)


def reject(data: SourceData, impossible: NDArray[np.bool_]) -> SourceData:
    """Return the same pixels without those that are impossible, which are counted if valid."""
    if not impossible.any():
        return data
    valid = np.ones(impossible.shape, np.bool_) if data.valid is None else data.valid
    rejected = int(np.count_nonzero(impossible & valid))
    return replace(data, valid=valid & ~impossible, rejected=data.rejected + rejected)


def one_number(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of the vectors ``(dimension, …)`` hold one number throughout.

    Examples
    --------
    >>> one_number(np.stack([np.zeros(64), np.full(64, -1.0), np.arange(64)], axis=1))
    array([ True,  True, False])
    """
    if len(values) < FEWEST_COMPONENTS:
        return np.zeros(values.shape[1:], np.bool_)
    found = np.asarray(values[0] == values[-1], np.bool_)
    if found.any():
        found[found] = (values[:, found] == values[0, found]).all(axis=0)
    return found


def says_none(nodata: float | str | None) -> bool:
    """Whether a nodata option says that there is no such value."""
    return isinstance(nodata, str) and nodata.lower() == "none"


def _equal(raw: NDArray[Any], nodata: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which numbers are nodata, compared in the type that they are stored in.

    −3.4028235e38 is what a float32 holds of it, and what the type cannot hold is nowhere.
    """
    if raw.dtype.kind not in "iu":
        with np.errstate(over="ignore"):
            return np.asarray(raw == nodata.astype(raw.dtype), np.bool_)
    info = np.iinfo(raw.dtype)
    possible = (nodata >= info.min) & (nodata <= info.max) & (nodata == np.trunc(nodata))
    return np.asarray((raw == np.where(possible, nodata, 0).astype(raw.dtype)) & possible)


def _impossible(raw: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which pixels hold a finite number that no component is; None where none does."""
    if raw.dtype.kind != "f" or raw.dtype.itemsize < 4 or not raw.size:
        return None
    largest, smallest = np.fmax.reduce(raw, axis=None), np.fmin.reduce(raw, axis=None)
    if not (largest > LARGEST_NUMBER or smallest < -LARGEST_NUMBER):
        return None
    size = np.abs(raw)
    return np.asarray(((size > LARGEST_NUMBER) & np.isfinite(raw)).any(axis=0), np.bool_)


def _numbers(nodata: float | str) -> list[float]:
    try:
        return [float(number) for number in str(nodata).split(",")]
    except ValueError as error:
        raise InvalidConfigError(
            f"nodata {nodata!r}; expected a number, several with commas, nan or none"
        ) from error


@dataclass(frozen=True)
class Scaling:
    """What stored numbers must be multiplied by, and what is added then.

    Parameters
    ----------
    scales, offsets
        float64, shape ``(dimension,)``.
    """

    scales: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @classmethod
    def of(cls, scales: Sequence[float], offsets: Sequence[float]) -> Self | None:
        """Return the scaling; None where it changes nothing."""
        factors, terms = np.array(scales, np.float64), np.array(offsets, np.float64)
        return None if (factors == 1).all() and (terms == 0).all() else cls(factors, terms)

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the numbers that stored ones ``(dimension, …)`` stand for.

        One component after the other: float64 takes memory for one only.

        Examples
        --------
        >>> Scaling.of([0.1], [1]).apply(np.array([[3]], "int16"))
        array([[1.3]], dtype=float32)
        """
        out = np.empty(raw.shape, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for component, scale, offset in zip(
                range(len(raw)), self.scales, self.offsets, strict=True
            ):
                out[component] = raw[component].astype(np.float64) * scale + offset
        return out


class StoredNumbers(ABC):
    """A source of numbers as they are stored, of which a product may still be recognised.

    What is declared applies in one order at every door: masks and nodata to the stored numbers,
    then scale and offset.

    Parameters
    ----------
    stored_dtype
        Type of the numbers before any scale and offset.
    nodata, scaling
        What is declared; None for nothing.
    """

    name: str
    grid: Grid
    dimension: int
    block_shape: tuple[int, int]
    info: tuple[SourceInfo, ...]
    band_names: BandNames
    stored_dtype: np.dtype[np.generic]
    nodata: Nodata | None
    scaling: Scaling | None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers."""
        return self.stored_dtype if self.scaling is None else np.dtype(np.float32)

    @abstractmethod
    def read_stored(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window's numbers as they are stored, and what a mask says; None without one."""

    def read(self, window: Window) -> SourceData:
        """Read a window; see `Source.read`."""
        raw, known = self.read_stored(window)
        data = apply_nodata(raw, known, self.nodata)
        return data if self.scaling is None else replace(data, values=self.scaling.apply(raw))

    def unmasked(self) -> Self:
        """Return the same with nodata values read as numbers like others."""
        other = copy.copy(self)
        other.nodata = None
        return other

    def unscaled(self) -> Self:
        """Return the same with numbers as they are stored, whatever is to be done to them."""
        other = copy.copy(self)
        other.scaling = None
        return other
