"""Take a linear scikit-learn model apart: weights, bias, classes, and how probabilities come out.

Models are read by what they have (`coef_`, `intercept_`, `classes_`), not by their class. Whether a
model really is linear is then measured: it must give the same answers on vectors drawn at random.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError

type Link = Literal["sigmoid", "softmax", "none"]

_AFFINE = frozenset(
    {"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PCA", "TruncatedSVD"}
)
_TOLERANCE = 1e-4
"""Of a model's own outputs, relative to the largest: some models compute in float32, and
what is not linear differs by far more."""

_PROBES = 64
"""Vectors on which a model is compared with its weights."""


@dataclass(frozen=True, eq=False)
class LinearModel:
    """``weights @ x + bias``, and what is made of it.

    Parameters
    ----------
    weights
        float64, shape ``(n_outputs, dimension)``.
    bias
        float64, shape ``(n_outputs,)``.
    classes
        Labels of a classifier, ascending; None for a regression.
    link
        From outputs to probabilities; ``none`` where the model gives none.
    is_flat
        Whether a regression gives one number per vector rather than an axis of them.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    classes: NDArray[Any] | None
    link: Link = "none"
    is_flat: bool = False


def read_model(model: Any, encoding: Encoding) -> LinearModel:
    """Take a fitted model, or a pipeline that ends in one, apart.

    Parameters
    ----------
    model
        Has `coef_` and `intercept_`; or `steps`, all but the last affine.
    encoding
        Of the vectors that the model is for.

    Raises
    ------
    InvalidConfigError
        If it is not linear, not fitted, or made for vectors of another length.
    """
    weights, bias, last = _weights(model, encoding.dimension)
    probe = _draw_probe(encoding)
    classes = getattr(last, "classes_", None)
    if classes is not None and len(weights) != (len(classes) if len(classes) > 2 else 1):
        raise InvalidConfigError(
            f"fold: {type(last).__name__} has {len(classes)} classes and {len(weights)} rows of "
            "weights; one-against-one and multi-label models do not fold"
        )
    outputs = probe.astype(np.float64) @ weights.T + bias
    if classes is None:
        answer = np.asarray(model.predict(probe), dtype=np.float64)
        _compare("predict", model, outputs, answer.reshape(outputs.shape))
        return LinearModel(weights, bias, None, is_flat=answer.ndim == 1)
    decision = np.asarray(model.decision_function(probe)).reshape(outputs.shape)
    _compare("decision_function", model, outputs, decision)
    return LinearModel(weights, bias, np.asarray(classes), _link(model, probe, outputs.T))


def _draw_probe(encoding: Encoding) -> NDArray[np.float32]:
    """Return vectors like those that the encoding is for, by which models are compared."""
    rng = np.random.default_rng(0)
    mean = encoding.projection.mean
    vectors = rng.normal(size=(_PROBES, encoding.dimension)).astype(np.float32)
    vectors *= np.float32(np.sqrt(max(float(encoding.variance.mean()), 1e-12)))
    if mean is not None:
        vectors += mean
    return np.ascontiguousarray(encoding.target(vectors.T).T)


def probabilities(link: Link, outputs: NDArray[Any]) -> NDArray[Any]:
    """Return the probability of each class, shape ``(n_classes, n)``, of outputs ``(…, n)``.

    Examples
    --------
    >>> probabilities("sigmoid", np.array([[0.0]]))
    array([[0.5],
           [0.5]])
    """
    if link == "softmax":
        both = np.concatenate([-outputs, outputs]) if len(outputs) == 1 else outputs
        powers = np.exp(both - both.max(axis=0))
        return np.asarray(powers / powers.sum(axis=0))
    with np.errstate(over="ignore"):
        single = 1 / (1 + np.exp(-outputs))
    if len(outputs) == 1:
        return np.concatenate([1 - single, single])
    return np.asarray(single / single.sum(axis=0))


def _weights(model: Any, dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64], Any]:
    """Return weights and bias on the original vectors, and the model that the weights are of."""
    steps = [step for _, step in getattr(model, "steps", [("model", model)])]
    steps = [step for step in steps if step is not None and not isinstance(step, str)]
    *scalers, last = steps or [model]
    if not hasattr(last, "coef_") or not hasattr(last, "intercept_"):
        raise InvalidConfigError(
            f"fold: {type(last).__name__} has no coef_ and intercept_; expected a fitted linear "
            "model, such as LogisticRegression, Ridge or LinearSVC, or a pipeline ending in one"
        )
    matrix, constant = np.eye(dimension), np.zeros(dimension)
    for scaler in scalers:
        matrix, constant = _affine(scaler, matrix, constant)
    weights = np.atleast_2d(np.asarray(last.coef_, dtype=np.float64))
    if weights.ndim != 2 or weights.shape[1] != len(matrix):
        raise InvalidConfigError(
            f"fold: {type(last).__name__} takes vectors of {weights.shape[-1]} numbers; this "
            f"encoding's have {dimension} in original space: train on those"
        )
    bias = np.broadcast_to(np.asarray(last.intercept_, dtype=np.float64).reshape(-1), len(weights))
    return weights @ matrix, weights @ constant + bias, last


def _affine(
    scaler: Any, matrix: NDArray[np.float64], constant: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Follow an affine step, which is known by its values at zero and at the unit vectors."""
    name = type(scaler).__name__
    if name not in _AFFINE or getattr(scaler, "clip", False):
        raise InvalidConfigError(
            f"fold: step {name} is not known to be affine; expected one of "
            f"{', '.join(sorted(_AFFINE))} before the model (for unit vectors: an l2-… recipe)"
        )
    count = len(matrix)
    try:
        at_zero = np.asarray(scaler.transform(np.zeros((1, count))))[0]
        slope = (np.asarray(scaler.transform(np.eye(count))) - at_zero).T
    except ValueError as error:
        raise InvalidConfigError(
            f"fold: step {name} does not take vectors of {count} numbers ({error})"
        ) from error
    return slope @ matrix, slope @ constant + at_zero


def _link(model: Any, probe: NDArray[np.float32], outputs: NDArray[np.float64]) -> Link:
    """Return the link that reproduces the model's own probabilities."""
    predict = getattr(model, "predict_proba", None)
    if predict is None:
        return "none"
    answer = np.asarray(predict(probe), dtype=np.float64).T
    links: tuple[Link, ...] = ("sigmoid", "softmax")
    for link in links:
        if np.allclose(probabilities(link, outputs), answer, rtol=0, atol=1e-5):
            return link
    return "none"


def _compare(what: str, model: Any, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    scale = float(np.abs(theirs).max()) or 1.0
    error = float(np.abs(ours - theirs).max())
    if not error <= _TOLERANCE * max(scale, 1.0):
        raise InvalidConfigError(
            f"fold: {type(model).__name__}.{what} differs by {error:.3g} from its weights times "
            "the vectors; it is not linear and cannot be folded"
        )
