"""Projections: exact moments, orthonormal components, results that no block boundary can change."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding._projection import TILE_PIXELS, Moments, Projection, fit_projection
from geoembz.errors import EncodingError, InvalidConfigError, NoValidPixelsError

SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=30, deadline=None)


def correlated(
    seed: int, dimension: int = 7, n_pixels: int = 60, mean: float = 0.5
) -> NDArray[np.float32]:
    """Vectors ``(dimension, n_pixels)`` whose spectrum decays by a third per component."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0] * 0.67 ** np.arange(dimension)
    return (mixing @ rng.normal(size=(dimension, n_pixels)) + mean).astype(np.float32)


def fitted(seed: int, n_components: int, dimension: int = 7, n_pixels: int = 60) -> Projection:
    return fit_projection(
        Moments.of(correlated(seed, dimension, n_pixels)), "pca", n_components
    ).projection


@quick
@given(SEEDS, st.lists(st.integers(1, 59), max_size=4), st.sampled_from([0.0, 1.0, 1e4]))
def test_moments_of_parts_are_those_of_the_whole(seed: int, cuts: list[int], mean: float) -> None:
    """Sums over any division into blocks give NumPy's mean and covariance, offsets or not."""
    values = correlated(seed, mean=mean)
    parts = np.split(values, sorted(cuts), axis=1)
    total = Moments.of(parts[0])
    for part in parts[1:]:
        total = total.merge(Moments.of(part, total.shift))
    exact = values.astype(np.float64)
    assert total.count == values.shape[1]
    np.testing.assert_allclose(total.mean, exact.mean(axis=1), rtol=1e-12)
    scale = np.trace(np.cov(exact))
    np.testing.assert_allclose(total.covariance, np.cov(exact), atol=1e-10 * scale)


def test_moments_about_different_points_do_not_merge() -> None:
    """Two sums with different shifts are refused rather than added up wrongly."""
    values = correlated(1)
    with pytest.raises(InvalidConfigError, match="shift"):
        Moments.of(values).merge(Moments.of(values + 1))


@quick
@given(SEEDS, st.integers(1, 7))
def test_components_are_orthonormal_ordered_and_signed(seed: int, n_components: int) -> None:
    """Rows have length 1 and right angles, variances fall, each row's largest entry is positive."""
    values = correlated(seed)
    fit = fit_projection(Moments.of(values), "pca", n_components)
    matrix = fit.projection.matrix
    assert matrix is not None
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n_components), atol=1e-6)
    assert (np.diff(fit.variance) <= 0).all()
    assert (np.take_along_axis(matrix, np.abs(matrix).argmax(axis=1)[:, None], axis=1) > 0).all()
    scores = fit.projection.transform(values).astype(np.float64)
    np.testing.assert_allclose(scores.var(axis=1, ddof=1), fit.variance, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(scores.mean(axis=1), 0, atol=1e-5)


@quick
@given(SEEDS, st.integers(1, 7))
def test_the_error_is_the_variance_left_out(seed: int, n_components: int) -> None:
    """Mean squared error equals the sum of the dropped eigenvalues: no projection does better."""
    values = correlated(seed)
    fit = fit_projection(Moments.of(values), "pca", n_components)
    rebuilt = fit.projection.inverse_transform(fit.projection.transform(values))
    error = ((rebuilt - values).astype(np.float64) ** 2).sum() / (values.shape[1] - 1)
    total = np.trace(Moments.of(values).covariance)
    np.testing.assert_allclose(error, total - fit.variance.sum(), atol=1e-5 * total)
    np.testing.assert_allclose(fit.explained_variance, fit.variance.sum() / total, atol=1e-12)


@quick
@given(SEEDS, st.data())
def test_a_result_does_not_depend_on_its_neighbours(seed: int, data: st.DataObject) -> None:
    """Any selection of columns, in any order, gives the same bits as the whole block does."""
    n_pixels = data.draw(st.sampled_from([5, TILE_PIXELS - 1, TILE_PIXELS + 3]))
    chosen = data.draw(st.lists(st.integers(0, n_pixels - 1), min_size=1, max_size=40))
    projection = fitted(seed, 4)
    values = correlated(seed, n_pixels=n_pixels)
    scores = projection.transform(values)
    np.testing.assert_array_equal(projection.transform(values[:, chosen]), scores[:, chosen])
    rebuilt = projection.inverse_transform(scores)
    np.testing.assert_array_equal(
        projection.inverse_transform(scores[:, chosen]), rebuilt[:, chosen]
    )


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from([1, 2, 7, 16, 33]), st.sampled_from([33, 64, 130]))
def test_a_result_does_not_depend_on_the_order_in_memory(
    seed: int, n_components: int, dimension: int
) -> None:
    """Vectors that lie as rows in memory give the bits of those that lie as columns."""
    values = correlated(seed, dimension, TILE_PIXELS + 9)
    projection = fit_projection(Moments.of(values), "pca", n_components).projection
    rows = np.ascontiguousarray(values.T)
    with single_threaded_blas():
        expected = projection.transform(np.ascontiguousarray(values))
        np.testing.assert_array_equal(projection.transform(rows.T), expected)
        kept = projection.transform(rows.T, centering=projection.centering(keeps_rows=True))
    np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("n_pixels", [1, TILE_PIXELS, TILE_PIXELS + 1, 3 * TILE_PIXELS - 1])
def test_out_receives_the_same_bits(n_pixels: int) -> None:
    """Decoding into given memory, even strided, equals decoding into new memory."""
    projection = fitted(3, 4)
    scores = projection.transform(correlated(4, n_pixels=n_pixels))
    wide = np.full((7, 2 * n_pixels), np.nan, dtype=np.float32)
    projection.inverse_transform(scores, out=wide[:, :n_pixels])
    np.testing.assert_array_equal(wide[:, :n_pixels], projection.inverse_transform(scores))
    assert np.isnan(wide[:, n_pixels:]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_value_shows_in_every_component(bad: float) -> None:
    """A value that is not finite makes its own column not finite throughout, and no other one."""
    projection = fitted(5, 4)
    values = correlated(5, n_pixels=3)
    clean = projection.transform(values)
    values[2, 1] = bad
    scores = projection.transform(values)
    assert not np.isfinite(scores[:, 1]).any()
    np.testing.assert_array_equal(scores[:, [0, 2]], clean[:, [0, 2]])


def test_the_first_components_are_a_projection_of_their_own() -> None:
    """Fitting k' components and keeping the first k' of more are the same projection."""
    fewer = fitted(6, 5).select(2)
    direct = fitted(6, 2)
    np.testing.assert_array_equal(fewer.matrix, direct.matrix)
    np.testing.assert_array_equal(fewer.mean, direct.mean)


@quick
@given(SEEDS, st.integers(1, 7))
def test_reduced_space_keeps_the_mean_but_for_one_number(seed: int, n_components: int) -> None:
    """Offset and residual norm are the mean's two parts: their squares add up to its own."""
    projection = fitted(seed, n_components)
    assert projection.offset is not None
    assert projection.mean is not None
    inside = float(np.linalg.norm(projection.offset.astype(np.float64)))
    whole = float(np.linalg.norm(projection.mean.astype(np.float64)))
    np.testing.assert_allclose(np.hypot(inside, projection.residual_norm), whole, rtol=1e-5)


def test_a_large_mean_costs_no_precision() -> None:
    """Scores are as exact as the data: an offset of 1000 adds no more than rounding of the data."""
    rng = np.random.default_rng(1)
    spread = np.array([1, 0.5, 0.3, 0.1, 0.05, 0.02, 0.01, 0.005])[:, np.newaxis]
    basis = np.linalg.qr(rng.normal(size=(128, 8)))[0]
    values = (basis @ (rng.normal(size=(8, 2000)) * spread) + 1000).astype(np.float32)
    projection = fit_projection(Moments.of(values), "pca", 8).projection
    assert projection.matrix is not None
    assert projection.mean is not None
    centred = values.astype(np.float64) - projection.mean.astype(np.float64)[:, np.newaxis]
    error = np.abs(projection.transform(values) - projection.matrix.astype(np.float64) @ centred)
    assert error.max() < 2 * np.spacing(np.float32(1000))


def test_keeping_all_is_the_identity() -> None:
    """Without a projection vectors pass through unchanged, as a copy."""
    values = correlated(8)
    fit = fit_projection(Moments.of(values), None)
    scores = fit.projection.transform(values)
    np.testing.assert_array_equal(scores, values)
    assert not np.shares_memory(scores, values)
    np.testing.assert_array_equal(fit.projection.inverse_transform(scores), values)
    np.testing.assert_allclose(fit.variance, values.var(axis=1, ddof=1), rtol=1e-4)
    with pytest.raises(InvalidConfigError, match="not ordered"):
        fit.projection.select(2)


@pytest.mark.parametrize("n_components", [-1, 0, 8])
def test_impossible_numbers_of_components_are_refused(n_components: int) -> None:
    with pytest.raises(InvalidConfigError, match="expected 1 to 7"):
        fitted(1, n_components)


@pytest.mark.parametrize(("n_components", "n_pixels"), [(1, 1), (5, 4), (7, 6)])
def test_too_few_vectors_are_refused(n_components: int, n_pixels: int) -> None:
    with pytest.raises(NoValidPixelsError, match=f"from {n_pixels} valid pixels"):
        fitted(1, n_components, n_pixels=n_pixels)


def test_constant_vectors_keep_everything() -> None:
    """A sample without variance has a basis all the same, and comes back exactly."""
    values = np.full((5, 9), 3.0, dtype=np.float32)
    fit = fit_projection(Moments.of(values), "pca", 2)
    assert fit.explained_variance == 1.0
    rebuilt = fit.projection.inverse_transform(fit.projection.transform(values))
    np.testing.assert_allclose(rebuilt, values, rtol=1e-6)


@pytest.mark.parametrize(
    "projection", [fitted(1, 3), fit_projection(Moments.of(correlated(1)), None).projection]
)
def test_state_round_trips(projection: Projection) -> None:
    """JSON and arrays rebuild a projection that gives the same bits."""
    config = json.loads(json.dumps(projection.config()))
    again = Projection.from_state(projection.dimension, config, projection.arrays())
    values = correlated(2)
    np.testing.assert_array_equal(again.transform(values), projection.transform(values))


@pytest.mark.parametrize(
    ("config", "arrays"),
    [
        ({"law": "umap"}, {}),
        ({"law": None}, {}),
        ({}, {"mean": None}),
        ({"n_components": 2}, {}),
        ({"n_components": "3"}, {}),
        ({}, {"mean": np.zeros(6, np.float32)}),
        ({}, {"mean": np.zeros(7)}),
        ({}, {"projection": np.zeros((3, 8), np.float32)}),
        ({}, {"mean": np.full(7, np.nan, np.float32)}),
        ({}, {"projection": np.full((3, 7), np.inf, np.float32)}),
    ],
)
def test_damaged_state_is_refused(
    config: dict[str, object], arrays: dict[str, NDArray[np.generic] | None]
) -> None:
    """Missing, misshapen, mistyped and non-finite state raise instead of decoding to nonsense."""
    projection = fitted(1, 3)
    changed = {**projection.arrays(), **arrays}
    kept = {name: array for name, array in changed.items() if array is not None}
    with pytest.raises(EncodingError):
        Projection.from_state(7, {**projection.config(), **config}, kept)
