"""Linear functions of decoded vectors, evaluated on their codes.

``weights @ x + bias`` of a decoded ``x = matrix.T @ z + mean`` is linear in the components z, and z
is affine in the code, or taken from a table. So weights fold into the projection, and scale and
offset into the weights, once; nothing is decoded afterwards. Stored bytes that stand for several
codes (or for a codeword) get a table of 256 entries for each byte instead.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding
from geoembz.encoding._kernel import code_length
from geoembz.encoding._packing import Bits, unpack
from geoembz.encoding._projection import cached_pixels, multiply_padded
from geoembz.encoding._quantization import (
    Codes,
    FloatQuantizer,
    LinearQuantizer,
    Quantizer,
    ResidualQuantizer,
)
from geoembz.errors import InvalidConfigError

type Way = Literal["codes", "tables", "values"]

# Nanoseconds for a pixel's stored byte and output, measured: a look-up reads a row of the table
# and adds it; a decoded component is looked up once and joins a matrix product.
_LOOK_UP, _LOOK_UP_OUTPUT = 1.0, 0.35
_DECODE, _DECODE_OUTPUT = 1.0, 0.03


@dataclass(frozen=True, eq=False)
class LinearFold:
    """``weights @ x + bias`` of the vectors that codes stand for.

    Parameters
    ----------
    quantizer
        Of the codes.
    weights
        On components, float64, shape ``(n_outputs, n_components)``.
    bias
        float64, shape ``(n_outputs,)``.
    way
        ``codes``: a product with the codes themselves (linear and float codes); ``tables``: table
        look-up by stored bytes; ``values``: a product with components taken from tables.
    """

    quantizer: Quantizer
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    way: Way = field(default="codes")

    @classmethod
    def of(
        cls,
        encoding: Encoding,
        weights: NDArray[Any],
        bias: NDArray[Any] | float = 0.0,
        *,
        shift: NDArray[Any] | None = None,
        way: Way | None = None,
    ) -> Self:
        """Fold weights on original vectors into an encoding.

        Parameters
        ----------
        encoding
            Of the codes.
        weights
            Shape ``(n_outputs, dimension)``.
        bias
            Shape ``(n_outputs,)``, or one number.
        shift
            Subtracted from the decoded vectors first, shape ``(dimension,)``.
        way
            None for the one that should be fastest.

        Raises
        ------
        InvalidConfigError
            If the weights are on vectors of another length.

        Examples
        --------
        >>> samples = np.random.default_rng(0).normal(size=(500, 8)).astype("float32")
        >>> encoding = Encoding.fit(samples, "pca4-int8")
        >>> fold = LinearFold.of(encoding, np.ones((1, 8)))
        >>> codes = encoding.encode(samples)
        >>> bool(np.allclose(fold(codes.T)[0], encoding.decode(codes).sum(axis=1), atol=1e-5))
        True
        """
        wide = np.asarray(weights, dtype=np.float64)
        if wide.ndim != 2 or wide.shape[1] != encoding.dimension:
            raise InvalidConfigError(
                f"fold: weights of shape {wide.shape}; vectors of this encoding have "
                f"{encoding.dimension} numbers: expected (n_outputs, {encoding.dimension})"
            )
        matrix, mean = encoding.projection.matrix, encoding.projection.mean
        constant = np.zeros(encoding.dimension) if mean is None else mean.astype(np.float64)
        if shift is not None:
            constant = constant - shift
        total = wide @ constant + np.asarray(bias, dtype=np.float64)
        inner = wide if matrix is None else wide @ matrix.astype(np.float64).T
        return cls(encoding.quantizer, inner, total, way or choose(encoding.quantizer, len(wide)))

    @property
    def n_outputs(self) -> int:
        """Numbers per vector."""
        return len(self.weights)

    @cached_property
    def tile_pixels(self) -> int:
        """Width of every product, the last one padded: BLAS rounds differently at other widths."""
        return cached_pixels(self.quantizer.n_components)

    def __call__(self, codes: Codes, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Evaluate on codes as stored.

        Parameters
        ----------
        codes
            Shape ``(code_length, n_pixels)``.
        out
            Receives the result.

        Returns
        -------
        outputs
            float32, shape ``(n_outputs, n_pixels)``; of invalid pixels, NaN or any number.
        """
        if out is None:
            out = np.empty((self.n_outputs, codes.shape[1]), dtype=np.float32)
        values = None if self.way == "tables" else self.scratch()
        for start in range(0, codes.shape[1], self.tile_pixels):
            columns = slice(start, start + self.tile_pixels)
            if values is None:
                self._look_up(codes[:, columns], out[:, columns])
            else:
                self.multiply(self.numbers(codes[:, columns], values), out[:, columns])
        return out

    def scratch(self) -> NDArray[np.float32]:
        """Return memory for the `numbers` of one tile after the other."""
        return np.empty((self.quantizer.n_components, self.tile_pixels), dtype=np.float32)

    def numbers(self, tile: Codes, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what `inner` multiplies: codes as float32, or components; padded to a tile.

        Parameters
        ----------
        tile
            Shape ``(code_length, n)``, at most `tile_pixels`.
        values
            From `scratch`; receives the result.
        """
        quantizer = self.quantizer
        width, unpacked = tile.shape[1], tile
        if quantizer.bits < 8:
            packed = tile.astype(np.uint8, copy=False)
            unpacked = unpack(packed, cast("Bits", quantizer.bits), quantizer.n_codes)
        values[:, width:] = 0.0
        if self.way == "codes":
            values[:, :width] = unpacked
        else:
            values[:, :width] = quantizer.dequantize(unpacked)
        return values

    @cached_property
    def inner(self) -> NDArray[np.float32]:
        """Weights on `numbers`, float32, shape ``(n_outputs, n_components)``."""
        if self.way == "codes" and isinstance(self.quantizer, LinearQuantizer):
            return (self.weights * self.quantizer.scale).astype(np.float32)
        return self.weights.astype(np.float32)

    @cached_property
    def constant(self) -> NDArray[np.float32]:
        """What is added to the product, float32, shape ``(n_outputs, 1)``."""
        total = self.bias
        if self.way == "codes" and isinstance(self.quantizer, LinearQuantizer):
            total = total + self.weights @ self.quantizer.offset.astype(np.float64)
        return total.astype(np.float32)[:, np.newaxis]

    @cached_property
    def tables(self) -> NDArray[np.float32]:
        """Contribution of each stored byte, float32, shape ``(code_length, 256, n_outputs)``."""
        if isinstance(self.quantizer, ResidualQuantizer):  # each byte adds to all components
            words = self.quantizer.codebook.astype(np.float64)
            return (words @ self.weights.T).astype(np.float32)
        values = components_of_bytes(self.quantizer).astype(np.float64)
        starts = first_components(self.quantizer)
        sums = [np.add.reduceat(row[:, np.newaxis] * values, starts) for row in self.weights]
        return np.stack(sums, axis=-1).astype(np.float32)

    def multiply(self, numbers: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Write the outputs of a tile's `numbers` into `out`, which may be narrower."""
        multiply_padded(self.inner, numbers, out)
        out += self.constant

    def _look_up(self, tile: Codes, out: NDArray[np.float32]) -> None:
        indices = tile.view(np.uint8)
        sums = np.zeros((tile.shape[1], self.n_outputs), dtype=np.float32)
        row = np.empty_like(sums)
        for table, chosen in zip(self.tables, indices, strict=True):
            np.take(table, chosen, axis=0, out=row, mode="clip")
            np.add(sums, row, out=sums)
        np.add(sums.T, self.bias.astype(np.float32)[:, np.newaxis], out=out)


def choose(quantizer: Quantizer, n_outputs: int) -> Way:
    """Return the way that should be fastest for codes of this kind."""
    if isinstance(quantizer, LinearQuantizer | FloatQuantizer):
        return "codes"
    looking_up = code_length(quantizer) * (_LOOK_UP + _LOOK_UP_OUTPUT * n_outputs)
    times = quantizer.n_codes if isinstance(quantizer, ResidualQuantizer) else 1
    decoding = quantizer.n_components * (times * _DECODE + _DECODE_OUTPUT * n_outputs)
    return "tables" if looking_up <= decoding else "values"


def first_components(quantizer: Quantizer) -> NDArray[np.intp]:
    """Return the first component that each stored byte speaks of."""
    if quantizer.bits < 8:
        step = 8 // quantizer.bits
    else:
        step = quantizer.n_components // quantizer.n_codes
    return np.arange(0, quantizer.n_components, step)


def components_of_bytes(quantizer: Quantizer) -> NDArray[np.float32]:
    """Return the components where every stored byte is v, for all v; NaN for nodata.

    Not of `rq`, where every byte speaks of all components.
    float32, shape ``(n_components, 256)``.
    """
    n_bytes = len(first_components(quantizer))
    stored = np.broadcast_to(np.arange(256, dtype=np.uint8), (n_bytes, 256))
    codes: Codes = stored.view(quantizer.dtype)
    if quantizer.bits < 8:
        codes = unpack(
            np.ascontiguousarray(stored), cast("Bits", quantizer.bits), quantizer.n_codes
        )
    return quantizer.dequantize(codes)
