"""Unit vectors: of length 1, of the same direction, whatever stands beside them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.encoding._projection import scale_to_unit

VALUES = st.floats(-(2.0**100), 2.0**100, width=32)
BLOCKS = hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=VALUES)


@given(BLOCKS)
def test_vectors_get_length_1_and_keep_their_direction(values: NDArray[np.float32]) -> None:
    """Lengths are 1 to float32's rounding; vectors of zeros stay as they are."""
    came = scale_to_unit(values).astype(np.float64)
    length = np.linalg.norm(values.astype(np.float64), axis=0)
    unit = values / np.where(length == 0, 1, length)
    np.testing.assert_allclose(came, unit, rtol=1e-6, atol=1.5e-45)
    np.testing.assert_allclose(np.linalg.norm(came, axis=0), length > 0, rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.data())
def test_a_vector_stands_alone(seed: int, dimension: int, data: st.DataObject) -> None:
    """Other columns, their number and the order in memory change no bit."""
    values = np.random.default_rng(seed).normal(size=(dimension, 40)).astype(np.float32)
    chosen = data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=9))
    whole = scale_to_unit(values)
    np.testing.assert_array_equal(scale_to_unit(values[:, chosen]), whole[:, chosen])
    np.testing.assert_array_equal(scale_to_unit(np.asfortranarray(values)), whole)


@given(BLOCKS, st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_what_is_not_finite_becomes_nan(
    values: NDArray[np.float32], bad: float, data: st.DataObject
) -> None:
    """One bad component makes its whole vector NaN, and no other one."""
    row, column = (data.draw(st.integers(0, size - 1)) for size in values.shape)
    clean = scale_to_unit(values)
    values = values.copy()
    values[row, column] = bad
    came = scale_to_unit(values)
    assert np.isnan(came[:, column]).all()
    np.testing.assert_array_equal(np.delete(came, column, 1), np.delete(clean, column, 1))
