"""One contract for every quantizer: codes in range, errors within the step, lasting state."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.encoding._quantization import (
    BITS,
    METHODS,
    LinearQuantizer,
    Quantizer,
    fit_quantizer,
    quantizer_class,
    quantizer_from_state,
)
from geoembz.errors import EncodingError, InvalidConfigError
from tests.rows import rows

type Floats = NDArray[np.float32]

quick = settings(max_examples=25, deadline=None)
COUNTED = {"pq": ("product", "n_subquantizers"), "rq": ("residual", "n_stages")}
"""Quantizers whose bytes stand for several components: their law, and what counts the bytes."""
SCALARS = [
    (kind, method)
    for kind in BITS
    if kind not in COUNTED
    for method in METHODS.get(kind) or (None,)
]
"""Quantizers of single components, by every method."""
DEFAULT = [
    *(("int8", "minmax"), ("int4", "minmax"), ("int8", "lloyd"), ("int4", "quantile")),
    *(("ternary", "tertiles"), ("binary", "median"), ("power", None), ("float16", None)),
]
"""One of each class, wide and packed; the others differ in numbers that no test looks at."""


def label(member: tuple[str, str | None]) -> str:
    return "-".join(word for word in member if word)


def members(chosen: list[tuple[str, str | None]]) -> pytest.MarkDecorator:
    """Run over quantizers, all but the default ones only with the slow tests."""
    default = [member for member in (*DEFAULT, ("pq", None), ("rq", None)) if member in chosen]
    return pytest.mark.parametrize(("kind", "method"), rows(chosen, default, label))


every_member = members([*SCALARS, ("pq", None), ("rq", None)])
every_scalar = members(SCALARS)
every_fitted = members([one for one in SCALARS if one[0] not in {"power", "float16"}])
"""Quantizers whose codes span the sample."""

# Multiples of 1/64 up to 4096: exact in float32, so every tolerance below is that of the step.
VALUES = st.integers(-(2**18), 2**18).map(lambda number: number / 64)


def samples(max_components: int = 4, max_pixels: int = 12) -> st.SearchStrategy[Floats]:
    """Small samples ``(n_components, n_pixels)``; constant components are among them."""
    shape = st.tuples(st.integers(1, max_components), st.integers(1, max_pixels))
    return shape.flatmap(lambda chosen: hnp.arrays(np.float32, chosen, elements=VALUES))


def fit(kind: str, method: str | None, sample: Floats) -> Quantizer:
    """Fit on the sample, repeated until there are enough pixels for 256 codewords."""
    repeated = np.tile(sample, (1, -(-256 // sample.shape[1])))
    options = {COUNTED[kind][1]: len(sample)} if kind in COUNTED else {}
    return fit_quantizer(kind, repeated, method, **options)


def gaussian(n_components: int = 4, n_pixels: int = 400) -> Floats:
    """Components of falling spread, off centre, most of them between −1 and 1."""
    rng = np.random.default_rng(3)
    spread = np.geomspace(0.3, 0.03, n_components)[:, np.newaxis]
    return ((rng.normal(size=(n_components, n_pixels)) + 0.5) * spread).astype(np.float32)


def code_range(quantizer: Quantizer) -> tuple[float, float]:
    """Return the smallest and the largest code of a valid pixel."""
    if quantizer.dtype.kind == "f":
        return -np.inf, np.inf
    if quantizer.dtype == np.int8:
        return -127, 127
    return 0, 2**quantizer.bits - (1 if quantizer.nodata is None else 2)


def levels(quantizer: Quantizer) -> Floats:
    """Return the value of every code, ``(n_components, n_codes)``."""
    low, high = code_range(quantizer)
    codes = np.arange(low, high + 1).astype(quantizer.dtype)
    return quantizer.dequantize(np.tile(codes, (quantizer.n_components, 1)))


def rounding(sample: Floats) -> NDArray[np.float64]:
    """Return some units in the last place of each component, ``(n_components, 1)``."""
    return np.asarray(4 * np.spacing(np.abs(sample).max(axis=1) + np.float32(1)))[:, np.newaxis]


def largest_error(quantizer: Quantizer, sample: Floats) -> NDArray[np.float64]:
    """Return the largest absolute error of each component."""
    decoded = quantizer.dequantize(quantizer.quantize(sample)).astype(np.float64)
    return np.asarray(np.abs(decoded - sample).max(axis=1))


def check_codes(quantizer: Quantizer, sample: Floats) -> None:
    """Codes are of `dtype`, within their bits, and a valid pixel never has the code of nodata."""
    codes: NDArray[Any] = quantizer.quantize(sample)
    low, high = code_range(quantizer)
    assert codes.dtype == quantizer.dtype
    assert codes.shape == (quantizer.n_codes, sample.shape[1])
    assert (low <= codes).all()
    assert (codes <= high).all()
    assert (quantizer.n_components, quantizer.bits) == (len(sample), BITS[quantizer.kind])
    if quantizer.nodata is not None:
        assert not (codes == quantizer.nodata).any()
        np.array(quantizer.nodata).astype(quantizer.dtype)  # has room for it


def check_memory(quantizer: Quantizer, sample: Floats) -> None:
    """Given memory receives the same numbers, and the sample is left as it was."""
    before = sample.copy()
    codes = quantizer.quantize(sample)
    np.testing.assert_array_equal(sample, before)
    into = np.empty_like(codes)
    quantizer.quantize_in_place(sample.copy(), into)
    np.testing.assert_array_equal(into, codes)
    out = np.full((quantizer.n_components, 2 * sample.shape[1]), -1, np.float32)[:, ::2]
    assert quantizer.dequantize(codes, out) is out
    np.testing.assert_array_equal(out, quantizer.dequantize(codes))


def check_pixels_stand_alone(quantizer: Quantizer, sample: Floats) -> None:
    """Other pixels, their number and their order do not change a code."""
    codes = quantizer.quantize(sample)
    for chosen in (slice(0, 1), slice(None, None, -1), slice(1, None, 3)):
        np.testing.assert_array_equal(quantizer.quantize(sample[:, chosen]), codes[:, chosen])


def check_state(quantizer: Quantizer, sample: Floats) -> None:
    """Config survives JSON, and the rebuilt quantizer gives the same codes and values."""
    config = json.loads(json.dumps(quantizer.config()))
    again = quantizer_from_state(config, quantizer.arrays())
    codes = quantizer.quantize(sample)
    np.testing.assert_array_equal(again.quantize(sample), codes)
    np.testing.assert_array_equal(again.dequantize(codes), quantizer.dequantize(codes))
    assert again.config() == quantizer.config()
    assert repr(again) == repr(quantizer)
    shapes = {name: array.shape for name, array in quantizer.arrays().items()}
    assert quantizer_class(config).shapes(config) == shapes


def check_fill_value(quantizer: Quantizer, sample: Floats) -> None:
    """Tell invalid vectors from others by their stored numbers, where codes have room for them."""
    fill = np.array([quantizer.fill_value]).astype(quantizer.dtype)
    assert quantizer.is_nodata(fill).all() == (quantizer.nodata is not None)
    if quantizer.bits >= 8:
        assert not quantizer.is_nodata(quantizer.quantize(sample)).any()


def check_components_stand_alone(quantizer: Quantizer, sample: Floats) -> None:
    """Give a prefix of components the same codes and values by a quantizer of its own."""
    codes = quantizer.quantize(sample)
    for kept in (1, len(sample)):
        first = quantizer.select(kept)
        np.testing.assert_array_equal(first.quantize(sample[:kept]), codes[:kept])
        values = quantizer.dequantize(codes)[:kept]
        np.testing.assert_array_equal(first.dequantize(codes[:kept]), values)


def check_decoded_values_keep_their_codes(quantizer: Quantizer, sample: Floats) -> None:
    """Compressing what was decompressed loses nothing more."""
    codes = quantizer.quantize(sample)
    np.testing.assert_array_equal(quantizer.quantize(quantizer.dequantize(codes)), codes)


def check_order(quantizer: Quantizer, sample: Floats) -> None:
    """Never give a larger value a smaller code, nor decode it to a smaller value."""
    rising = np.sort(np.concatenate([sample, sample * 2 + 1, -sample], axis=1), axis=1)
    codes = quantizer.quantize(rising)
    assert (np.diff(codes.astype(np.float64), axis=1) >= 0).all()
    assert (np.diff(quantizer.dequantize(codes), axis=1) >= 0).all()


def check_clipping(quantizer: Quantizer, sample: Floats) -> None:
    """Far values get the outermost values: none wraps round to the other end or to nodata."""
    far = np.array([[-1e30, 1e30]], np.float32).repeat(len(sample), axis=0)
    decoded = quantizer.dequantize(quantizer.quantize(far))
    if quantizer.dtype.kind != "f":
        np.testing.assert_array_equal(decoded, levels(quantizer)[:, [0, -1]])
    elif quantizer.kind == "float16":
        np.testing.assert_array_equal(decoded, np.sign(far) * 65504)
    else:
        np.testing.assert_array_equal(decoded, far)


CHECKS = [check_codes, check_memory, check_pixels_stand_alone, check_state, check_fill_value]
"""What every quantizer promises."""
SCALAR_CHECKS = [
    *(check_components_stand_alone, check_decoded_values_keep_their_codes, check_order),
    check_clipping,
]
"""What those of single components promise beside."""


@every_member
@settings(max_examples=40, deadline=None)
@given(sample=samples())
def test_contract(kind: str, method: str | None, sample: Floats) -> None:
    """Every quantizer passes every check; the traceback names the one that fails."""
    quantizer = fixed_or_fit(kind, method, sample)
    assert quantizer.kind == kind
    for check in CHECKS if kind in COUNTED else (*CHECKS, *SCALAR_CHECKS):
        check(quantizer, sample)


def fixed_or_fit(kind: str, method: str | None, sample: Floats) -> Quantizer:
    """Fit; but take centres as they come, since k-means is slow."""
    if kind not in COUNTED:
        return fit(kind, method, sample)
    rng = np.random.default_rng(0)
    law, count = COUNTED[kind]
    config = {"kind": kind, "law": law, "n_components": len(sample), count: 1}
    centres = rng.normal(size=(1, 256, len(sample))).astype(np.float32)
    return quantizer_from_state(config, {"codebook": centres})


@every_fitted
@quick
@given(sample=samples())
def test_sampled_values_come_back_as_the_nearest_value(
    kind: str, method: str | None, sample: Floats
) -> None:
    """No other code is nearer; by thresholds, values come back on their own side of them."""
    quantizer = fit(kind, method, sample)
    decoded = quantizer.dequantize(quantizer.quantize(sample))
    assert decoded.dtype == np.float32
    if kind == "float32":
        np.testing.assert_array_equal(decoded, sample)
    elif kind in {"binary", "ternary"}:
        cuts = quantizer.arrays()["threshold"].astype(np.float32).reshape(len(sample), -1, 1)
        sides = (sample[:, np.newaxis] > cuts).sum(axis=1)
        np.testing.assert_array_equal(quantizer.quantize(sample), sides)
        means = decoded.astype(np.float64).mean(axis=1) - sample.astype(np.float64).mean(axis=1)
        np.testing.assert_allclose(means, 0, atol=1e-2)
    else:
        distances = np.abs(levels(quantizer)[:, np.newaxis] - sample[..., np.newaxis])
        assert (np.abs(decoded - sample) <= distances.min(axis=2) + rounding(sample)).all()


@pytest.mark.parametrize("kind", ["int8", "int4", "int2"])
@quick
@given(sample=samples())
def test_even_steps_are_off_by_half_a_step_at_most(kind: str, sample: Floats) -> None:
    quantizer = fit(kind, "minmax", sample)
    half = quantizer.arrays()["scale"].astype(np.float64)[:, np.newaxis] / 2
    bound = (half + rounding(sample))[:, 0]
    assert (largest_error(quantizer, sample) <= bound).all()


def test_float16_keeps_eleven_bits() -> None:
    """Half a unit in the last of 11 bits; what is beyond the range is clipped, not infinite."""
    sample = gaussian()
    error = np.abs(fit("float16", None, sample).dequantize(
        fit("float16", None, sample).quantize(sample)) - sample)  # fmt: skip
    assert (error <= np.abs(sample) * 2**-11 + 2**-25).all()


def test_errors_fall_with_bits() -> None:
    """Each wider code has a smaller squared error, in every component; even steps are smaller."""
    sample = gaussian()

    def error(kind: str, method: str | None) -> NDArray[np.float64]:
        quantizer = fit(kind, method, sample)
        decoded = quantizer.dequantize(quantizer.quantize(sample)).astype(np.float64)
        return np.asarray(np.square(decoded - sample).mean(axis=1))

    for method in METHODS["int8"]:
        assert (error("int8", method) < error("int4", method)).all()
        assert (error("int4", method) < error("int2", method)).all()
    assert (error("ternary", None) < error("binary", None)).all()
    steps = [
        fit(kind, "minmax", sample).arrays()["scale"].astype(np.float64)
        for kind in ("int8", "int4", "int2")
    ]
    assert (steps[0] < steps[1]).all()
    assert (steps[1] < steps[2]).all()


@every_fitted
@quick
@given(value=VALUES, n_pixels=st.integers(1, 5))
def test_a_constant_component_is_exact(
    kind: str, method: str | None, value: float, n_pixels: int
) -> None:
    """A component without variance decodes to its one value."""
    sample = np.full((2, n_pixels), value, np.float32)
    quantizer = fit(kind, method, sample)
    np.testing.assert_array_equal(quantizer.dequantize(quantizer.quantize(sample)), sample)


@pytest.mark.parametrize("kind", sorted(COUNTED))
def test_constant_vectors_are_exact_in_groups(kind: str) -> None:
    """K-means on one distinct point, without a warning."""
    sample = np.full((4, 300), 2.5, np.float32)
    options: dict[str, Any] = {COUNTED[kind][1]: 2}
    quantizer = fit_quantizer(kind, sample, **options)
    np.testing.assert_array_equal(quantizer.dequantize(quantizer.quantize(sample)), sample)


@pytest.mark.parametrize(
    ("kind", "filled"),
    [("int8", -128), ("power", -128), ("ternary", 255), ("int4", 0), ("int2", 0), ("binary", 0)],
)
def test_fill_values(kind: str, filled: int) -> None:
    """Nodata in every code of a byte; 0 where there is no code for it."""
    quantizer = fit(kind, None, gaussian())
    assert quantizer.fill_value == filled


@every_member
def test_damaged_arrays_are_refused(kind: str, method: str | None) -> None:
    """An array that is missing, misshapen, mistyped or not finite raises `EncodingError`."""
    quantizer = fit(kind, method, gaussian())
    arrays = quantizer.arrays()
    for name, array in arrays.items():
        values = array.astype(np.float32)
        damaged: list[NDArray[Any]] = [values[:2], values.astype(np.float64), values * np.nan]
        for other in (*damaged, values[..., np.newaxis], values[:0]):
            with pytest.raises(EncodingError):
                quantizer_from_state(quantizer.config(), {**arrays, name: other})
        with pytest.raises(EncodingError):
            quantizer_from_state(
                quantizer.config(), {key: arrays[key] for key in arrays if key != name}
            )


@every_member
def test_impossible_lengths_are_refused(kind: str, method: str | None) -> None:
    quantizer = fit(kind, method, gaussian())
    wrong: list[Any] = [0, -1, None, "4", True, 2.0, [4], 10**12]
    for name in {"n_components", "n_subquantizers"} & quantizer.config().keys():
        for count in wrong:
            with pytest.raises(EncodingError, match=name):
                quantizer_from_state({**quantizer.config(), name: count}, quantizer.arrays())


@pytest.mark.parametrize(
    ("kind", "method"), [("int8", "lloyd"), ("int4", "quantile"), ("ternary", None)]
)
def test_codewords_out_of_order_are_refused(kind: str, method: str) -> None:
    """Searches rely on the order. Binary has a threshold for that, and needs none."""
    quantizer = fit(kind, method, gaussian())
    arrays = {name: array[:, ::-1].copy() for name, array in quantizer.arrays().items()}
    with pytest.raises(EncodingError, match="ascend"):
        quantizer_from_state(quantizer.config(), arrays)


@pytest.mark.parametrize("kind", ["int8", "int4", "int2"])
@pytest.mark.parametrize("step", [0.0, -1.0])
def test_steps_that_are_not_positive_are_refused(kind: str, step: float) -> None:
    arrays = {"scale": np.array([1, step], np.float32), "offset": np.zeros(2, np.float32)}
    with pytest.raises(EncodingError, match="positive"):
        quantizer_from_state(
            {"kind": kind, "bits": int(kind[3:]), "law": "linear", "n_components": 2}, arrays
        )


@pytest.mark.parametrize("kind", ["int8", "pq"])
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
def test_impossible_samples_are_refused(kind: str, sample: Floats) -> None:
    """Every quantizer is fitted through one check."""
    with pytest.raises(InvalidConfigError, match=kind):
        fit_quantizer(kind, sample)


@pytest.mark.parametrize(
    ("kind", "method", "enough"),
    [
        *(("int8", method, 255) for method in ("quantile", "lloyd")),
        *(("int4", method, 16) for method in ("quantile", "lloyd")),
        *(("int2", method, 4) for method in ("quantile", "lloyd")),
        *(("ternary", method, 3) for method in METHODS["ternary"]),
        *((kind, None, 256) for kind in COUNTED),
    ],
)
def test_fewer_samples_than_codewords_are_refused(
    kind: str, method: str | None, enough: int
) -> None:
    """The message says how many it takes."""
    sample = np.random.default_rng(0).normal(size=(2, enough)).astype(np.float32)
    options: dict[str, Any] = {COUNTED[kind][1]: 1} if kind in COUNTED else {}
    with pytest.raises(InvalidConfigError, match=f"at least {enough}"):
        fit_quantizer(kind, sample[:, :-1], method, **options)
    assert fit_quantizer(kind, sample, method, **options).n_components == 2


@every_member
def test_unknown_options_and_methods_are_refused(kind: str, method: str | None) -> None:
    with pytest.raises(InvalidConfigError, match="colour"):
        fit_quantizer(kind, np.zeros((1, 2), np.float32), method, colour="red")
    with pytest.raises(InvalidConfigError, match="magic"):
        fit_quantizer(kind, np.zeros((1, 2), np.float32), "magic")


@pytest.mark.parametrize("groups", [0, -1, 3, 5, 8])
def test_groups_that_do_not_come_out_even_are_refused(groups: int) -> None:
    with pytest.raises(InvalidConfigError, match="divisor of 4"):
        fit_quantizer("pq", gaussian(), n_subquantizers=groups)


@pytest.mark.parametrize("kind", ["int9", "", None, 8, ["int8"]])
def test_unknown_kinds_are_refused(kind: object) -> None:
    with pytest.raises(EncodingError, match="knows"):
        quantizer_from_state({"kind": kind}, {})


@every_member
def test_unknown_laws_are_refused(kind: str, method: str | None) -> None:
    """How codes decode is never guessed."""
    quantizer = fit(kind, method, gaussian())
    wrong: list[Any] = ["cubic", None, 3, ["linear"]]
    for law in wrong:
        with pytest.raises(EncodingError, match="knows"):
            quantizer_from_state({**quantizer.config(), "law": law}, quantizer.arrays())


@pytest.mark.parametrize(("method", "cut"), [("mean", 2.0), ("median", 1.0), ("zero", 0.0)])
def test_thresholds_of_binary(method: str, cut: float) -> None:
    quantizer = fit_quantizer("binary", np.array([[-1, 1, 6]], np.float32), method)
    assert quantizer.arrays()["threshold"] == cut


def test_widths_without_a_codec_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match="3 bits; expected one of 8, 4, 2"):
        LinearQuantizer(3, np.ones(2, np.float32), np.zeros(2, np.float32))


def test_unknown_kinds_cannot_be_fitted() -> None:
    with pytest.raises(InvalidConfigError, match="expected one of"):
        fit_quantizer("int9", np.zeros((1, 2), np.float32))


@every_fitted
@pytest.mark.parametrize("size", [1e-38, 1e37], ids=["tiny", "huge"])
def test_extreme_ranges_stay_finite(kind: str, method: str | None, size: float) -> None:
    """Ranges near the ends of float32 give finite values within the range, and no warning."""
    sample = np.linspace(-1, 1, 21, dtype=np.float32)[np.newaxis] * np.float32(size)
    quantizer = fit(kind, method, sample)
    decoded = quantizer.dequantize(quantizer.quantize(sample))
    assert np.abs(decoded).max() <= 1.1 * size
    assert np.abs(decoded / 2 - sample / 2).max() <= 1.1 * size
