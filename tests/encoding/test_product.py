"""Product quantization: the nearest centre of each group, and what is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoembz.encoding._quantization import ProductQuantizer, quantizer_from_state
from geoembz.errors import EncodingError, InvalidConfigError


def gaussian(n_components: int, n_pixels: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_components, n_pixels)).astype(np.float32)


def invented(n_subquantizers: int, width: int, seed: int) -> ProductQuantizer:
    """Random centres: what does not need a fit is tested without one."""
    return ProductQuantizer(gaussian(n_subquantizers * 256, width, seed).reshape(-1, 256, width))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from([1, 60, 1025]), st.integers(0, 99))
def test_codes_are_the_nearest_centres(groups: int, width: int, n_pixels: int, seed: int) -> None:
    """No other centre is nearer, by brute force in float64; any number of pixels."""
    quantizer, values = invented(groups, width, seed), gaussian(groups * width, n_pixels, seed + 1)
    decoded = quantizer.dequantize(quantizer.quantize(values))
    for group in range(groups):
        rows = slice(group * width, (group + 1) * width)
        wanted = values[rows].T.astype(np.float64)
        reached = np.square(wanted - decoded[rows].T).sum(axis=1)
        centres = quantizer.codebook[group].astype(np.float64)
        brute = np.full(n_pixels, np.inf)
        for centre in centres:
            brute = np.minimum(brute, np.square(wanted - centre).sum(axis=1))
        np.testing.assert_allclose(reached, brute, rtol=1e-4, atol=1e-5)


def test_codes_do_not_depend_on_the_window() -> None:
    """A pixel has the same code alone, in a narrow window and in a wide one."""
    quantizer, values = invented(4, 2, 0), gaussian(8, 2500)
    codes = quantizer.quantize(values)
    for window in (slice(0, 1), slice(1000, 1100), slice(7, 2500)):
        np.testing.assert_array_equal(quantizer.quantize(values[:, window]), codes[:, window])


def test_the_fit_is_seeded_and_better_than_its_start() -> None:
    """The same seed gives the same centres; more groups lose less."""
    values = gaussian(8, 600)
    options: dict[str, Any] = {"seed": 3, "n_iterations": 3}
    first = ProductQuantizer.fit(values, n_subquantizers=2, **options)
    again = ProductQuantizer.fit(values, n_subquantizers=2, **options)
    np.testing.assert_array_equal(first.codebook, again.codebook)
    more = ProductQuantizer.fit(values, n_subquantizers=4, **options)
    lost = [np.square(values - q.dequantize(q.quantize(values))).mean() for q in (first, more)]
    assert lost[1] < lost[0] < 0.3


def test_fewer_distinct_pixels_than_centres_lose_nothing() -> None:
    """All-equal data and small palettes come back, without a warning."""
    for palette in (np.ones((4, 1), np.float32), gaussian(4, 9)):
        values = np.tile(palette, 300)[:, :300]
        quantizer = ProductQuantizer.fit(values, n_subquantizers=2)
        decoded = quantizer.dequantize(quantizer.quantize(values))
        np.testing.assert_allclose(decoded, values, rtol=1e-5, atol=1e-6)


def test_a_prefix_is_refused() -> None:
    """A byte cannot be cut."""
    quantizer = invented(3, 2, 0)
    assert quantizer.select(6) is quantizer
    with pytest.raises(InvalidConfigError, match="no prefix"):
        quantizer.select(4)


@pytest.mark.parametrize(
    ("config", "codebook"),
    [
        ({}, np.zeros((3, 255, 2), np.float32)),
        ({}, np.zeros((3, 256, 0), np.float32)),
        ({"n_subquantizers": 4}, np.zeros((3, 256, 2), np.float32)),
    ],
)
def test_state_that_does_not_fit_is_refused(config: dict[str, Any], codebook: Any) -> None:
    state = {"kind": "pq", "law": "product", "n_components": 6, "n_subquantizers": 3}
    with pytest.raises(EncodingError):
        quantizer_from_state(state | config, {"codebook": codebook})


def test_the_codebook_does_not_depend_on_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Groups are fitted side by side, each from its own seed."""
    from geoembz.encoding._quantization import product

    sample = np.random.default_rng(3).normal(size=(8, 700)).astype(np.float32)
    codebooks = []
    for workers in (1, 4):
        monkeypatch.setattr(product, "worker_count", lambda workers=workers: workers)
        codebooks.append(ProductQuantizer.fit(sample, n_subquantizers=4).codebook)
    np.testing.assert_array_equal(codebooks[0], codebooks[1])
