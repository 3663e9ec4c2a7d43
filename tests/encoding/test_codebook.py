"""Scalar codebooks: the nearest codeword, bounded error, and no surprise from odd samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from geoembz.encoding._quantization import (
    CodebookQuantizer,
)
from geoembz.encoding._quantization.codebook import n_codewords
from geoembz.encoding._quantization.lookup import CellIndex

type Floats = NDArray[np.float32]

WIDTHS = (8, 4, 2)
methods = st.sampled_from(CodebookQuantizer.methods)
widths = st.sampled_from(WIDTHS)
seeds = st.integers(0, 2**32 - 1)
values = st.floats(-1e6, 1e6, width=32)
quick = settings(max_examples=30, deadline=None)


def gaussian(seed: int, n_components: int = 3, n_pixels: int = 600) -> Floats:
    """Components of falling spread, off centre."""
    rng = np.random.default_rng(seed)
    spread = np.geomspace(100, 0.01, n_components)[:, np.newaxis]
    return (rng.standard_normal((n_components, n_pixels)) * spread + spread).astype(np.float32)


def mean_squared_error(quantizer: CodebookQuantizer, sample: Floats) -> NDArray[np.float64]:
    decoded = quantizer.dequantize(quantizer.quantize(sample))
    return np.asarray(np.square(sample.astype(np.float64) - decoded).mean(axis=1))


@st.composite
def codebooks(draw: st.DrawFn) -> Floats:
    """Ascending codewords, repeated ones, clusters and wide gaps included."""
    size = draw(st.sampled_from([3, 4, 16, 17, 255]))
    rows = draw(st.integers(1, 3))
    drawn = draw(hnp.arrays(np.float32, (rows, size), elements=values))
    return np.sort(drawn, axis=1)


@quick
@given(codebooks(), st.data())
def test_the_index_finds_the_nearest_codeword(codebook: Floats, data: st.DataObject) -> None:
    """No other codeword is nearer, up to the rounding of a boundary; codewords find themselves."""
    drawn = data.draw(hnp.arrays(np.float32, (len(codebook), 9), elements=values))
    wanted = np.concatenate([drawn, codebook], axis=1)
    cells = CellIndex.of(codebook).find(wanted)
    reached = np.take_along_axis(codebook, cells.astype(np.intp), axis=1).astype(np.float64)
    distance = np.abs(wanted - reached)
    brute = np.abs(wanted[:, :, np.newaxis].astype(np.float64) - codebook[:, np.newaxis]).min(
        axis=2
    )
    rounding = np.spacing(np.abs(codebook).max(axis=1, keepdims=True))
    assert (distance <= brute + 2 * rounding).all()


@quick
@given(codebooks(), st.data())
def test_the_index_agrees_with_bisection(codebook: Floats, data: st.DataObject) -> None:
    """Cells are exactly the number of boundaries below a value, boundaries themselves included."""
    index = CellIndex.of(codebook)
    drawn = data.draw(hnp.arrays(np.float32, (len(codebook), 9), elements=values))
    near = np.nextafter(index.boundaries, np.float32(np.inf))
    wanted = np.concatenate([drawn, index.boundaries, near], axis=1)
    cells = [np.searchsorted(row, x) for row, x in zip(index.boundaries, wanted, strict=True)]
    np.testing.assert_array_equal(index.find(wanted), np.array(cells))


@pytest.mark.parametrize("outer", [3.4e38, 1e-45])
def test_the_index_bears_extreme_codewords(outer: float) -> None:
    """A span beyond float32, or too small for its steps, costs speed and nothing else."""
    codebook = np.linspace(-outer, outer, 255).astype(np.float32)[np.newaxis]
    index = CellIndex.of(codebook)
    expected = np.searchsorted(index.boundaries[0], codebook[0])
    np.testing.assert_array_equal(index.find(codebook)[0], expected)


@quick
@given(seeds, widths, methods)
def test_error_is_at_most_half_a_gap(seed: int, bits: int, method: str) -> None:
    """Between the outer codewords a value is off by half the gap it lies in, at most."""
    sample = gaussian(seed)
    quantizer = CodebookQuantizer.fit(sample, bits=bits, method=method)
    book = quantizer.codebook
    inside = np.clip(sample, book[:, :1], book[:, -1:])
    error = np.abs(quantizer.dequantize(quantizer.quantize(inside)) - inside)
    half_gap = np.diff(book, axis=1).max(axis=1, keepdims=True) / 2
    assert (error <= half_gap * (1 + 1e-5) + np.spacing(np.abs(inside))).all()


@quick
@given(seeds, widths)
def test_lloyd_is_not_worse_than_quantiles(seed: int, bits: int) -> None:
    """Least squares is what Lloyd is for."""
    sample = gaussian(seed)
    lloyd, quantile = (
        mean_squared_error(CodebookQuantizer.fit(sample, bits=bits, method=method), sample)
        for method in ("lloyd", "quantile")
    )
    assert (lloyd <= quantile * 1.001).all()


@pytest.mark.parametrize(("bits", "optimum"), [(2, 0.1175), (4, 0.009497)])
def test_lloyd_reaches_the_optimum_of_a_gaussian(bits: int, optimum: float) -> None:
    """Max (1960), table I: the least distortion with 4 and 16 levels."""
    sample = np.random.default_rng(0).standard_normal((1, 200_000)).astype(np.float32)
    error = mean_squared_error(CodebookQuantizer.fit(sample, bits=bits, method="lloyd"), sample)
    assert error[0] == pytest.approx(optimum, rel=0.01)


@quick
@given(widths, methods, seeds, st.integers(1, 255))
def test_few_distinct_values_are_kept_exactly(
    bits: int, method: str, seed: int, n_distinct: int
) -> None:
    """With no more values than codewords nothing is lost, constants included."""
    rng = np.random.default_rng(seed)
    palette = rng.normal(size=min(n_distinct, n_codewords(bits))).astype(np.float32)
    sample = rng.choice(palette, size=(2, 300))
    quantizer = CodebookQuantizer.fit(sample, bits=bits, method=method)
    np.testing.assert_array_equal(quantizer.dequantize(quantizer.quantize(sample)), sample)


@quick
@given(hnp.arrays(np.float32, (2, 300), elements=values), widths, methods)
def test_any_sample_gives_codewords_in_order_and_in_range(
    sample: Floats, bits: int, method: str
) -> None:
    """Ties, outliers and clusters included."""
    book = CodebookQuantizer.fit(sample, bits=bits, method=method).codebook
    assert (np.diff(book, axis=1) >= 0).all()
    assert (book >= sample.min(axis=1, keepdims=True)).all()
    assert (book <= sample.max(axis=1, keepdims=True)).all()


def test_no_codeword_is_left_on_an_empty_cell() -> None:
    """Discrete, clustered data: every codeword serves some value."""
    sample = np.repeat(np.geomspace(1e-3, 1e3, 40), 20).astype(np.float32)[np.newaxis]
    quantizer = CodebookQuantizer.fit(sample, bits=4, method="lloyd")
    assert len(np.unique(quantizer.quantize(sample))) == 16


def test_int8_codes_are_centred_and_leave_room_for_nodata() -> None:
    """Codes run from −127 to 127; −128 decodes to NaN."""
    sample = np.linspace(-1, 1, 1000, dtype=np.float32)[np.newaxis]
    quantizer = CodebookQuantizer.fit(sample, bits=8)
    codes = quantizer.quantize(np.array([[-9.0, 9.0]], dtype=np.float32))
    np.testing.assert_array_equal(codes, np.array([[-127, 127]], dtype=np.int8))
    np.testing.assert_array_equal(quantizer.dequantize(codes), quantizer.codebook[:, [0, 254]])
    assert np.isnan(quantizer.dequantize(np.array([[-128]], dtype=np.int8))).all()
