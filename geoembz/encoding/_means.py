"""Encode means of encoded vectors: what a pixel of an overview holds (spec/format.md, "Overviews").

Decoding is affine in the components, so that the mean of vectors is had from the mean of their
components, and no product of the original dimension is needed. Arrays are ``(n, height, width)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._util.memory import allocate
from geoembz.encoding._kernel import quantize_tile, unpack_codes
from geoembz.encoding._model import Encoding
from geoembz.encoding._quantization import Codes, LinearQuantizer

type Floats = NDArray[np.float32]

_LARGEST_CODE = 128
"""Of 8 bits: sums of up to 255 codes fit into 16 bits, which are added faster than floats."""


@dataclass(frozen=True)
class Sums:
    """Sums over squares of pixels.

    Parameters
    ----------
    components
        Sums of the components of valid pixels, float32 ``(n_components, height, width)``; or of
        their codes, where components are linear in them. Codes of single pixels are integers.
    counts
        How many valid pixels each has, float32 ``(height, width)``.
    pixels
        How many pixels each has, valid or not.
    """

    components: NDArray[Any]
    counts: Floats
    pixels: int = 1

    def halved(self) -> "Sums":
        """Return the sums over squares of twice the side; both sides must be even.

        Examples
        --------
        >>> ones = np.ones((1, 2, 4), np.float32)
        >>> Sums(ones, ones[0]).halved().counts
        array([[4., 4.]], dtype=float32)
        """
        values, pixels = self.components, 4 * self.pixels
        is_exact = values.dtype.kind == "i" and pixels * _LARGEST_CODE <= np.iinfo(np.int16).max
        added = _halved(values, np.int16 if is_exact else np.float32)
        return Sums(added, _halved(self.counts, np.float32), pixels)


def _halved(values: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    *first, height, width = values.shape
    rows = allocate((*first, height // 2, width), dtype)
    np.copyto(rows, values[..., 0::2, :])
    np.add(rows, values[..., 1::2, :], out=rows, dtype=dtype)
    return np.asarray(rows[..., 0::2] + rows[..., 1::2])


def join_sums(parts: Sequence[tuple[tuple[int, int], Sums]], side: int) -> Sums:
    """Return the sums of a square from those of its parts; zero where there is none.

    Parameters
    ----------
    parts
        Row and column of each part's corner, and its sums; one at least.
    side
        Of the square.

    Examples
    --------
    >>> ones = np.ones((1, 1, 2), np.float32)
    >>> join_sums([((1, 0), Sums(ones, ones[0]))], 2).counts
    array([[0., 0.],
           [1., 1.]], dtype=float32)
    """
    first = parts[0][1]
    if first.counts.shape == (side, side):
        return first
    components = allocate((len(first.components), side, side), first.components.dtype)
    components.fill(0)
    whole = Sums(components, np.zeros((side, side), np.float32), first.pixels)
    for (row, col), sums in parts:
        height, width = sums.counts.shape
        place = np.s_[..., row : row + height, col : col + width]
        whole.components[place], whole.counts[place] = sums.components, sums.counts
    return whole


@dataclass(frozen=True, eq=False)
class MeanEncoder:
    """Turns codes into sums of components, and these into codes of their means.

    Parameters
    ----------
    encoding
        Of all codes.
    unit_length
        Whether a mean is divided by its length first.
    """

    encoding: Encoding
    unit_length: bool

    @property
    def _adds_codes(self) -> bool:
        """Whether codes are added up, which takes less than their components do."""
        quantizer = self.encoding.quantizer
        return quantizer.law == "linear" and quantizer.bits == 8

    @property
    def number_bytes(self) -> int:
        """Bytes of one number while it is added up, about."""
        return 1 if self._adds_codes else 4

    def known(self, codes: Codes) -> NDArray[np.bool_]:
        """Return which pixels are valid, by their codes: where validity is no array of its own."""
        return ~self.encoding.is_nodata(codes[0])

    def sums(self, codes: Codes, valid: NDArray[np.bool_], side: int) -> Sums:
        """Return the components of a square of pixels as sums of one each.

        Parameters
        ----------
        codes
            Shape ``(code_length, height, width)``, no more than `side` each way.
        valid
            bool ``(height, width)``.
        side
            Of the square that is returned; what the codes do not reach is invalid.
        """
        shape = codes.shape[1:]
        values = self._values(codes, valid)
        if shape == (side, side):
            return Sums(values, valid.astype(np.float32))
        whole = Sums(
            np.zeros((len(values), side, side), values.dtype), np.zeros((side, side), np.float32)
        )
        whole.components[:, : shape[0], : shape[1]] = values
        whole.counts[: shape[0], : shape[1]] = valid
        return whole

    def _values(self, codes: Codes, known: NDArray[np.bool_]) -> NDArray[Any]:
        """Return what is added up, zero where nothing is known."""
        if self._adds_codes:
            if known.all():
                return codes
            return np.bitwise_and(codes, -known.view(np.int8))  # -1 has all bits, 0 has none
        quantizer = self.encoding.quantizer
        flat = np.ascontiguousarray(codes).reshape(len(codes), -1)
        unpacked = unpack_codes(quantizer, flat, quantizer.n_codes)
        values = quantizer.dequantize(unpacked).reshape(-1, *known.shape)
        return values if known.all() else np.where(known, values, values.dtype.type(0))

    def means(self, sums: Sums) -> Floats:
        """Return the components of means, ``(n_components, n_pixels)``; zeros where invalid."""
        counts = sums.counts.reshape(-1)
        means = allocate((len(sums.components), counts.size), np.float32)
        added = sums.components.reshape(means.shape)
        quantizer, is_whole = self.encoding.quantizer, bool((counts == sums.pixels).all())
        if is_whole and isinstance(quantizer, LinearQuantizer) and self._adds_codes:
            quantizer.dequantize_mean(added, sums.pixels, means)
        else:
            np.divide(added, np.maximum(counts, np.float32(1)), out=means)
            if self._adds_codes:
                quantizer.dequantize(means, means)
        if self.unit_length:
            self._scale(means)
        if (self._adds_codes or self.unit_length) and not (is_whole or counts.all()):
            means[:, counts == 0] = 0.0
        return means

    def encode(self, means: Floats, valid: NDArray[np.bool_], out: Codes) -> None:
        """Encode means into ``(code_length, n_pixels)``; they are overwritten.

        Parameters
        ----------
        means
            What `means` returned.
        valid
            bool ``(n_pixels,)``.
        out
            Receives the codes.
        """
        quantize_tile(self.encoding.quantizer, means, np.flatnonzero(~valid), out)

    def vectors(self, means: Floats) -> Floats:
        """Return means as vectors of the original space, ``(dimension, n_pixels)``."""
        return self.encoding.projection.inverse_transform(means)

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """What the centred cosine takes off, float64 ``(dimension,)``: the mean, or zeros."""
        mean = self.encoding.projection.mean
        return np.zeros(self.encoding.dimension) if mean is None else mean.astype(np.float64)

    def _scale(self, means: Floats) -> None:
        """Divide the vectors that components stand for by their lengths; of length 0 they stay."""
        offset = self.encoding.projection.offset
        lengths = self._lengths(means)
        if offset is not None:
            means += offset
        means /= np.where(lengths == 0, np.float32(1), lengths)
        if offset is not None:
            means -= offset

    def _lengths(self, means: Floats) -> Floats:
        """Return the lengths of vectors by their components, without making the vectors."""
        projection = self.encoding.projection
        if projection.matrix is None or projection.mean is None:
            return np.asarray(np.sqrt(np.einsum("kn,kn->n", means, means)))
        products, shift, square = self._gram
        squares = np.einsum("kn,kn->n", means, products @ means)
        squares += 2 * (shift @ means) + square
        return np.asarray(np.sqrt(np.maximum(squares, 0)))

    @cached_property
    def _gram(self) -> tuple[Floats, Floats, np.float32]:
        """Return ``matrix @ matrix.T``, ``matrix @ mean`` and ``mean @ mean``."""
        projection = self.encoding.projection
        matrix = np.asarray(projection.matrix, np.float64)
        mean = np.asarray(projection.mean, np.float64)
        return (
            (matrix @ matrix.T).astype(np.float32),
            (matrix @ mean).astype(np.float32),
            np.float32(mean @ mean),
        )
