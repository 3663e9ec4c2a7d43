"""One contract for every quantizer: codes in range, errors within the step, lasting state."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.errors import EncodingError, InvalidConfigError
from geoembz.quantization import Quantizer, fit_quantizer, quantizer_from_state
from tests.families import KINDS

quick = settings(max_examples=50, deadline=None)
every_kind = pytest.mark.parametrize("kind", KINDS)

# Multiples of 1/64 up to 4096: exact in float32, so every tolerance below is that of the step.
VALUES = st.integers(-(2**18), 2**18).map(lambda number: number / 64)


def samples(
    max_components: int = 4, max_pixels: int = 12
) -> st.SearchStrategy[NDArray[np.float32]]:
    """Small samples ``(n_components, n_pixels)``; constant components are among them."""
    shape = st.tuples(st.integers(1, max_components), st.integers(1, max_pixels))
    return shape.flatmap(lambda chosen: hnp.arrays(np.float32, chosen, elements=VALUES))


def code_range(quantizer: Quantizer) -> tuple[float, float]:
    """Return the smallest and the largest code of a valid pixel."""
    if quantizer.dtype.kind == "f":
        return -np.inf, np.inf
    return (-127, 127) if quantizer.bits == 8 else (0, 2**quantizer.bits - 1)


def tolerance(quantizer: Quantizer, sample: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the largest error of an in-range value: half a step, and rounding."""
    scale = quantizer.arrays().get("scale", np.zeros(len(sample), np.float32)).astype(np.float64)
    rounding = 4 * np.spacing(np.abs(sample).max(axis=1) + np.float32(1))
    return np.asarray(0.5 * scale + rounding)[:, np.newaxis]


@every_kind
@quick
@given(sample=samples())
def test_codes_have_the_declared_type_and_range(kind: str, sample: NDArray[np.float32]) -> None:
    """Codes are of `dtype`, within their bits, and a valid pixel never has the code of nodata."""
    quantizer = fit_quantizer(kind, sample)
    codes: NDArray[Any] = quantizer.quantize(sample)
    low, high = code_range(quantizer)
    assert codes.dtype == quantizer.dtype
    assert codes.shape == sample.shape
    assert (low <= codes).all()
    assert (codes <= high).all()
    assert quantizer.n_components == len(sample)
    assert quantizer.kind == kind
    if quantizer.nodata is not None:
        assert not (codes == quantizer.nodata).any()
        np.array(quantizer.nodata).astype(quantizer.dtype)  # has room for it


@every_kind
@quick
@given(sample=samples())
def test_sampled_values_come_back_within_half_a_step(
    kind: str, sample: NDArray[np.float32]
) -> None:
    """What was in the sample decodes to float32 within half a step (binary: on its own side)."""
    quantizer = fit_quantizer(kind, sample)
    decoded = quantizer.dequantize(quantizer.quantize(sample))
    assert decoded.dtype == np.float32
    if kind == "binary":
        cut = quantizer.arrays()["threshold"].astype(np.float32)[:, np.newaxis]
        np.testing.assert_array_equal(decoded > cut, sample > cut)
        means = decoded.astype(np.float64).mean(axis=1) - sample.astype(np.float64).mean(axis=1)
        np.testing.assert_allclose(means, 0, atol=1e-2)
    else:
        assert (np.abs(decoded.astype(np.float64) - sample) <= tolerance(quantizer, sample)).all()


@every_kind
@quick
@given(sample=samples())
def test_decoded_values_encode_to_the_same_codes(kind: str, sample: NDArray[np.float32]) -> None:
    """Compressing what was decompressed loses nothing more."""
    quantizer = fit_quantizer(kind, sample)
    codes = quantizer.quantize(sample)
    np.testing.assert_array_equal(quantizer.quantize(quantizer.dequantize(codes)), codes)


@every_kind
@quick
@given(sample=samples(), others=st.lists(VALUES, min_size=2, max_size=20))
def test_order_is_kept(kind: str, sample: NDArray[np.float32], others: list[float]) -> None:
    """A larger value never has a smaller code, and never decodes to a smaller value."""
    quantizer = fit_quantizer(kind, sample)
    rising = np.tile(np.sort(np.array(others, np.float32)), (len(sample), 1))
    codes = quantizer.quantize(rising)
    assert (np.diff(codes.astype(np.float64), axis=1) >= 0).all()
    assert (np.diff(quantizer.dequantize(codes), axis=1) >= 0).all()


@every_kind
@quick
@given(sample=samples())
def test_values_outside_the_sample_are_clipped(kind: str, sample: NDArray[np.float32]) -> None:
    """Far values get the outermost codes: none wraps round to the other end or to nodata."""
    quantizer = fit_quantizer(kind, sample)
    far = np.array([[-1e30, 1e30]], np.float32).repeat(len(sample), axis=0)
    codes = quantizer.quantize(far)
    low, high = code_range(quantizer)
    if np.isfinite(low):
        np.testing.assert_array_equal(codes, np.array([[low, high]]).repeat(len(sample), axis=0))
    else:
        np.testing.assert_array_equal(codes, far)


@every_kind
@quick
@given(sample=samples(max_pixels=9), data=st.data())
def test_a_pixel_and_a_component_stand_alone(
    kind: str, sample: NDArray[np.float32], data: st.DataObject
) -> None:
    """Neither other pixels nor later components change a code."""
    quantizer = fit_quantizer(kind, sample)
    codes = quantizer.quantize(sample)
    chosen = data.draw(st.lists(st.integers(0, sample.shape[1] - 1), min_size=1))
    kept = data.draw(st.integers(1, len(sample)))
    first = quantizer.select(kept)
    np.testing.assert_array_equal(quantizer.quantize(sample[:, chosen]), codes[:, chosen])
    np.testing.assert_array_equal(first.quantize(sample[:kept]), codes[:kept])
    np.testing.assert_array_equal(
        first.dequantize(codes[:kept]), quantizer.dequantize(codes)[:kept]
    )


@every_kind
@quick
@given(value=VALUES, n_pixels=st.integers(1, 5))
def test_a_constant_component_is_exact(kind: str, value: float, n_pixels: int) -> None:
    """A component without variance decodes to its one value."""
    sample = np.full((2, n_pixels), value, np.float32)
    quantizer = fit_quantizer(kind, sample)
    np.testing.assert_array_equal(quantizer.dequantize(quantizer.quantize(sample)), sample)


@every_kind
@quick
@given(sample=samples())
def test_state_round_trips_through_json(kind: str, sample: NDArray[np.float32]) -> None:
    """Config survives JSON, and the rebuilt quantizer gives the same codes and values."""
    quantizer = fit_quantizer(kind, sample)
    config = json.loads(json.dumps(quantizer.config()))
    again = quantizer_from_state(config, quantizer.arrays())
    codes = quantizer.quantize(sample)
    np.testing.assert_array_equal(again.quantize(sample), codes)
    np.testing.assert_array_equal(again.dequantize(codes), quantizer.dequantize(codes))
    assert again.config() == quantizer.config()


@every_kind
@quick
@given(data=st.data())
def test_damaged_arrays_are_refused(kind: str, data: st.DataObject) -> None:
    """An array that is missing, misshapen, mistyped or not finite raises `EncodingError`."""
    quantizer = fit_quantizer(kind, np.arange(12, dtype=np.float32).reshape(3, 4))
    arrays = quantizer.arrays()
    if not arrays:
        with pytest.raises(EncodingError):
            quantizer_from_state({**quantizer.config(), "n_components": 0}, {})
        return
    name = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays[name].astype(np.float32)
    damaged = data.draw(
        st.sampled_from(
            [None, array[:2], array.astype(np.float64), array * np.nan, array[..., np.newaxis]]
        )
    )
    changed = {**arrays, name: damaged}
    if damaged is None:
        del changed[name]
    with pytest.raises(EncodingError):
        quantizer_from_state(quantizer.config(), changed)


@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("step", [0.0, -1.0])
def test_steps_that_are_not_positive_are_refused(kind: str, step: float) -> None:
    arrays = {"scale": np.array([1, step], np.float32), "offset": np.zeros(2, np.float32)}
    with pytest.raises(EncodingError, match="positive"):
        quantizer_from_state(
            {"kind": kind, "bits": int(kind[3:]), "law": "linear", "n_components": 2}, arrays
        )


@every_kind
@pytest.mark.parametrize(
    "sample",
    [
        np.zeros((0, 3), np.float32),
        np.zeros((3, 0), np.float32),
        np.zeros(3, np.float32),
        np.array([[0, np.nan]], np.float32),
        np.array([[0, np.inf]], np.float32),
    ],
)
def test_impossible_samples_are_refused(kind: str, sample: NDArray[np.float32]) -> None:
    with pytest.raises(InvalidConfigError, match=kind):
        fit_quantizer(kind, sample)


@every_kind
def test_unknown_options_are_refused(kind: str) -> None:
    with pytest.raises(InvalidConfigError, match="colour"):
        fit_quantizer(kind, np.zeros((1, 2), np.float32), colour="red")


@pytest.mark.parametrize("kind", ["int9", "", None, 8, ["int8"]])
def test_unknown_kinds_are_refused(kind: object) -> None:
    with pytest.raises(EncodingError, match="knows"):
        quantizer_from_state({"kind": kind}, {})


def test_unknown_kinds_cannot_be_fitted() -> None:
    with pytest.raises(InvalidConfigError, match="expected one of"):
        fit_quantizer("int9", np.zeros((1, 2), np.float32))


@every_kind
@pytest.mark.parametrize("size", [1e-38, 1e37], ids=["tiny", "huge"])
def test_extreme_ranges_stay_finite(kind: str, size: float) -> None:
    """Ranges near the ends of float32 give finite values within the range, and no warning."""
    sample = np.linspace(-1, 1, 21, dtype=np.float32)[np.newaxis] * np.float32(size)
    quantizer = fit_quantizer(kind, sample)
    decoded = quantizer.dequantize(quantizer.quantize(sample))
    assert np.abs(decoded).max() <= 1.1 * size
    assert np.abs(decoded / 2 - sample / 2).max() <= 1.1 * size
