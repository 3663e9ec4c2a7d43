"""Encode means of encoded vectors: what a pixel of an overview holds (spec/format.md, "Overviews").

Decoding is affine in the components, so that the mean of vectors is had from the mean of their
components, and no product of the original dimension is needed. Arrays are ``(n, height, width)``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._kernel import quantize_tile, unpack_codes
from geoembz.encoding._model import Encoding
from geoembz.encoding._quantization import Codes

type Floats = NDArray[np.float32]


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
    """

    components: NDArray[Any]
    counts: Floats

    def halved(self) -> "Sums":
        """Return the sums over squares of twice the side; both sides must be even.

        Examples
        --------
        >>> ones = np.ones((1, 2, 4), np.float32)
        >>> Sums(ones, ones[0]).halved().counts
        array([[4., 4.]], dtype=float32)
        """
        return Sums(_halved(self.components), _halved(self.counts))


def _halved(values: NDArray[Any]) -> Floats:
    wide = np.dtype(np.int16) if values.dtype.kind == "i" else values.dtype  # of 8-bit codes
    rows = np.add(values[..., 0::2, :], values[..., 1::2, :], dtype=wide)
    squares = np.add(rows[..., 0::2], rows[..., 1::2], dtype=wide)
    return np.asarray(squares, np.float32)


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

    def sums(self, codes: Codes, valid: NDArray[np.bool_] | None, side: int) -> Sums:
        """Return the components of a square of pixels as sums of one each.

        Parameters
        ----------
        codes
            Shape ``(code_length, height, width)``, no more than `side` each way.
        valid
            Their validity, where it is an array of its own.
        side
            Of the square that is returned; what the codes do not reach is invalid.
        """
        shape, quantizer = codes.shape[1:], self.encoding.quantizer
        flat = np.ascontiguousarray(codes).reshape(len(codes), -1)
        known = ~self.encoding.is_nodata(flat[0]).reshape(shape) if valid is None else valid
        if self._adds_codes:
            values = flat.reshape(codes.shape)
        else:
            unpacked = unpack_codes(quantizer, flat, quantizer.n_codes)
            values = quantizer.dequantize(unpacked).reshape(-1, *shape)
        if not known.all():
            values = np.where(known, values, values.dtype.type(0))
        if shape == (side, side):
            return Sums(values, known.astype(np.float32))
        whole = Sums(
            np.zeros((len(values), side, side), values.dtype), np.zeros((side, side), np.float32)
        )
        whole.components[:, : shape[0], : shape[1]] = values
        whole.counts[: shape[0], : shape[1]] = known
        return whole

    def means(self, sums: Sums) -> Floats:
        """Return the components of means, ``(n_components, n_pixels)``; zeros where invalid."""
        counts = np.maximum(sums.counts.reshape(-1), np.float32(1))
        means: Floats = np.divide(sums.components.reshape(len(sums.components), -1), counts)
        if self._adds_codes:
            means = self.encoding.quantizer.dequantize(means)
            means[:, sums.counts.reshape(-1) == 0] = 0.0
        if self.unit_length:
            self._scale(means)
            means[:, sums.counts.reshape(-1) == 0] = 0.0
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
