"""Linear maps: orthonormal, seeded, and exactly undone however they are composed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding._projection import Moments, fit_projection
from geoembz.encoding._projection.fit import (
    LinearMap,
    random_projection,
    select_top_variance,
    soft_whitening,
)
from geoembz.errors import InvalidConfigError

seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(st.integers(1, 40), st.data())
def test_random_projections_are_orthonormal(dimension: int, data: st.DataObject) -> None:
    """Rows of length 1 at right angles, for every size."""
    n_components = data.draw(st.integers(1, dimension))
    matrix = random_projection(dimension, n_components, data.draw(seeds))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n_components), atol=1e-5)


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_rotations_are_seeded(seed: int) -> None:
    """One seed, one matrix; another seed, another."""
    np.testing.assert_array_equal(random_projection(8, 8, seed), random_projection(8, 8, seed))
    assert not np.array_equal(random_projection(8, 8, seed), random_projection(8, 8, seed + 1))


def test_rotations_do_not_depend_on_blas_threads() -> None:
    """The hash of an encoding must be the same on every machine width."""
    free = random_projection(200, 200, 0)
    with single_threaded_blas():
        np.testing.assert_array_equal(random_projection(200, 200, 0), free)


def test_the_first_entry_of_a_rotation_is_uniform_on_the_sphere() -> None:
    """Without the sign fix the diagonal would lean to one side."""
    first = np.array([random_projection(3, 3, seed)[0, 0] for seed in range(200)])
    assert abs(first.mean()) < 0.15
    assert first.std() == pytest.approx(1 / np.sqrt(3), abs=0.08)


@settings(deadline=None)
@given(st.integers(2, 20), st.floats(0, 1), seeds)
def test_any_composition_is_undone(dimension: int, w: float, seed: int) -> None:
    """Projection, whitening, rotation: vectors of the subspace come back, whitening included."""
    rng = np.random.default_rng(seed)
    n_components = max(1, dimension // 2)
    std, mean = np.geomspace(5, 0.01, n_components), rng.normal(size=dimension)
    rotation = random_projection(n_components, n_components, seed).astype(np.float64)
    start = LinearMap.orthonormal(random_projection(dimension, n_components, seed), mean)
    full = start.then(*soft_whitening(std, w)).then(rotation, rotation.T)
    inside = start.inverse @ rng.normal(size=(n_components, 7)) + mean[:, np.newaxis]
    projection = full.rounded("random", w or 1.0, rotation.astype(np.float32))
    decoded = projection.inverse_transform(projection.transform(inside.astype(np.float32)))
    np.testing.assert_allclose(decoded, inside, atol=2e-3)
    np.testing.assert_allclose(full.matrix @ full.inverse, np.eye(n_components), atol=1e-5)


def test_full_whitening_gives_unit_variance_and_none_changes_nothing() -> None:
    """The weights 1 and 0 are the ends of one scale."""
    std = np.array([3.0, 0.5])
    np.testing.assert_allclose(soft_whitening(std, 1)[0] @ std, 1)
    np.testing.assert_array_equal(soft_whitening(std, 0)[0], np.eye(2))


def test_constant_components_are_not_blown_up() -> None:
    """A component of no variance, or of rounding noise, is left as it is."""
    matrix, inverse = soft_whitening(np.array([1.0, 0.0, 1e-12]), 1.0)
    np.testing.assert_array_equal(np.diagonal(matrix), 1)
    np.testing.assert_array_equal(np.diagonal(inverse), 1)


def test_selection_picks_features_in_order() -> None:
    """The largest variance first; ties to the lower index."""
    matrix = select_top_variance(np.array([1.0, 3.0, 3.0, 2.0]), 3)
    np.testing.assert_array_equal(matrix @ np.arange(4), [1, 2, 3])


@pytest.mark.parametrize("kind", ["pca", "svd", "random", "select"])
def test_impossible_maps_are_refused(kind: str) -> None:
    """None, or more components than there are dimensions."""
    moments = Moments.of(np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32))
    for n_components in (0, 5):
        with pytest.raises(InvalidConfigError, match="expected 1 to 4"):
            fit_projection(moments, kind, n_components)


def test_impossible_whitening_is_refused() -> None:
    """A power out of range, deviations that are none."""
    for std, w in (([1.0], 1.5), ([1.0], -0.1), ([1.0], np.nan), ([-1.0], 0.5), ([np.nan], 0.5)):
        with pytest.raises(InvalidConfigError):
            soft_whitening(np.array(std), w)
