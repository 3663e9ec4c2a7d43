"""What learns from labelled vectors: logistic and ridge regression, and nearest neighbours.

The penalties are tuned on the training rows alone, groups kept whole. A model is the same whatever
space it was fitted in: features are centred and have one common scale, so a rotation of them
changes nothing, and weights on components are weights on original vectors through the basis.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.neighbours import cosine_neighbours, majority_vote
from geoembz._evaluate.metrics.probes import fit_probe, fit_ridge
from geoembz._evaluate.task import Views
from geoembz._evaluate.tasks import NEIGHBOURS
from geoembz._predict.linear import LinearModel
from geoembz.encoding import Encoding

type Kind = Literal["logistic", "ridge", "knn"]
KINDS: tuple[Kind, ...] = get_args(Kind.__value__)

MOST_REFERENCES = 5_000
"""Labelled pixels that nearest neighbours are looked for among: each pixel of a map is compared
with all of them."""

_TUNING_FOLDS = {"logistic": 3, "ridge": 5}


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A linear model of features, and how it was tuned."""

    model: LinearModel
    notes: Mapping[str, Any]

    @property
    def converged(self) -> bool:
        """Whether the fit came to its end before its last step."""
        return bool(self.notes.get("converged", True))

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class, or the number, of each row."""
        outputs = features.astype(np.float64) @ self.model.weights.T + self.model.bias
        if self.model.classes is None:
            return np.asarray(outputs[:, 0])
        return np.asarray(self.model.classes[choose_class(outputs.T)])


@dataclass(frozen=True, eq=False)
class NeighbourFit:
    """Labelled features; the nearest of them, by cosine, vote or give their mean."""

    features: NDArray[np.float32]
    labels: NDArray[Any]
    quantities: bool
    converged: ClassVar[bool] = True

    @property
    def notes(self) -> Mapping[str, Any]:
        """How many vote."""
        return {"neighbours": min(NEIGHBOURS, len(self.features))}

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class, or the number, of each row."""
        nearest = cosine_neighbours(features, self.features, min(NEIGHBOURS, len(self.features)))
        if self.quantities:
            return np.asarray(self.labels[nearest.indices].mean(axis=1))
        return majority_vote(self.labels, nearest.indices)


type Fit = LinearFit | NeighbourFit


def choose_class(outputs: NDArray[Any]) -> NDArray[np.intp]:
    """Return the class number of each column of a linear classifier's outputs ``(n_outputs, n)``.

    Examples
    --------
    >>> choose_class(np.array([[-1.0, 2.0]]))
    array([0, 1])
    """
    if len(outputs) == 1:
        return np.asarray(outputs[0] > 0, np.intp)
    return np.asarray(outputs.argmax(axis=0))


def features_of(encoding: Encoding, codes: NDArray[Any]) -> NDArray[np.float32]:
    """Return what models are fitted on: components where they stand for vectors, else vectors.

    A last column may stand for the mean's part outside the subspace; see `Views.reduced`.
    """
    views = Views(encoding, codes)
    return views.reconstructed if _has_original_features(encoding) else views.reduced


def lift(encoding: Encoding, model: LinearModel) -> LinearModel:
    """Return a model of `features_of` as one of original vectors, ``(n_outputs, dimension)``."""
    if _has_original_features(encoding):
        return model
    weights = model.weights[:, : encoding.n_components] @ _basis(encoding)
    return LinearModel(weights, model.bias, model.classes, model.link, model.is_flat)


def lift_vectors(encoding: Encoding, features: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows of `features_of` as original vectors, shape ``(n, dimension)``."""
    wide = features.astype(np.float64)
    projection = encoding.projection
    if _has_original_features(encoding) or projection.offset is None or projection.mean is None:
        return wide
    scores = wide[:, : encoding.n_components] - projection.offset[:, 0]
    return np.asarray(scores @ _basis(encoding) + projection.mean)


def _has_original_features(encoding: Encoding) -> bool:
    projection = encoding.projection
    if projection.matrix is None or encoding.n_components >= encoding.dimension:
        return True
    return projection.inverse is not None


def _basis(encoding: Encoding) -> NDArray[np.float64]:
    """Return the components in original space, shape ``(n_components, dimension)``."""
    matrix = encoding.projection.matrix
    assert matrix is not None  # noqa: S101 - `_has_original_features` has looked
    return matrix.astype(np.float64)


def fit(
    kind: Kind,
    features: NDArray[np.float32],
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    *,
    quantities: bool,
    seed: int,
) -> Fit:
    """Fit a model, its penalty tuned by cross-validation that keeps groups whole.

    Parameters
    ----------
    kind
        One of `KINDS`; ``logistic`` is for classes only.
    features, labels
        Training rows, shapes ``(n, length)`` and ``(n,)``.
    groups
        Shape ``(n,)``; None for single rows.
    quantities
        Whether labels are numbers to predict.
    seed
        Of the folds.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    >>> found = fit("logistic", x, x[:, 0] > 0, None, quantities=False, seed=0)
    >>> found.predict(np.array([[3, 0, 0, 0]], "float32"))
    array([ True])
    """
    if kind == "knn":
        order = np.random.default_rng(seed).permutation(len(features))  # ties go to lower rows
        return NeighbourFit(features[order], labels[order], quantities)
    count = len(features) if groups is None else len(np.unique(groups))
    folds = min(_TUNING_FOLDS[kind], count)
    if folds < 2:
        groups, folds = None, 2
    how: dict[str, Any] = {"groups": groups, "n_folds": folds, "seed": seed}
    if kind == "logistic":
        return _logistic(features, labels, how)
    if quantities:
        probe = fit_ridge(features, labels, **how)
        model = LinearModel(probe.weights[np.newaxis], np.array([probe.intercept]), None, "none")
        return LinearFit(model, {"alpha": probe.alpha})
    return _ridge_classes(features, labels, how)


def _logistic(
    features: NDArray[np.float32], labels: NDArray[Any], how: Mapping[str, Any]
) -> LinearFit:
    probe = fit_probe(features, labels, **how)
    weights = probe.model.coef_.astype(np.float64) / probe.scale
    bias = probe.model.intercept_.astype(np.float64) - weights @ probe.centre.astype(np.float64)
    link: Literal["sigmoid", "softmax"] = "sigmoid" if len(weights) == 1 else "softmax"
    notes = {"c": probe.c, "converged": probe.converged}
    return LinearFit(LinearModel(weights, bias, probe.model.classes_, link), notes)


def _ridge_classes(
    features: NDArray[np.float32], labels: NDArray[Any], how: Mapping[str, Any]
) -> LinearFit:
    """Regress +1 and -1, each class against the others, and take the largest."""
    classes = np.unique(labels)
    wanted = classes[1:] if len(classes) == 2 else classes
    probes = [fit_ridge(features, np.where(labels == c, 1.0, -1.0), **how) for c in wanted]
    weights = np.stack([probe.weights for probe in probes])
    bias = np.array([probe.intercept for probe in probes])
    return LinearFit(
        LinearModel(weights, bias, classes, "none"), {"alpha": [probe.alpha for probe in probes]}
    )
