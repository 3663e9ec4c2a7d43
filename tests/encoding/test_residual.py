"""Residual quantization: sums of codewords, the beam, prefixes, fits, and what is refused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geoembz._util.compiling import has_accelerator
from geoembz.encoding import Encoding
from geoembz.encoding._quantization import (
    ProductQuantizer,
    ResidualQuantizer,
    quantizer_from_state,
)
from geoembz.encoding._quantization import residual as module
from geoembz.errors import EncodingError, InvalidConfigError

type Floats = NDArray[np.float32]


def gaussian(n_components: int, n_pixels: int, seed: int = 0) -> Floats:
    """Components of falling spread: neither alike nor independent, as principal ones are."""
    rng = np.random.default_rng(seed)
    spread = np.geomspace(1, 0.1, n_components)[:, np.newaxis]
    return (rng.standard_normal((n_components, n_pixels)) * spread).astype(np.float32)


def invented(n_stages: int, n_components: int, seed: int = 0) -> ResidualQuantizer:
    """Random codewords, smaller from stage to stage: what needs no fit is tested without one."""
    words = gaussian(n_components, n_stages * 256, seed).T.reshape(n_stages, 256, n_components)
    halves = (0.5 ** np.arange(n_stages)).astype(np.float32)
    return ResidualQuantizer(words * halves[:, np.newaxis, np.newaxis])


def squared_errors(quantizer: ResidualQuantizer, values: Floats) -> NDArray[np.float64]:
    decoded = quantizer.dequantize(quantizer.quantize(values))
    return np.asarray(np.square(values.astype(np.float64) - decoded).sum(axis=0))


def test_one_stage_finds_the_nearest_codeword() -> None:
    quantizer, values = invented(1, 6), gaussian(6, 700, seed=1)
    distances = np.square(values.T[:, np.newaxis].astype(np.float64) - quantizer.codebook[0])
    nearest = distances.sum(axis=2).min(axis=1)
    np.testing.assert_allclose(squared_errors(quantizer, values), nearest, rtol=1e-4, atol=1e-6)


def test_the_beam_is_that_of_the_text() -> None:
    """A search of one pixel at a time in float64, as spec/codecs/rq says, finds as good sums."""
    quantizer, values = invented(4, 5), gaussian(5, 60, seed=2)
    expected = []
    for vector in values.T.astype(np.float64):
        beam: list[tuple[float, NDArray[np.float64]]] = [(0.0, np.zeros(5))]
        for stage, words in enumerate(quantizer.codebook.astype(np.float64)):
            sums = [total + word for _, total in beam for word in words]
            ranked = sorted(
                ((float(np.square(vector - s).sum()), s) for s in sums), key=lambda p: p[0]
            )
            beam = ranked[: 1 if stage == 3 else 5]
        expected.append(beam[0][0])
    np.testing.assert_allclose(squared_errors(quantizer, values), expected, rtol=1e-3, atol=1e-6)


def test_a_beam_is_better_than_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    quantizer, values = invented(4, 6), gaussian(6, 500, seed=3)
    with_beam = squared_errors(quantizer, values).mean()
    monkeypatch.setattr(module, "_BEAM", 1)
    assert with_beam < 0.97 * squared_errors(quantizer, values).mean()


def test_codes_do_not_depend_on_the_window() -> None:
    """A pixel has the same code alone, in a narrow window and in a wide one."""
    quantizer, values = invented(3, 4), gaussian(4, 900)
    codes = quantizer.quantize(values)
    for window in (slice(0, 1), slice(500, 600), slice(7, 900)):
        np.testing.assert_array_equal(quantizer.quantize(values[:, window]), codes[:, window])


def test_the_fit_is_seeded_and_loses_less_with_every_stage() -> None:
    values = gaussian(8, 800)
    options: dict[str, Any] = {"seed": 3, "n_iterations": 4}
    first = ResidualQuantizer.fit(values, n_stages=3, **options)
    again = ResidualQuantizer.fit(values, n_stages=3, **options)
    np.testing.assert_array_equal(first.codebook, again.codebook)
    lost = [squared_errors(first.select(stages), values).mean() for stages in (1, 2, 3)]
    assert lost[2] < 0.6 * lost[1] < 0.36 * lost[0]


def test_sums_lose_less_than_groups_of_as_many_bytes() -> None:
    """What the quantizer is for: held-out vectors of correlated components at four bytes."""
    mixing = np.random.default_rng(5).normal(size=(16, 16)).astype(np.float32)
    train, other = mixing @ gaussian(16, 1000), mixing @ gaussian(16, 500, seed=9)
    sums = ResidualQuantizer.fit(train, n_stages=4, n_iterations=3)
    groups = ProductQuantizer.fit(train, n_subquantizers=4, n_iterations=8)
    decoded = groups.dequantize(groups.quantize(other))
    assert squared_errors(sums, other).mean() < 0.9 * np.square(other - decoded).sum(axis=0).mean()


def test_a_fit_suits_vectors_that_it_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few vectors: it sees what a beam holds, not the best sum of each vector alone."""
    train, other = gaussian(8, 700), gaussian(8, 700, seed=9)
    options: dict[str, Any] = {"n_stages": 3, "n_iterations": 4}
    lost = squared_errors(ResidualQuantizer.fit(train, **options), other).mean()

    def best_sums(self: ResidualQuantizer, points: Floats, seed: int) -> tuple[Floats, Any]:
        return points, self.quantize(points)

    monkeypatch.setattr(ResidualQuantizer, "_likely_sums", best_sums)
    assert lost < 0.95 * squared_errors(ResidualQuantizer.fit(train, **options), other).mean()


def test_sums_of_a_fit_are_those_that_a_beam_ends_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearest first, of every vector; of more than a fit takes a seeded choice."""
    quantizer, values = invented(3, 5), gaussian(5, 400)
    targets, codes = quantizer._likely_sums(values, seed=0)
    assert codes.shape == (3, 5 * 400)
    np.testing.assert_array_equal(codes[:, :400], quantizer.quantize(values))
    errors = np.square(targets - quantizer.dequantize(codes)).sum(axis=0).reshape(5, 400)
    assert (np.diff(errors, axis=0) > -1e-6).all()
    monkeypatch.setattr(module, "MAX_SAMPLES", 700)
    few, some = quantizer._likely_sums(values, seed=1)
    assert few.shape == (5, 700)
    known = {(*target, *code) for target, code in zip(targets.T, codes.T, strict=True)}
    assert all((*t, *c) in known for t, c in zip(few.T, some.T, strict=True))
    np.testing.assert_array_equal(quantizer._likely_sums(values, seed=1)[1], some)


def test_the_first_codes_are_a_coarser_code() -> None:
    """`components` counts stages; reduced vectors keep their length, whatever the projection."""
    samples = gaussian(12, 800).T
    for recipe in ("pca8-rq4x8", "pca8-rot-rq4x8", "rq4x8"):
        encoding = Encoding.fit(samples, recipe)
        codes = encoding.encode(samples)
        assert encoding.prefix_length(2) == 2
        errors = [
            float(np.square(encoding.decode(codes, components=m) - samples).mean())
            for m in (1, 2, 3, 4)
        ]
        assert errors == sorted(errors, reverse=True)
        reduced = encoding.decode(codes, "reduced", components=2)
        assert reduced.shape == (800, encoding.n_components)
        with pytest.raises(InvalidConfigError, match="expected 1 to 4"):
            encoding.decode(codes, components=5)


def test_fewer_distinct_pixels_than_codewords_lose_nothing() -> None:
    """All-equal data and small palettes come back, without a warning."""
    for palette in (np.ones((4, 1), np.float32), gaussian(4, 9)):
        values = np.tile(palette, 300)[:, :300]
        quantizer = ResidualQuantizer.fit(values, n_stages=2)
        decoded = quantizer.dequantize(quantizer.quantize(values))
        np.testing.assert_allclose(decoded, values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "codebook"),
    [
        ({}, np.zeros((3, 255, 6), np.float32)),
        ({}, np.zeros((3, 256, 5), np.float32)),
        ({"n_stages": 4}, np.zeros((3, 256, 6), np.float32)),
        ({"n_stages": 33}, np.zeros((33, 256, 6), np.float32)),
        ({"n_stages": 0}, np.zeros((0, 256, 6), np.float32)),
    ],
)
def test_state_that_does_not_fit_is_refused(config: dict[str, Any], codebook: Any) -> None:
    state = {"kind": "rq", "law": "residual", "n_components": 6, "n_stages": 3}
    with pytest.raises(EncodingError):
        quantizer_from_state(state | config, {"codebook": codebook})


def test_vectors_beyond_float32_have_a_code() -> None:
    """The largest finite numbers overflow in products; they are coded all the same."""
    quantizer = invented(2, 3)
    values = np.full((3, 2), np.finfo(np.float32).max, np.float32)
    assert quantizer.quantize(values).shape == (2, 2)


@pytest.mark.skipif(not has_accelerator(), reason="numba is not installed")
@pytest.mark.parametrize("n_stages", [1, 4])
def test_compiled_codes_are_those_of_numpy(n_stages: int) -> None:
    """To the bit, equal sums and vectors beyond the ordinary included."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 1000)).astype(np.float32)
    quantizer = ResidualQuantizer.fit(points, n_stages=n_stages, n_iterations=2)
    words = quantizer.codebook.copy()
    words[:, 128:] = words[:, :128]  # every codeword twice: sums tie
    quantizer = ResidualQuantizer(words)
    points[:, :300] = np.round(points[:, :300])
    points[0, 3] = 1e30
    for start in range(0, 768, 256):
        block = np.ascontiguousarray(points[:, start : start + 256])
        for n_sums in (1, 5):
            expected = quantizer._nearest(block, n_sums)
            np.testing.assert_array_equal(quantizer._nearest_compiled(block, n_sums), expected)
