"""What `benchmarks.rate_accuracy` measures: vectors to codes to neighbours, through `Encoding`.

Fits see the training rows that they are given, and no labels.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.inputs import read_table
from geoembz._evaluate.metrics.neighbours import (
    cosine_neighbours,
    hamming_neighbours,
    majority_vote,
)
from geoembz._evaluate.metrics.probes import fit_probe
from geoembz._evaluate.metrics.splits import Fold, fold_ids, shuffle_training_rows
from geoembz._evaluate.metrics.topk import Neighbours
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding, Recipe
from geoembz.encoding._projection import Moments, fit_projection, scale_to_unit
from geoembz.encoding._quantization import Codes, fit_quantizer
from geoembz.errors import InvalidConfigError

type Floats = NDArray[np.float32]
type Labels = NDArray[np.int64]
type Hits = NDArray[np.bool_]

NEIGHBOURS = 5
HELD_CELLS = 0.3


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
    train_groups: NDArray[Any] | None = None

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.train.shape[1])

    def code(self, encoding: Encoding) -> Coded:
        """Encode both sets."""
        if encoding.normalize:  # what `encode` would do again for every recipe
            plain, train, other = replace(encoding, normalize=False), self._unit.T, self._other_unit
            return Coded(encoding, plain.encode(train), plain.encode(other))
        return Coded(encoding, encoding.encode(self.train), encoding.encode(self.other))

    def fit(
        self,
        name: str,
        seed: int = 0,
        pq_rows: int | None = None,
        pq_iterations: int = 25,
        rq_iterations: int = 12,
    ) -> Encoding:
        """Fit what `Encoding.fit` does, bit for bit, from moments that are kept between calls.

        Fewer rows and iterations make the codebooks of `pq` and `rq` coarser and cheaper.
        """
        recipe = Recipe.parse(name)
        columns = self._unit if recipe.normalize else self.train.T
        options: dict[str, Any] = {}
        if recipe.n_subquantizers:
            if pq_rows is not None and pq_rows < columns.shape[1]:
                few = np.random.default_rng(seed).choice(columns.shape[1], pq_rows, replace=False)
                columns = columns[:, np.sort(few)]
            options = {
                "n_subquantizers": recipe.n_subquantizers,
                "seed": seed,
                "n_iterations": pq_iterations,
            }
        elif recipe.n_stages:
            options = {
                "n_stages": recipe.n_stages,
                "seed": seed,
                "n_iterations": rq_iterations,
            }
        with single_threaded_blas():
            fitted = fit_projection(
                self._unit_moments if recipe.normalize else self._moments,
                recipe.projection,
                recipe.n_components,
                whiten=recipe.whiten,
                rotate=recipe.is_rotated,
                itq=(lambda drawn: drawn.transform(columns)) if recipe.itq else None,
                seed=seed,
            )
            scores = fitted.projection.transform(columns)
            quantizer = fit_quantizer(recipe.quantizer, scores, recipe.method, **options)
        variance = fitted.variance.astype(np.float32)
        return Encoding(str(recipe), fitted.projection, quantizer, variance, recipe.normalize)

    def hits(self, coded: Coded, whiten: float = 0.0) -> Hits:
        """Which of the other rows their nearest training rows classify right."""
        return self._right(coded.neighbours(whiten))

    def probe_hits(self, coded: Coded) -> Hits:
        """Which of the other rows a linear probe on the training rows' reduced vectors gets right.

        Its regularisation is tuned on training rows.
        """
        decoder = coded.encoding.decoder("reduced")
        train, other = (
            np.ascontiguousarray(decoder.decode(codes.T).T) for codes in (coded.train, coded.other)
        )
        return np.asarray(fit_probe(train, self.train_y).predict(other) == self.other_y)

    def float_hits(self) -> Hits:
        """Return the same of the vectors as they are."""
        return self._right(cosine_neighbours(self.other, self.train, NEIGHBOURS))

    def _right(self, found: Neighbours) -> Hits:
        return np.asarray(majority_vote(self.train_y, found.indices) == self.other_y)

    @cached_property
    def _unit(self) -> Floats:
        return scale_to_unit(self.train.T)

    @cached_property
    def _other_unit(self) -> Floats:
        return scale_to_unit(self.other.T).T

    @cached_property
    def _moments(self) -> Moments:
        return Moments.of(self.train.T)

    @cached_property
    def _unit_moments(self) -> Moments:
        return Moments.of(self._unit)


def read(path: Path, label_column: str | None = None, groups: str | None = None) -> Problem:
    """Read labelled vectors; a fifth of the rows, or of the groups, is held out if none are."""
    sample = read_table(path, label_column=label_column, groups=groups)
    if sample.labels is None:
        raise InvalidConfigError(f"{path}: no labels; name their column with --label-column")
    labels = np.unique(sample.labels, return_inverse=True)[1].astype(np.int64)
    if sample.is_train is not None:
        held = ~sample.is_train
    else:
        held = fold_ids(labels, 5, groups=sample.groups) == 0
    return split(sample.vectors, labels, held, sample.groups)


def split(rows: Floats, labels: Labels, held: Hits, groups: NDArray[Any] | None = None) -> Problem:
    """Set the held rows apart, and break ties between the others as `geoembz.evaluate` does."""
    fold = shuffle_training_rows(Fold(np.flatnonzero(~held), np.flatnonzero(held)))
    train, test = fold.train, fold.test
    kept = None if groups is None else groups[train]
    return Problem(rows[train], rows[test], labels[train], labels[test], kept)


def split_cells(path: Path, degrees: float, seed: int) -> Problem:
    """Read points with places, and hold out three tenths of the cells that they lie in.

    Parameters
    ----------
    path
        An ``.npz`` file of `embeddings`, `labels`, `lat` and `lon`.
    degrees
        Side of a cell: points of one cell resemble each other, and stay together.
    seed
        Chooses the cells.
    """
    with np.load(path) as archive:
        rows, labels = archive["embeddings"].astype(np.float32), archive["labels"].astype(np.int64)
        places = np.floor(np.column_stack([archive["lat"], archive["lon"]]) / degrees)
    cell = np.unique(places, axis=0, return_inverse=True)[1].ravel()
    held = np.random.default_rng(seed).random(cell.max() + 1)[cell] < HELD_CELLS
    return split(rows, labels, held, cell)


def percent(hits: Hits) -> float:
    """Share of hits, in percent."""
    return float(100 * hits.mean())
