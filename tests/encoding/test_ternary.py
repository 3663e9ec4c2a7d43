"""Ternary codes: thresholds, means of the states, the fourth state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.encoding._quantization import TernaryQuantizer, fit_quantizer
from geoembz.encoding._quantization.thresholds import GAUSSIAN_WIDTH
from geoembz.errors import InvalidConfigError

SMALLEST = np.finfo(np.float32).smallest_subnormal
"""A mean between two of these is rounded to one of them."""

quick = settings(max_examples=30, deadline=None)
samples = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(3, 60)),
    elements=st.floats(-1e6, 1e6, width=32),
)


@quick
@given(samples, st.sampled_from(TernaryQuantizer.methods))
def test_states_decode_to_the_mean_of_their_values(
    sample: NDArray[np.float32], method: str
) -> None:
    """Every occupied state stands for its values; codes ascend with values."""
    quantizer = TernaryQuantizer.fit(sample, method=method)
    codes = quantizer.quantize(sample)
    assert np.isin(codes, [0, 1, 2]).all()
    for row, states, book in zip(sample, codes, quantizer.codebook, strict=True):
        order = np.argsort(row)
        assert (np.diff(states[order].astype(int)) >= 0).all()
        for state in np.unique(states):
            mean = row[states == state].mean(dtype=np.float64)
            rounding = 1e-5 * float(np.abs(row).max()) + float(SMALLEST)
            assert book[state] == pytest.approx(mean, rel=1e-5, abs=rounding)


def test_the_default_width_is_the_best_for_a_gaussian() -> None:
    """Max (1960): 0.190 of the variance is lost with three levels."""
    sample = np.random.default_rng(0).standard_normal((1, 100_000)).astype(np.float32)

    def lost(width: float) -> float:
        quantizer = TernaryQuantizer.fit(sample, width=width)
        decoded = quantizer.dequantize(quantizer.quantize(sample))
        return float(np.square(sample - decoded).mean())

    assert lost(GAUSSIAN_WIDTH) == pytest.approx(0.190, abs=0.003)
    assert lost(GAUSSIAN_WIDTH) < min(lost(0.4), lost(0.8))


def test_tertiles_hold_a_third_each() -> None:
    """Equal shares, whatever the distribution."""
    sample = np.exp(np.random.default_rng(0).standard_normal((2, 900))).astype(np.float32)
    codes = TernaryQuantizer.fit(sample, method="tertiles").quantize(sample)
    counts = [np.bincount(row, minlength=3) for row in codes]
    np.testing.assert_allclose(counts, 300, atol=1)


def test_the_fourth_state_is_nodata() -> None:
    quantizer = TernaryQuantizer.fit(np.array([[0.0, 1.0, 2.0]], dtype=np.float32))
    assert np.isnan(quantizer.dequantize(np.array([[3]], dtype=np.uint8))).all()


@pytest.mark.parametrize("width", [-1.0, np.nan])
def test_impossible_widths_are_refused(width: float) -> None:
    with pytest.raises(InvalidConfigError, match="width"):
        fit_quantizer("ternary", np.zeros((1, 9), np.float32), width=width)
