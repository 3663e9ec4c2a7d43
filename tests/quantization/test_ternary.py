"""Ternary codes: thresholds, means of the states, the fourth state."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.encoding._quantization import TernaryQuantizer, fit_quantizer, quantizer_from_state
from geoembz.encoding._quantization.thresholds import GAUSSIAN_WIDTH
from geoembz.errors import EncodingError, InvalidConfigError

samples = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(3, 60)),
    elements=st.floats(-1e6, 1e6, width=32),
)


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
            assert book[state] == pytest.approx(mean, rel=1e-5, abs=1e-5 * float(np.abs(row).max()))


@given(samples, st.sampled_from(TernaryQuantizer.methods))
def test_constants_survive(sample: NDArray[np.float32], method: str) -> None:
    """A component that never varies decodes to its value, to float32's rounding."""
    constant = np.broadcast_to(sample[:, :1], sample.shape).copy()
    quantizer = TernaryQuantizer.fit(constant, method=method)
    decoded = quantizer.dequantize(quantizer.quantize(constant))
    np.testing.assert_allclose(decoded, constant, rtol=1e-6)


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


@given(samples)
def test_state_round_trips_and_the_fourth_is_nodata(sample: NDArray[np.float32]) -> None:
    """`config` and `arrays` are the whole state; a prefix is valid; code 3 is NaN."""
    first = TernaryQuantizer.fit(sample)
    second = TernaryQuantizer.from_state(first.config(), first.arrays())
    codes = first.quantize(sample)
    np.testing.assert_array_equal(second.quantize(sample), codes)
    np.testing.assert_array_equal(first.select(1).quantize(sample[:1]), codes[:1])
    nodata = np.full((first.n_components, 1), first.nodata, dtype=np.uint8)
    assert np.isnan(second.dequantize(nodata)).all()


@pytest.mark.parametrize(
    ("sample", "options"),
    [
        (np.zeros((1, 2)), {}),
        (np.zeros((1, 0)), {}),
        (np.array([[0, 1, np.nan]]), {}),
        (np.zeros((1, 9)), {"method": "quartiles"}),
        (np.zeros((1, 9)), {"width": -1.0}),
        (np.zeros((1, 9)), {"width": np.nan}),
        (np.zeros((1, 9)), {"bits": 2}),
    ],
)
def test_unfit_samples_and_options_are_refused(
    sample: NDArray[np.float64], options: dict[str, Any]
) -> None:
    """Too few pixels, values that are not finite, unknown options."""
    with pytest.raises(InvalidConfigError):
        fit_quantizer("ternary", sample.astype(np.float32), **options)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": None},
        {"codebook": None},
        {"threshold": np.zeros((2, 3), np.float32)},
        {"codebook": np.zeros((3, 3), np.float32)},
        {"codebook": np.zeros((2, 3))},
        {"threshold": np.full((2, 2), np.nan, np.float32)},
        {"threshold": np.array([[1, 0], [0, 1]], np.float32)},
        {"n_components": 3},
        {"codebook": np.array([[1, 0, 2], [0, 1, 2]], np.float32)},
        {"law": "power"},
    ],
)
def test_hostile_state_is_refused(change: dict[str, Any]) -> None:
    """Damaged or invented state gives an EncodingError and nothing else."""
    good = {"threshold": np.zeros((2, 2), np.float32), "codebook": np.zeros((2, 3), np.float32)}
    config = {"kind": "ternary", "bits": 2, "law": "codebook", "n_components": 2}
    arrays = {
        name: array
        for name, array in (good | change).items()
        if array is not None and name not in config
    }
    config |= {name: text for name, text in change.items() if name in config}
    with pytest.raises(EncodingError):
        quantizer_from_state(config, arrays)
