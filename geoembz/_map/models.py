"""Trained models: classes, probabilities or numbers out of codes, nothing decoded.

A model belongs to one encoding, whose hash it carries: its weights would give other answers on
codes of another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.topk import key_rows, sort_keys
from geoembz._evaluate.tasks import NEIGHBOURS
from geoembz._map.bands import MapBands
from geoembz._map.learners import Kind, LinearFit, choose_class, features_of, fit, lift
from geoembz._map.legend import Legend
from geoembz._map.training import TrainingSet
from geoembz._predict.linear import LinearModel, Link, probabilities
from geoembz._search.linear_fold import LinearFold
from geoembz._search.vectors import VectorScorer
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.encoding._projection import cached_pixels
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError

type Shows = Literal["classes", "probabilities", "numbers"]

type Outputs = Callable[[Codes], NDArray[Any]]
"""Codes ``(code_length, n_pixels)`` to outputs ``(n_outputs, n_pixels)``: a `LinearFold`, or
`NeighbourVotes`."""

_REFERENCES = 512
"""Labelled pixels that all pixels of a tile are compared with at once: 16 MB of distances."""


@dataclass(frozen=True, eq=False)
class NeighbourVotes:
    """Votes, or the mean, of the labelled pixels whose vectors are nearest, by cosine.

    Parameters
    ----------
    encoding
        Of the codes.
    references
        Original vectors of labelled pixels, shape ``(n, dimension)``.
    answers
        Class number (int64) or quantity (float64) of each, shape ``(n,)``; of equal distances the
        first counts as nearer.
    n_classes
        How many classes there are; 0 for quantities.
    k
        How many vote.
    """

    encoding: Encoding
    references: NDArray[np.float32]
    answers: NDArray[Any]
    n_classes: int
    k: int
    _scorers: tuple[VectorScorer, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fold the references into the encoding, some at a time."""
        starts = range(0, len(self.references), _REFERENCES)
        scorers = [
            VectorScorer(
                self.encoding,
                self.references[start : start + _REFERENCES],
                "cosine",
                accelerate=False,
            )
            for start in starts
        ]
        object.__setattr__(self, "_scorers", tuple(scorers))

    def __call__(self, codes: Codes) -> NDArray[np.float64]:
        """Return the share of votes of each class, or the mean, of each pixel."""
        step = cached_pixels(self.encoding.n_components)  # as wide as products are made
        starts = range(0, codes.shape[1], step)
        return np.concatenate([self._vote(codes[:, at : at + step]) for at in starts], axis=1)

    def _vote(self, codes: Codes) -> NDArray[np.float64]:
        """Return the outputs of some pixels."""
        best = np.empty((codes.shape[1], 0), np.uint64)
        for number, scorer in enumerate(self._scorers):
            distances = np.clip(np.float32(1) + scorer.distances(codes), 0, 2)
            keys = sort_keys(distances.T, number * _REFERENCES)
            best = np.concatenate([best, keys], axis=1)
            if best.shape[1] > self.k:
                best = np.partition(best, self.k - 1, axis=1)[:, : self.k]
        found = self.answers[key_rows(np.sort(best, axis=1))]
        if not self.n_classes:
            return np.asarray(found.mean(axis=1)[np.newaxis])
        return np.stack([(found == number).mean(axis=1) for number in range(self.n_classes)])


@dataclass(frozen=True, eq=False)
class ModelKernel:
    """What a model says of every pixel.

    Parameters
    ----------
    bands
        What the map holds.
    outputs
        The model, on codes.
    shows
        What is made of its outputs.
    values
        Of a map of classes, the number that stands for each, shape ``(n_classes,)``.
    link
        From outputs to probabilities; None where outputs are shares already.
    digest
        Stands for the model.
    """

    bands: MapBands
    outputs: Outputs
    shows: Shows
    digest: str
    values: NDArray[Any] | None = None
    link: Link | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the map depends on."""
        return {"model": self.digest, "shows": self.shows}

    def __call__(self, *codes: Codes) -> NDArray[Any]:
        """Return values ``(n_bands, n_pixels)``."""
        outputs = self.outputs(codes[0])
        if self.shows == "classes" and self.values is not None:
            return np.asarray(self.values[choose_class(outputs)][np.newaxis])
        if self.shows == "probabilities" and self.link is not None:
            outputs = probabilities(self.link, outputs)
        return outputs.astype(self.bands.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model of one encoding's vectors.

    Parameters
    ----------
    kind
        ``logistic``, ``ridge`` or ``knn``.
    recipe, encoding_hash, dimension
        Of the encoding.
    classes
        Labels, ascending: int64 or texts; None for a quantity.
    linear
        Of a linear model, on original vectors.
    references, answers
        Of nearest neighbours: codes of labelled pixels ``(n, code_length)``, and the class number
        or the quantity of each.
    legend
        Names and colours of classes.
    training
        What it learned from and how good it was, as JSON values.
    """

    kind: Kind
    recipe: str
    encoding_hash: str
    dimension: int
    classes: NDArray[Any] | None
    linear: LinearModel | None = None
    references: NDArray[Any] | None = None
    answers: NDArray[Any] | None = None
    legend: Legend = field(default_factory=Legend)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is neither linear nor neighbours."""
        if (self.linear is None) == (self.references is None or self.answers is None):
            raise ValueError("a model is linear or has references")

    def outputs(self, encoding: Encoding) -> Outputs:
        """Return the model on codes.

        Raises
        ------
        InvalidConfigError
            If it belongs to another encoding.
        """
        self.require(encoding)
        with single_threaded_blas():
            if self.linear is not None:
                return LinearFold.of(encoding, self.linear.weights, self.linear.bias)
            assert self.references is not None and self.answers is not None  # noqa: S101, PT018
            vectors = encoding.decode(self.references)
            n_classes = 0 if self.classes is None else len(self.classes)
            k = min(NEIGHBOURS, len(vectors))
            return NeighbourVotes(encoding, vectors, self.answers, n_classes, k)

    def require(self, encoding: Encoding, name: str = "model") -> None:
        """Refuse another encoding.

        Raises
        ------
        InvalidConfigError
            Saying how it differs.
        """
        if encoding.hash == self.encoding_hash:
            self._require_lengths(encoding, name)
            return
        raise InvalidConfigError(
            f"{name}: it was trained on codes of {self.recipe} of vectors of {self.dimension} "
            f"numbers, with the encoding {self.encoding_hash[:19]}…; the store has "
            f"{encoding.recipe} of {encoding.dimension} and {encoding.hash[:19]}…: train on this "
            "store, or convert it with the basis of the other (geoembz convert --basis)"
        )

    def _require_lengths(self, encoding: Encoding, name: str) -> None:
        """Refuse numbers that cannot be this encoding's: a file may say any hash."""
        codes = self.references
        fits = codes is None or (
            codes.shape[1] == encoding.code_length and codes.dtype == encoding.code_dtype
        )
        if self.dimension != encoding.dimension or not fits:
            raise InvalidConfigError(
                f"{name}: the model is damaged: its numbers are none of the encoding that it "
                "names; train it again"
            )


def train(rows: TrainingSet, kind: Kind, training: Mapping[str, Any]) -> TrainedModel:
    """Fit a model on all labelled pixels.

    Parameters
    ----------
    rows
        What it learns from.
    kind
        Which model.
    training
        What it learned from and how good it was, as JSON values.
    """
    encoding = rows.encoding
    found = fit(
        kind,
        features_of(encoding, rows.codes),
        rows.labels,
        rows.division.groups,
        quantities=rows.sample.quantities,
        seed=rows.seed,
    )
    parts = _linear(encoding, found) if isinstance(found, LinearFit) else _neighbours(rows)
    return TrainedModel(
        kind=kind,
        recipe=str(encoding.recipe),
        encoding_hash=encoding.hash,
        dimension=encoding.dimension,
        legend=rows.legend,
        training={**training, "fit": dict(found.notes)},
        **parts,
    )


def _linear(encoding: Encoding, found: LinearFit) -> dict[str, Any]:
    linear = lift(encoding, found.model)
    return {"linear": linear, "classes": linear.classes}


def _neighbours(rows: TrainingSet) -> dict[str, Any]:
    """Return codes in the order in which `fit` has its rows: of equal distances the first wins."""
    order = np.random.default_rng(rows.seed).permutation(len(rows.labels))
    codes, labels = rows.codes[order], rows.labels[order]
    if rows.sample.quantities:
        return {"classes": None, "references": codes, "answers": labels.astype(np.float64)}
    classes, answers = np.unique(labels, return_inverse=True)
    return {"classes": classes, "references": codes, "answers": answers.astype(np.int64)}
