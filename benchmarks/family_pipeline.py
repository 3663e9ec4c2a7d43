"""Recipes of the codec family on arrays in memory, for the experiment in `family.py`.

Fits on the rows it is given and never sees labels. Rows are vectors here; kernels take columns.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from geoembz.distances import as_words, hamming_distances
from geoembz.neighbours import Neighbours, nearest
from geoembz.packing import pack
from geoembz.projection.maps import random_rotation, soft_whitening
from geoembz.quantization.base import Quantizer
from geoembz.quantization.binary import BinaryQuantizer
from geoembz.quantization.codebook import CodebookQuantizer
from geoembz.quantization.linear import LinearQuantizer
from geoembz.quantization.product import ProductQuantizer
from geoembz.quantization.ternary import TernaryQuantizer

type Floats = NDArray[np.float32]

_NAME = re.compile(
    r"(?P<l2>l2-)?(pca(?P<k>\d+)(w(?P<w>[\d.]+))?-)?(?P<rot>rot-)?"
    r"(?P<kind>float32|int8|int4|int2|ternary|binary|pq(?P<m>\d+)x8)(-(?P<method>lloyd|quantile))?"
)
_WIDTH = {"float32": 32, "int8": 8, "int4": 4, "int2": 2, "ternary": 2, "binary": 1}


@dataclass(frozen=True)
class Recipe:
    """A recipe name taken apart."""

    name: str
    l2: bool
    n_components: int | None
    soft: float
    rotated: bool
    kind: str
    n_subquantizers: int
    method: str | None

    @classmethod
    def parse(cls, name: str) -> "Recipe":
        match = _NAME.fullmatch(name)
        assert match, name
        part = match.groupdict()
        return cls(
            name,
            bool(part["l2"]),
            int(part["k"]) if part["k"] else None,
            float(part["w"] or 0),
            bool(part["rot"]),
            "pq" if part["m"] else part["kind"],
            int(part["m"] or 0),
            part["method"],
        )

    def size_bytes(self, dimension: int) -> int:
        """Bytes of one coded vector."""
        if self.kind == "pq":
            return self.n_subquantizers
        return (self.n_components or dimension) * _WIDTH[self.kind] // 8

    def fit(self, components: Floats, seed: int, n_iterations: int) -> Quantizer | None:
        """Fit the quantizer on ``(n_components, n_rows)``; None for float32."""
        if self.kind == "pq":
            return ProductQuantizer.fit(
                components,
                n_subquantizers=self.n_subquantizers,
                seed=seed,
                n_iterations=n_iterations,
            )
        if self.kind == "binary":
            return BinaryQuantizer.fit(components)
        if self.kind == "ternary":
            return TernaryQuantizer.fit(components)
        if self.method:
            return CodebookQuantizer.fit(components, bits=_WIDTH[self.kind], method=self.method)
        if self.kind == "float32":
            return None
        return LinearQuantizer.fit(components, bits=_WIDTH[self.kind])


@dataclass(frozen=True)
class Basis:
    """Principal components of some rows, with the rows in them and others to compare."""

    train: Floats
    other: Floats
    n_components: int

    @cached_property
    def mean(self) -> Floats:
        return self.train.mean(axis=0, dtype=np.float64).astype(np.float32)

    @cached_property
    def _eigen(self) -> tuple[NDArray[np.float64], Floats]:
        centred = self.train - self.mean
        covariance = (centred.T @ centred).astype(np.float64) / len(centred)
        values, vectors = np.linalg.eigh(covariance)
        rows = np.ascontiguousarray(vectors[:, ::-1][:, : self.n_components].T, dtype=np.float32)
        return np.sqrt(np.maximum(values[::-1][: self.n_components], 0)), rows

    @property
    def std(self) -> NDArray[np.float64]:
        return self._eigen[0]

    @property
    def matrix(self) -> Floats:
        return self._eigen[1]

    @cached_property
    def scores(self) -> tuple[Floats, Floats]:
        """Centred components of both sets, shapes ``(n_components, n_rows)``."""
        return tuple(
            np.ascontiguousarray(self.matrix @ (rows - self.mean).T)
            for rows in (self.train, self.other)
        )  # type: ignore[return-value]


def unit(rows: Floats) -> Floats:
    """Scale rows to length 1; rows of length 0 stay."""
    length: Floats = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return scaled


@lru_cache(maxsize=4)
def rotation(size: int, seed: int) -> Floats:
    return random_rotation(size, seed)


@dataclass(frozen=True)
class Coded:
    """Both sets after coding: components that decode to float, or packed bits to compare."""

    basis: Basis
    recipe: Recipe
    train: Floats
    other: Floats
    words: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None

    def neighbours(self, whiten: float = 0.0, k: int = 5) -> Neighbours:
        """Nearest training rows of the other rows: Hamming for bits, else the exact cosine."""
        if self.words is not None:
            return hamming_neighbours(*self.words, k)
        return cosine_neighbours(
            self._reduced(self.other, whiten), self._reduced(self.train, whiten), k
        )

    def _reduced(self, scores: Floats, whiten: float) -> Floats:
        """Rows of reduced vectors, the length of the mean's outside part appended, weighted."""
        if self.recipe.n_components is None:
            return scores.T + self.basis.mean
        matrix = self.basis.matrix[: self.recipe.n_components]
        inside = matrix @ self.basis.mean
        outside = np.linalg.norm(self.basis.mean - matrix.T @ inside)
        std = self.basis.std[: self.recipe.n_components]
        weight = (np.maximum(std, std[0] * 1e-6) / std[0]) ** -whiten
        reduced = (scores.T + inside) * weight.astype(np.float32)
        return np.column_stack([reduced, np.full(len(reduced), outside, dtype=np.float32)])


def code(recipe: Recipe, basis: Basis, seed: int = 0, fit_rows: int = 0, rounds: int = 25) -> Coded:
    """Fit on the basis' training rows (or `fit_rows` of them, chosen by seed); code both sets."""
    k = recipe.n_components
    train, other = (
        (np.ascontiguousarray((rows - basis.mean).T) for rows in (basis.train, basis.other))
        if k is None
        else (scores[:k] for scores in basis.scores)
    )
    size = len(train)
    forward, back = np.eye(size), np.eye(size)
    if recipe.soft:
        forward, back = soft_whitening(basis.std[:size], recipe.soft)
    if recipe.rotated:
        turn = rotation(size, seed)
        forward, back = turn @ forward, back @ turn.T
    changed = recipe.rotated or recipe.soft > 0
    inputs = [forward.astype(np.float32) @ part if changed else part for part in (train, other)]
    sample = inputs[0]
    if fit_rows:
        chosen = np.random.default_rng(seed).choice(sample.shape[1], fit_rows, replace=False)
        sample = sample[:, np.sort(chosen)]
    quantizer = recipe.fit(sample, seed, rounds)
    if quantizer is None:
        return Coded(basis, recipe, train, other)
    codes = [quantizer.quantize(part) for part in inputs]
    if recipe.kind == "binary":
        bits = [as_words(pack(part.astype(np.uint8), bits=1)) for part in codes]
        return Coded(basis, recipe, train, other, (bits[1], bits[0]))
    decoded = [quantizer.dequantize(part) for part in codes]
    if changed:
        decoded = [back.astype(np.float32) @ part for part in decoded]
    return Coded(basis, recipe, decoded[0], decoded[1])


def cosine_neighbours(queries: Floats, rows: Floats, k: int) -> Neighbours:
    """Nearest rows by cosine."""
    left, right = unit(queries), unit(rows).T

    def distances(some: slice, pixels: slice) -> Floats:
        return np.negative(left[some] @ right[:, pixels])

    return nearest(distances, len(left), right.shape[1], k)


def hamming_neighbours(
    queries: NDArray[np.uint64], words: NDArray[np.uint64], k: int
) -> Neighbours:
    """Nearest pixels by the number of differing bits."""

    def distances(some: slice, pixels: slice) -> NDArray[np.uint32]:
        return hamming_distances(queries[:, some], words[:, pixels])

    return nearest(distances, queries.shape[1], words.shape[1], k, max_bytes=1 << 24)


def votes(found: Neighbours, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Most frequent label among the neighbours; of equally frequent ones the lowest."""
    classes = np.arange(labels.max() + 1)
    counts = (labels[found.index][:, :, np.newaxis] == classes).sum(axis=1)
    return np.asarray(counts.argmax(axis=1), dtype=np.int64)
