"""Packing: every sequence of codes survives, and its bits lie where the specification says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.encoding import _packing as packing
from geoembz.encoding._packing import Bits, pack, packed_length, unpack
from geoembz.errors import InvalidConfigError

WIDTHS: tuple[Bits, ...] = (1, 2, 4)
widths = st.sampled_from(WIDTHS)


@st.composite
def coded(draw: st.DrawFn, max_dims: int = 3) -> tuple[NDArray[np.uint8], Bits]:
    """Codes of a random width, odd lengths, empty axes and several pixel axes included."""
    bits = draw(widths)
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=max_dims, min_side=0, max_side=19))
    values = st.integers(0, 2**bits - 1)
    return draw(hnp.arrays(np.uint8, shape, elements=values)), bits


def reference_pack(codes: NDArray[np.uint8], bits: Bits) -> NDArray[np.uint8]:
    """Pack by Python integers: bit b of component i is bit ``i*bits + b`` of a number."""
    n_bytes = (codes.shape[0] * bits + 7) // 8
    packed = np.zeros((n_bytes, *codes.shape[1:]), dtype=np.uint8)
    for pixel in np.ndindex(codes.shape[1:]):
        number = sum(int(codes[i, *pixel]) << (i * bits) for i in range(codes.shape[0]))
        packed[:, *pixel] = list(number.to_bytes(n_bytes, "little"))
    return packed


@given(coded())
def test_unpack_inverts_pack(case: tuple[NDArray[np.uint8], Bits]) -> None:
    """Every array of codes survives the round trip, whatever its length and shape."""
    codes, bits = case
    np.testing.assert_array_equal(unpack(pack(codes, bits), bits, len(codes)), codes)


@given(coded(max_dims=2))
def test_bit_order_is_that_of_a_little_endian_number(case: tuple[NDArray[np.uint8], Bits]) -> None:
    """Packing agrees with the slow reference, bit for bit, padding included."""
    codes, bits = case
    np.testing.assert_array_equal(pack(codes, bits), reference_pack(codes, bits))


@given(coded(), st.integers(1, 40), st.integers(1, 40))
def test_the_block_size_does_not_show(
    case: tuple[NDArray[np.uint8], Bits], block_bytes: int, row_bytes: int
) -> None:
    """Blocks are a matter of speed: any size of them packs and unpacks the same bytes."""
    codes, bits = case
    expected = pack(codes, bits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_BLOCK_BYTES", max(block_bytes, row_bytes))
        patch.setattr(packing, "_ROW_BYTES", row_bytes)
        np.testing.assert_array_equal(pack(codes, bits), expected)
        np.testing.assert_array_equal(unpack(expected, bits, len(codes)), codes)


@given(widths, st.integers(1, 33))
def test_the_last_byte_is_padded_with_zero_bits(bits: Bits, count: int) -> None:
    """Even of the largest codes, nothing stands above the last one."""
    packed = pack(np.full((count, 2), 2**bits - 1, dtype=np.uint8), bits)
    used_bits = count * bits - 8 * (len(packed) - 1)
    np.testing.assert_array_equal(packed[-1], 2**used_bits - 1)
    assert len(packed) == packed_length(count, bits)


@given(widths, st.integers(1, 15))
def test_padding_bits_are_not_read(bits: Bits, count: int) -> None:
    """Bits above the last code never reach a code."""
    packed = np.full((packed_length(count, bits), 3), 255, dtype=np.uint8)
    np.testing.assert_array_equal(unpack(packed, bits, count), np.full((count, 3), 2**bits - 1))


@pytest.mark.parametrize("bits", WIDTHS)
def test_rows_longer_than_a_block(bits: Bits) -> None:
    """A raster wider than one block, read through a strided view and written into one."""
    n_pixels = packing._ROW_BYTES + 3
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**bits, (9, 2 * n_pixels), dtype=np.uint8)[:, ::2]
    packed = np.full((packed_length(9, bits), n_pixels + 2), 7, dtype=np.uint8)
    back = np.full((9, n_pixels + 2), 7, dtype=np.uint8)
    assert pack(codes, bits, out=packed[:, 1:-1]).base is packed
    unpack(packed[:, 1:-1], bits, 9, out=back[:, 1:-1])
    np.testing.assert_array_equal(back[:, 1:-1], codes)
    assert (packed[:, [0, -1]] == 7).all()
    assert (back[:, [0, -1]] == 7).all()


@given(widths, st.data())
def test_a_code_that_does_not_fit_is_refused(bits: Bits, data: st.DataObject) -> None:
    """One too large code anywhere is found, and named with the limit."""
    codes = np.zeros((5, 4), dtype=np.uint8)
    place = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 3)))
    codes[place] = data.draw(st.integers(2**bits, 255))
    with pytest.raises(InvalidConfigError, match=f"code {codes[place]} exceeds {2**bits - 1}"):
        pack(codes, bits)


@pytest.mark.parametrize("count", [-1, 0, 8, 17])
def test_a_count_that_does_not_match_is_refused(count: int) -> None:
    """Two bytes hold 9 to 16 codes of one bit, and no other number."""
    with pytest.raises(InvalidConfigError, match=f"2 bytes per pixel for {count} codes"):
        unpack(np.zeros((2, 4), dtype=np.uint8), 1, count)


@pytest.mark.parametrize("bits", [0, 3, 8])
def test_other_widths_are_refused(bits: int) -> None:
    """Only 1, 2 and 4 bits divide a byte into codes."""
    with pytest.raises(InvalidConfigError, match=f"{bits} bits"):
        pack(np.zeros((2, 4), dtype=np.uint8), bits)  # type: ignore[arg-type]


def test_arrays_of_another_kind_are_refused() -> None:
    """A dtype that could hide a lossy cast, and arrays without a component axis."""
    with pytest.raises(InvalidConfigError, match="int16"):
        pack(np.zeros((2, 4), dtype=np.int16), 4)
    with pytest.raises(InvalidConfigError, match="first axis"):
        unpack(np.array(0, dtype=np.uint8), 4, 1)


def test_an_out_that_does_not_match_is_refused() -> None:
    """Wrong shape, wrong dtype, or pixels that no view can flatten."""
    codes = np.zeros((4, 3, 5), dtype=np.uint8)
    with pytest.raises(InvalidConfigError, match=r"expected uint8 of shape \(2, 3, 5\)"):
        pack(codes, 4, out=np.zeros((2, 15), dtype=np.uint8))
    with pytest.raises(InvalidConfigError, match="out is int8"):
        pack(codes, 4, out=np.zeros((2, 3, 5), dtype=np.int8))
    with pytest.raises(InvalidConfigError, match="contiguous"):
        pack(codes, 4, out=np.zeros((2, 3, 6), dtype=np.uint8)[:, :, :5])
