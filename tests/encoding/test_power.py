"""The signed power law: lossless on its own grid, clipped before the cast."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.encoding._quantization import PowerQuantizer, fit_quantizer, quantizer_from_state
from geoembz.errors import EncodingError, InvalidConfigError

POINTS = Path(__file__).parents[3] / "shared/data/aef_dynamicworld/aef_dw_points.npz"
quick = settings(max_examples=30, deadline=None)
VALID_CODES = np.arange(-127, 128, dtype=np.int8)[np.newaxis]


def test_golden_values_of_the_alphaearth_law() -> None:
    """Codes 0, ±1 and ±127 stand for these float32 values, and come back from them."""
    codes = np.array([[0, 1, -1, 127, -127]], dtype=np.int8)
    values = np.array([[0.0, 6.151480e-05, -6.151480e-05, 0.9921722, -0.9921722]], np.float32)
    quantizer = PowerQuantizer(1)
    np.testing.assert_allclose(quantizer.dequantize(codes), values, rtol=1e-6)
    np.testing.assert_array_equal(quantizer.quantize(values), codes)


@quick
@given(st.floats(0.25, 4), st.floats(1, 1000))
def test_every_code_survives(exponent: float, factor: float) -> None:
    """Values on the grid give back their codes, bit for bit, whatever the law."""
    quantizer = PowerQuantizer(1, exponent, factor)
    np.testing.assert_array_equal(
        quantizer.quantize(quantizer.dequantize(VALID_CODES)), VALID_CODES
    )


def test_float64_values_of_the_grid_give_their_codes() -> None:
    """Earth Engine exports are float64; rounding them to float32 loses no code."""
    exact = np.sign(VALID_CODES) * (np.abs(VALID_CODES.astype(np.float64)) / 127.5) ** 2
    np.testing.assert_array_equal(PowerQuantizer(1).quantize(exact.astype(np.float32)), VALID_CODES)


@quick
@given(
    hnp.arrays(
        np.float32, (2, 30), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )
)
def test_nothing_reaches_nodata(components: NDArray[np.float32]) -> None:
    """±1 and everything beyond are clipped to ±127, never wrapped to −128; signs are kept."""
    codes = PowerQuantizer(2).quantize(components)
    assert not (codes == -128).any()
    assert (codes[components >= 1] == 127).all()
    assert (codes[components <= -1] == -127).all()
    assert (np.sign(codes.astype(np.int16)) * np.sign(components) >= 0).all()


@quick
@given(hnp.arrays(np.float32, (1, 30), elements=st.floats(-0.9921875, 0.9921875, width=32)))
def test_error_is_at_most_half_a_step_of_the_root(components: NDArray[np.float32]) -> None:
    """In the law's own space, where steps are equal, a value moves by half a step at most."""
    quantizer = PowerQuantizer(1)
    decoded = quantizer.dequantize(quantizer.quantize(components))
    root = np.sqrt(np.abs(components.astype(np.float64))) * 127.5
    assert (np.abs(root - np.sqrt(np.abs(decoded)) * 127.5) <= 0.5 + 1e-4).all()


def test_nodata_decodes_to_nan() -> None:
    """−128 stands for no value."""
    assert np.isnan(PowerQuantizer(1).dequantize(np.array([[-128]], dtype=np.int8))).all()


@pytest.mark.realdata
@pytest.mark.skipif(not POINTS.exists(), reason="needs ../shared/data/aef_dynamicworld")
def test_real_alphaearth_points_give_their_codes() -> None:
    """The published codes come back from the published values, all 184,320 of them."""
    with np.load(POINTS) as archive:
        codes, values = archive["q_int8"].T, archive["embeddings"].T
    quantizer = PowerQuantizer.fit(values)
    np.testing.assert_array_equal(quantizer.quantize(values), codes)
    np.testing.assert_allclose(quantizer.dequantize(codes), values, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"exponent": 0.0}, {"factor": -1.0}, {"exponent": 99.0}, {"factor": np.nan}],
)
def test_laws_without_sense_are_refused(options: dict[str, Any]) -> None:
    """Exponents and factors whose values are not distinct float32 numbers."""
    with pytest.raises(InvalidConfigError):
        fit_quantizer("power", np.zeros((1, 1), np.float32), **options)


@pytest.mark.parametrize(
    "change",
    [
        {"exponent": None},
        {"exponent": "2"},
        {"exponent": 1e9},
        {"factor": np.inf},
        {"factor": -127.5},
    ],
)
def test_stored_laws_without_sense_are_refused(change: dict[str, Any]) -> None:
    """Damaged or invented state gives an EncodingError and nothing else."""
    with pytest.raises(EncodingError):
        quantizer_from_state(PowerQuantizer(3).config() | change, {})


def test_a_huge_claim_allocates_nothing() -> None:
    """The longest vector that is believed costs no memory until pixels come."""
    claim = PowerQuantizer(1).config() | {"n_components": 65_536}
    assert quantizer_from_state(claim, {}).n_components == 65_536
