"""Pack codes of 1, 2 or 4 bits into bytes along the component axis, and back.

Knows only NumPy: no Zarr, no files, no floats. Bit order is fixed by spec/codecs/pack: component 0
stands in the lowest bits of byte 0, and the last byte is padded with zero bits. Arrays are
component first, so every operation below runs along a contiguous row of pixels.
"""

import math
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError

type Bits = Literal[1, 2, 4]

_WIDTHS: tuple[int, ...] = get_args(Bits.__value__)

# Byte rows are worked on in blocks of at most this many bytes, so that the block being built or
# taken apart stays in the L2 cache; rows are cut only where one alone is longer than this.
_BLOCK_BYTES = 2**18
_ROW_BYTES = 2**17


def packed_length(count: int, bits: Bits) -> int:
    """Return how many bytes hold `count` codes of `bits` bits.

    Raises
    ------
    InvalidConfigError
        If `bits` is not 1, 2 or 4.

    Examples
    --------
    >>> packed_length(13, bits=2)
    4
    """
    if bits not in _WIDTHS:
        raise InvalidConfigError(
            f"packing: a width of {bits} bits; expected one of {_WIDTHS}: "
            "codes of 8 bits and more are stored as they are"
        )
    return -(-count * bits // 8)


def pack(
    codes: NDArray[np.uint8], bits: Bits, *, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Pack unsigned codes along the first axis, least significant bits first.

    Parameters
    ----------
    codes
        uint8, shape ``(count, ...)``, each value in ``[0, 2**bits - 1]``.
    bits
        Width of one code, in bits: 1, 2 or 4.
    out
        uint8, shape ``(ceil(count * bits / 8), ...)``; written and returned in place of a new
        array. It must not overlap `codes`. What it holds after an error is undefined.

    Returns
    -------
    packed
        uint8, shape ``(ceil(count * bits / 8), ...)``; the last byte is padded with zero bits.

    Raises
    ------
    InvalidConfigError
        If a code does not fit in `bits` bits, `codes` is not uint8 or has no axis, or `out` does
        not match.

    References
    ----------
    spec/codecs/pack, section "Bit order".

    Examples
    --------
    >>> pack(np.array([[1, 15], [2, 0], [3, 1]], dtype=np.uint8), bits=4)
    array([[33, 15],
           [ 3,  1]], dtype=uint8)
    """
    _check_input("pack", codes)
    shape = (packed_length(codes.shape[0], bits), *codes.shape[1:])
    packed = _destination("pack", out, shape)
    rows_in, rows_out = _rows("pack", codes), _rows("pack", packed, writable=True)
    codes_per_byte = 8 // bits
    for byte_rows, pixels in _blocks(rows_out.shape):
        code_rows = slice(byte_rows.start * codes_per_byte, byte_rows.stop * codes_per_byte)
        _pack_block(rows_in[code_rows, pixels], bits, rows_out[byte_rows, pixels])
    return packed


def unpack(
    packed: NDArray[np.uint8], bits: Bits, count: int, *, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Unpack what `pack` packed.

    Parameters
    ----------
    packed
        uint8, shape ``(ceil(count * bits / 8), ...)``. Padding bits are not looked at.
    bits
        Width of one code, in bits: 1, 2 or 4.
    count
        Number of codes: the length of the first axis before packing.
    out
        uint8, shape ``(count, ...)``; written and returned in place of a new array. It must not
        overlap `packed`.

    Returns
    -------
    codes
        uint8, shape ``(count, ...)``, each value in ``[0, 2**bits - 1]``.

    Raises
    ------
    InvalidConfigError
        If `count` and the shape of `packed` do not match, `packed` is not uint8 or has no axis, or
        `out` does not match.

    References
    ----------
    spec/codecs/pack, section "Bit order".

    Examples
    --------
    >>> unpack(np.array([[33], [3]], dtype=np.uint8), bits=4, count=3).ravel()
    array([1, 2, 3], dtype=uint8)
    """
    _check_input("unpack", packed)
    if count < 0 or packed.shape[0] != packed_length(count, bits):
        raise InvalidConfigError(
            f"unpack: {packed.shape[0]} bytes per pixel for {count} codes of {bits} bits; "
            f"expected {packed_length(max(count, 0), bits)}: pass the count that was packed"
        )
    codes = _destination("unpack", out, (count, *packed.shape[1:]))
    rows_in, rows_out = _rows("unpack", packed), _rows("unpack", codes, writable=True)
    codes_per_byte = 8 // bits
    for byte_rows, pixels in _blocks(rows_in.shape):
        code_rows = slice(byte_rows.start * codes_per_byte, byte_rows.stop * codes_per_byte)
        _unpack_block(rows_in[byte_rows, pixels], bits, rows_out[code_rows, pixels])
    return codes


def _pack_block(codes: NDArray[np.uint8], bits: Bits, out: NDArray[np.uint8]) -> None:
    """Build the bytes from their highest code down: shift what is there, put the next one under."""
    limit, codes_per_byte = 2**bits - 1, 8 // bits
    if (largest := int(codes.max())) > limit:
        raise InvalidConfigError(
            f"pack: code {largest} exceeds {limit}, the largest of {bits} bits; "
            "quantize to that width first"
        )
    # NumPy multiplies uint8 several times faster than it shifts them to the left.
    shift = np.uint8(2**bits)
    out[:] = 0
    for position in reversed(range(codes_per_byte)):
        layer = codes[position::codes_per_byte]
        if position < codes_per_byte - 1:
            np.multiply(out, shift, out=out)
        np.bitwise_or(out[: len(layer)], layer, out=out[: len(layer)])


def _unpack_block(packed: NDArray[np.uint8], bits: Bits, out: NDArray[np.uint8]) -> None:
    mask, codes_per_byte = np.uint8(2**bits - 1), 8 // bits
    for position in range(codes_per_byte):
        layer = out[position::codes_per_byte]
        np.right_shift(packed[: len(layer)], np.uint8(position * bits), out=layer)
        if position < codes_per_byte - 1:  # the highest code has nothing above it
            np.bitwise_and(layer, mask, out=layer)


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Cut packed rows into cache-sized blocks of some rows by some pixels."""
    n_rows, n_pixels = shape
    width = max(1, min(n_pixels, _ROW_BYTES))
    height = _BLOCK_BYTES // width
    for row in range(0, n_rows, height):
        for pixel in range(0, n_pixels, width):
            yield slice(row, min(row + height, n_rows)), slice(pixel, pixel + width)


def _rows(where: str, array: NDArray[np.uint8], *, writable: bool = False) -> NDArray[np.uint8]:
    """Flatten all axes but the first; a destination must be viewed, never copied."""
    shape = (array.shape[0], math.prod(array.shape[1:]))
    try:
        return array.reshape(shape, copy=False if writable else None)
    except ValueError as error:
        raise InvalidConfigError(
            f"{where}: out has shape {array.shape} and strides {array.strides}; expected axes "
            "after the first that lie together in memory: pass a contiguous array"
        ) from error


def _check_input(where: str, array: NDArray[np.uint8]) -> None:
    if array.dtype != np.uint8 or array.ndim < 1:
        raise InvalidConfigError(
            f"{where}: {array.dtype} of shape {array.shape}; expected uint8 with the components "
            "along the first axis"
        )


def _destination(
    where: str, out: NDArray[np.uint8] | None, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    if out is None:
        return np.empty(shape, dtype=np.uint8)
    if out.dtype != np.uint8 or out.shape != shape:
        raise InvalidConfigError(
            f"{where}: out is {out.dtype} of shape {out.shape}; expected uint8 of shape {shape}"
        )
    return out
