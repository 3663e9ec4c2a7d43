"""An applied model gives the answers of the model on decoded vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC

import geoembz
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError
from tests.conftest import MakeRaster

RECIPES = (
    "int8",
    "pca8-int8",
    "pca8-int4",
    "pca7-int2",
    "pca8-int4-lloyd",
    "pca7-ternary",
    "rot-binary",
    "pca8w0.5-itq-binary",
    "pca8-rot-pq4x8",
    "pca8w0.5-rot-pq4x8",
    "l2-pca8-int8",
    "power2x20",
    "float16",
    "float32",
)
DIMENSION = 16


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(900, DIMENSION), loc=0.5).astype(np.float32)


def labels(vectors: NDArray[np.float32], n_classes: int) -> NDArray[np.int64]:
    edges = np.linspace(0, 2, n_classes - 1)
    return np.asarray(np.digitize(vectors[:, 0] + vectors[:, 1], edges), dtype=np.int64)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("n_classes", [2, 3, 12])
def test_logistic_models_agree_on_every_kind_of_codes(
    vectors: NDArray[np.float32], recipe: str, n_classes: int
) -> None:
    """Scores and probabilities agree to 1e-5, labels where the scores are not tied to that."""
    encoding = Encoding.fit(vectors, recipe)
    codes = encoding.encode(vectors)
    decoded = encoding.decode(codes).astype(np.float64)
    model = LogisticRegression(max_iter=200).fit(decoded, labels(vectors, n_classes))
    applied = geoembz.apply_model(model, encoding)
    scores = model.decision_function(decoded)
    np.testing.assert_allclose(applied.decision_function(codes), scores, rtol=1e-5, atol=1e-5)
    expected = model.predict_proba(decoded)
    np.testing.assert_allclose(applied.predict_proba(codes), expected, atol=1e-5)
    top = np.sort(expected, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-4
    np.testing.assert_array_equal(applied.predict(codes)[clear], model.predict(decoded)[clear])


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        Ridge(),
        make_pipeline(StandardScaler(), Ridge()),
        RidgeClassifier(),
        LinearSVC(),
        LinearDiscriminantAnalysis(),
        SGDClassifier(loss="log_loss", random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_linear_models_agree(vectors: NDArray[np.float32], model: Any) -> None:
    encoding = Encoding.fit(vectors, "pca8-int8")
    codes = encoding.encode(vectors)
    decoded = encoding.decode(codes)
    model.fit(decoded, labels(vectors, 4))
    applied = geoembz.apply_model(model, encoding)
    if hasattr(model, "decision_function"):
        scores = model.decision_function(decoded.astype(np.float64))
        scale = np.abs(scores).max()
        np.testing.assert_allclose(applied.decision_function(codes), scores, atol=1e-5 * scale)
        assert (applied.predict(codes) == model.predict(decoded)).mean() > 0.995
    else:
        np.testing.assert_allclose(applied.predict(codes), model.predict(decoded), atol=1e-5)
    if hasattr(model, "predict_proba"):
        expected = model.predict_proba(decoded)
        np.testing.assert_allclose(applied.predict_proba(codes), expected, atol=1e-4)


def test_regressions_with_several_targets_keep_their_axis(vectors: NDArray[np.float32]) -> None:
    encoding = Encoding.fit(vectors, "int8")
    codes = encoding.encode(vectors).reshape(30, 30, -1)
    model = LinearRegression().fit(vectors, vectors[:, :2])
    expected = model.predict(encoding.decode(codes).reshape(900, -1)).reshape(30, 30, 2)
    np.testing.assert_allclose(
        geoembz.apply_model(model, encoding).predict(codes), expected, atol=1e-5
    )


def test_labels_of_text_and_of_two_classes(vectors: NDArray[np.float32]) -> None:
    encoding = Encoding.fit(vectors, "int8")
    codes = encoding.encode(vectors)
    names = np.array(["water", "land"])[labels(vectors, 2)]
    model = LogisticRegression().fit(vectors, names)
    applied = geoembz.apply_model(model, encoding)
    predicted = applied.predict(codes, valid=np.arange(900) != 5)
    assert predicted[5] == ""
    expected = model.predict(encoding.decode(codes))
    assert (np.delete(predicted, 5) == np.delete(expected, 5)).mean() > 0.995


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (RandomForestClassifier(2), "no coef_"),
        (PoissonRegressor(), "not linear"),
        (make_pipeline(Normalizer(), LogisticRegression()), "not known to be affine"),
        (LogisticRegression(), "no coef_"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_models_that_do_not_fold_are_refused(
    vectors: NDArray[np.float32], model: Any, message: str, request: pytest.FixtureRequest
) -> None:
    encoding = Encoding.fit(vectors, "int8")
    if not (isinstance(model, LogisticRegression) and message == "no coef_"):  # that one unfitted
        model.fit(vectors, labels(vectors, 3))
    with pytest.raises(InvalidConfigError, match=message):
        geoembz.apply_model(model, encoding)


def test_a_model_of_another_dimension_is_refused(vectors: NDArray[np.float32]) -> None:
    encoding = Encoding.fit(vectors, "pca8-int8")
    model = LinearRegression().fit(vectors[:, :8], vectors[:, 0])
    with pytest.raises(InvalidConfigError, match="train on those"):
        geoembz.apply_model(model, encoding)


@pytest.mark.parametrize("recipe", ["pca8-int8", "rot-binary", "pca7-ternary", "pca8-rot-pq4x8"])
def test_stores_and_windows_give_maps(
    tmp_path: Path, make_raster: MakeRaster, vectors: NDArray[np.float32], recipe: str
) -> None:
    """A store gives a lazy map with its coordinates; invalid pixels get nodata or NaN."""
    values = vectors.T.reshape(DIMENSION, 30, 30).copy()
    values[:, :4, :5] = np.nan
    source = make_raster(tmp_path / "source.tif", values)
    store = tmp_path / "store.zarr"
    geoembz.convert(source, store, recipe=recipe, chunk=16)
    original = geoembz.open(store)
    decoded = original.embedding.values.reshape(DIMENSION, -1).T
    valid = np.isfinite(decoded[:, 0])
    model = LogisticRegression().fit(decoded[valid], labels(decoded[valid], 3))
    applied = geoembz.apply_model(model, store)
    lazy = applied.predict(store)
    assert lazy.chunks is not None
    assert lazy.dims == ("y", "x")
    np.testing.assert_array_equal(lazy.x, original.x)
    predicted = lazy.values.reshape(-1)
    assert (predicted[~valid] == -1).all()
    assert (predicted[valid] == model.predict(decoded[valid])).mean() > 0.995
    scores = applied.decision_function(store)
    assert scores.dims == ("class", "y", "x")
    flat = scores.values.reshape(3, -1).T
    assert np.isnan(flat[~valid]).all()
    np.testing.assert_allclose(flat[valid], model.decision_function(decoded[valid]), atol=1e-5)
    window = geoembz.open(store, space="codes").isel(y=slice(2, 9), x=slice(3, 21))
    np.testing.assert_array_equal(applied.predict(window), lazy[2:9, 3:21])
    probabilities = applied.predict_proba(window)
    assert probabilities["class"].values.tolist() == [0, 1, 2]
    with pytest.raises(InvalidConfigError, match="expected codes"):
        applied.predict(original)
