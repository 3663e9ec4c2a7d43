"""Iterative quantization: still a rotation, and for signs a better one than chance gives."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.encoding._projection import itq as module
from geoembz.encoding._projection.fit import random_projection
from geoembz.encoding._projection.itq import fit_itq_rotation, sign_error
from geoembz.errors import InvalidConfigError

type Floats = NDArray[np.float32]

N_CLASSES, DIMENSION = 12, 24


def clustered(count: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Vectors ``(count, DIMENSION)`` about class centres, of unequal variances, and the classes."""
    centres = np.random.default_rng(7).normal(size=(N_CLASSES, DIMENSION))
    spread = np.geomspace(3, 0.1, DIMENSION)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, N_CLASSES, count)
    return ((centres[labels] + rng.normal(size=(count, DIMENSION))) * spread).astype("f4"), labels


def components(seed: int = 0) -> Floats:
    """Centred columns ``(DIMENSION, 1000)``, turned at random as the fit begins with."""
    values = clustered(1000, seed)[0].T
    turned = random_projection(DIMENSION, DIMENSION, 3) @ values
    return np.asarray(turned - turned.mean(axis=1, keepdims=True))


def accuracy(recipe: str) -> float:
    """Return the share of other vectors whose nearest of 5 by cosine are of their class."""
    (train, classes), (other, expected) = clustered(1500, 1), clustered(600, 2)
    encoding = Encoding.fit(train, recipe)
    table, queries = (encoding.decode(encoding.encode(rows), "reduced") for rows in (train, other))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, table)]
    nearest = classes[np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")[:, :5]]
    votes = (nearest[:, :, np.newaxis] == np.arange(N_CLASSES)).sum(axis=1).argmax(axis=1)
    return float((votes == expected).mean())


def test_the_error_of_signs_falls_with_each_iteration() -> None:
    """From the random rotation's down, by a tenth at least, and never up."""
    points = components()
    errors = [sign_error(fit_itq_rotation(points, n_iterations=n) @ points) for n in range(12)]
    assert errors[0] == pytest.approx(sign_error(points))
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(errors))
    assert errors[-1] < 0.9 * errors[0]


@pytest.mark.parametrize("recipe", ["itq-binary", "pca9-itq-binary", "svd9w0.5-itq-int2-lloyd"])
def test_what_is_stored_is_a_rotation(recipe: str) -> None:
    """Orthonormal to float32's rounding, and told as any rotation: no reader knows it by name."""
    encoding = Encoding.fit(clustered(800, 0)[0], recipe)
    drawn = Encoding.fit(clustered(800, 0)[0], recipe.replace("itq", "rot"))
    rotation = encoding.projection.rotation
    if rotation is None:
        rotation = encoding.projection.matrix
    assert rotation is not None
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(len(rotation)), atol=1e-6)
    assert {**encoding.config(), "recipe": ""} == {**drawn.config(), "recipe": ""}
    shapes = [{name: a.shape for name, a in one.arrays().items()} for one in (encoding, drawn)]
    assert shapes[0] == shapes[1]
    assert encoding.hash != drawn.hash


@pytest.mark.parametrize("recipe", ["pca16{}-binary", "pca24w0.5{}-binary", "pca16{}-int2-lloyd"])
def test_neighbours_are_better_than_after_a_random_rotation(recipe: str) -> None:
    """On classes whose vectors vary unequally: a point of accuracy at least."""
    assert accuracy(recipe.format("-itq")) > accuracy(recipe.format("-rot")) + 0.01


def test_bits_lose_less_than_after_a_random_rotation() -> None:
    """Of vectors that were not fitted on, too."""
    train, other = clustered(1500, 1)[0], clustered(600, 2)[0]
    lost = []
    for recipe in ("pca16-rot-binary", "pca16-itq-binary"):
        encoding = Encoding.fit(train, recipe)
        lost.append(np.square(other - encoding.decode(encoding.encode(other))).sum())
    assert lost[1] < 0.98 * lost[0]


def test_only_the_sample_has_a_say() -> None:
    """Rows that are not finite are no part of it, and what is encoded later changes nothing."""
    train, other = clustered(700, 0)[0], clustered(300, 5)[0]
    encoding = Encoding.fit(train, "pca9-itq-binary")
    before = encoding.hash
    encoding.encode(other)
    other[:, 2] = np.nan
    mixed = Encoding.fit(np.concatenate([train, other]), "pca9-itq-binary")
    assert mixed.hash == encoding.hash == before


def test_the_seed_says_where_it_starts() -> None:
    """One seed, one encoding; another one, another rotation."""
    train = clustered(500, 0)[0]
    first, again, other = (Encoding.fit(train, "pca9-itq-binary", seed) for seed in (1, 1, 2))
    assert first.hash == again.hash != other.hash


def test_of_many_vectors_a_seeded_choice_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """And their order in memory, or the number of BLAS threads, is none of it."""
    monkeypatch.setattr(module, "MAX_SAMPLES", 400)
    points = components()
    with single_threaded_blas():
        first, again, other = (fit_itq_rotation(points, seed) for seed in (0, 0, 1))
        fortran = fit_itq_rotation(np.asfortranarray(points), 0)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, fortran)
    assert not np.array_equal(first, other)
    assert sign_error(other @ points) == pytest.approx(sign_error(first @ points), abs=0.02)


@pytest.mark.parametrize("scale", [0.0, 1e-44, 1e-30, 1e30])
def test_any_magnitude_fits(scale: float) -> None:
    """No sum overflows or vanishes; of vectors all equal, any rotation does."""
    points = (components() * np.float32(scale)).astype(np.float32)
    rotation = fit_itq_rotation(points)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(DIMENSION), atol=1e-6)


def test_components_that_overflow_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match="itq: the sample holds NaN or infinity"):
        fit_itq_rotation(np.full((3, 8), np.inf, np.float32))
