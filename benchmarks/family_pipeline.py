"""What `benchmarks.family` measures: vectors to codes to neighbours, all through `Encoding`.

Fits see the training rows that they are given, and no labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding, Recipe
from geoembz.evaluation.neighbours import (
    Neighbours,
    cosine_neighbours,
    hamming_neighbours,
    majority_vote,
)
from geoembz.projection import FittedProjection, Moments, fit_projection, normalized
from geoembz.quantization import Codes, fit_quantizer
from geoembz.threads import single_threaded_blas

type Floats = NDArray[np.float32]
type Labels = NDArray[np.int64]
type Hits = NDArray[np.bool_]

NEIGHBOURS = 5
SPLIT_SEEDS = (11, 12, 13, 14, 15)


@dataclass(frozen=True)
class Coded:
    """Both sets after coding, vectors as rows."""

    encoding: Encoding
    train: Codes
    other: Codes

    @property
    def is_binary(self) -> bool:
        """Whether codes are compared bit by bit, without decoding."""
        return self.encoding.quantizer.kind == "binary"

    def neighbours(self, whiten: float = 0.0) -> Neighbours:
        """Nearest training rows of the other rows: Hamming for bits, else the exact cosine."""
        if self.is_binary:
            other_bits, train_bits = (codes.astype(np.uint8) for codes in (self.other, self.train))
            return hamming_neighbours(other_bits, train_bits, NEIGHBOURS)
        decoder = self.encoding.decoder("reduced", whiten=whiten)
        other, train = (
            completed(self.encoding, decoder.decode(codes.T)) for codes in (self.other, self.train)
        )
        return cosine_neighbours(other, train, NEIGHBOURS)


def completed(encoding: Encoding, reduced: Floats) -> Floats:
    """Turn reduced columns into rows, the length of the mean's part outside appended."""
    outside = np.full(reduced.shape[1], encoding.projection.residual_norm, dtype=np.float32)
    return np.column_stack([reduced.T, outside])


@dataclass(frozen=True, eq=False)
class Problem:
    """Training and other rows with their labels."""

    train: Floats
    other: Floats
    train_y: Labels
    other_y: Labels
    _fitted: dict[Any, FittedProjection] = field(default_factory=dict, repr=False)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.train.shape[1])

    def code(self, encoding: Encoding) -> Coded:
        """Encode both sets."""
        return Coded(encoding, encoding.encode(self.train), encoding.encode(self.other))

    def fit(self, name: str, seed: int = 0) -> Encoding:
        """Fit as users do."""
        return Encoding.fit(self.train, name, seed)

    def fit_again(self, name: str, seed: int, n_rows: int, n_iterations: int) -> Encoding:
        """Fit what `fit` does, from moments kept between calls; `pq` coarsely, on a few rows."""
        recipe = Recipe.parse(name)
        columns = self._columns(recipe.normalize)
        options: dict[str, Any] = {}
        if recipe.n_subquantizers:
            few = np.random.default_rng(seed).choice(columns.shape[1], n_rows, replace=False)
            columns = columns[:, np.sort(few)]
            options = {
                "n_subquantizers": recipe.n_subquantizers,
                "seed": seed,
                "n_iterations": n_iterations,
            }
        with single_threaded_blas():
            fitted = self._projection(recipe, seed)
            scores = fitted.projection.transform(columns)
            quantizer = fit_quantizer(recipe.quantizer, scores, recipe.method, **options)
        variance = fitted.variance.astype(np.float32)
        return Encoding(str(recipe), fitted.projection, quantizer, variance, recipe.normalize)

    def hits(self, coded: Coded, whiten: float = 0.0) -> Hits:
        """Which of the other rows their nearest training rows classify right."""
        return self._right(coded.neighbours(whiten))

    def float_hits(self) -> Hits:
        """Return the same of the vectors as they are."""
        return self._right(cosine_neighbours(self.other, self.train, NEIGHBOURS))

    def accuracy(self, name: str, whiten: float = 0.0, seed: int = 0) -> float:
        """Percentage of the other rows that are classified right."""
        return float(100 * self.hits(self.code(self.fit(name, seed)), whiten).mean())

    def _right(self, found: Neighbours) -> Hits:
        return np.asarray(majority_vote(self.train_y, found.indices) == self.other_y)

    @cached_property
    def _unit(self) -> Floats:
        return normalized(self.train.T)

    def _columns(self, normalize: bool) -> Floats:
        return self._unit if normalize else self.train.T

    def _projection(self, recipe: Recipe, seed: int) -> FittedProjection:
        turn = seed if recipe.rotate else None
        key = (recipe.normalize, recipe.projection, recipe.n_components, recipe.whiten, turn)
        if key not in self._fitted:
            self._fitted[key] = fit_projection(
                self._normal_moments if recipe.normalize else self._moments,
                recipe.projection,
                recipe.n_components,
                whiten=recipe.whiten,
                rotate=recipe.rotate,
                seed=seed,
            )
        return self._fitted[key]

    @cached_property
    def _moments(self) -> Moments:
        return Moments.of(self.train.T)

    @cached_property
    def _normal_moments(self) -> Moments:
        return Moments.of(self._unit)


def read_eurosat(data: Path) -> Problem:
    """Read EuroSAT with the split that comes with it."""
    with np.load(data / "eurosat/eurosat_efficientnet_lite0_1280d_f16.npz") as archive:
        rows, labels = archive["embeddings"].astype(np.float32), archive["labels"].astype(np.int64)
        is_train = archive["is_train"].astype(bool)
    return split(rows, labels, ~is_train)


def read_alphaearth(data: Path) -> Iterator[Problem]:
    """Five splits in which points of one 0.05° cell stay together, 30 % of the cells held out."""
    with np.load(data / "aef_dynamicworld/aef_dw_points.npz") as archive:
        rows, labels = archive["embeddings"].astype(np.float32), archive["labels"].astype(np.int64)
        places = np.floor(np.column_stack([archive["lat"], archive["lon"]]) / 0.05)
    cell = np.unique(places, axis=0, return_inverse=True)[1].ravel()
    for seed in SPLIT_SEEDS:
        yield split(rows, labels, np.random.default_rng(seed).random(cell.max() + 1)[cell] < 0.3)


def training_splits(problem: Problem) -> Iterator[Problem]:
    """Hold out a fifth of the training rows, once per seed; the other rows are not involved."""
    for seed in SPLIT_SEEDS:
        held = np.zeros(len(problem.train), dtype=bool)
        chosen = np.random.default_rng(seed).choice(len(held), len(held) // 5, replace=False)
        held[chosen] = True
        yield split(problem.train, problem.train_y, held)


def split(rows: Floats, labels: Labels, held: Hits) -> Problem:
    """Set the held rows apart."""
    return Problem(rows[~held], rows[held], labels[~held], labels[held])
