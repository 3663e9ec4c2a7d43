"""What every task is given, and what it gives: views of vectors, answers, scores, comparisons.

A task is fitted on the training rows of one fold and answers for its test rows. Answers of several
folds are joined; scores and comparisons are made on the joined answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.cross_validation import Division
from geoembz._evaluate.metrics.splits import Fold
from geoembz._evaluate.metrics.statistics import bootstrap_statistic, compare_interval
from geoembz._evaluate.sample import Sample
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding, Metric
from geoembz.errors import InvalidConfigError

WHITEN = 0.5
"""Power of the deviation in weighed comparisons: halfway between none, and all components alike."""

RESAMPLES = 500
"""Bootstrap samples of statistics that are no means."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What tasks are put to: rows with labels, how they are divided, and the seed."""

    sample: Sample
    division: Division
    seed: int

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of all rows; tasks are run only where there are some."""
        labels = self.sample.labels
        return np.empty(len(self.sample)) if labels is None else labels

    @property
    def truth(self) -> NDArray[Any]:
        """Labels of the test rows, fold by fold, as answers come."""
        return self.labels[self.division.tested]

    @property
    def groups(self) -> NDArray[Any] | None:
        """Groups of the test rows, fold by fold; None for single rows."""
        return self.division.tested_groups

    def train_groups(self, fold: Fold) -> NDArray[Any] | None:
        """Return the groups of a fold's training rows."""
        groups = self.division.groups
        return None if groups is None else groups[fold.train]


@dataclass(frozen=True, eq=False)
class Views:
    """Reconstructed, reduced and code views of one recipe's vectors; rows are those of the sample.

    Parameters
    ----------
    encoding
        Fitted on training rows; None for the baseline, vectors as they are.
    codes
        Shape ``(n, code_length)``; of the baseline the vectors.
    vectors
        As they were before, for float queries; None where there are none to be asked.
    after
        The same rows at a second date.
    """

    encoding: Encoding | None
    codes: NDArray[Any]
    vectors: NDArray[np.float32] | None = None
    after: "Views | None" = None

    @classmethod
    def of(cls, sample: Sample, encoding: Encoding | None = None) -> Self:
        """Encode a sample's vectors, unless it carries what a store holds for them."""
        later = sample.after
        after = None if later is None else cls(encoding, _encode(encoding, later), later)
        if encoding is not None and sample.codes is not None and sample.encoding is encoding:
            return cls(encoding, sample.codes, sample.vectors, after)
        return cls(encoding, _encode(encoding, sample.vectors), sample.vectors, after)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return "float32" if self.encoding is None else str(self.encoding.recipe)

    @property
    def bytes_per_vector(self) -> int:
        """Nominal size of one vector, before entropy coding."""
        if self.encoding is None:
            return 4 * int(self.codes.shape[1])
        return self.encoding.bytes_per_vector

    @cached_property
    def reconstructed(self) -> NDArray[np.float32]:
        """Vectors of the original dimension, shape ``(n, D)``."""
        if self.encoding is None:
            return self.codes
        with single_threaded_blas():
            return self.encoding.decode(self.codes)

    @cached_property
    def reduced(self) -> NDArray[np.float32]:
        """Short vectors whose dot products and cosines are those of `reconstructed`.

        Components, with the length of the mean's part outside the subspace appended. That part is
        the same in every reconstructed vector and at right angles to the rest, so one constant
        stands for it, and cosines are exactly those of the reconstruction.
        """
        encoding = self.encoding
        if encoding is None or encoding.n_components >= encoding.dimension:
            return self.reconstructed
        with single_threaded_blas():
            vectors = encoding.decode(self.codes, "reduced")
        return _with_residual(encoding, vectors)

    def whitened(self, power: float) -> NDArray[np.float32]:
        """Return components divided by a power of their deviation, shape ``(n, n_components)``.

        What ``open(space="reduced", whiten=…)`` reads, and searches by ``cosine-w0.5`` compare.
        """
        if self.encoding is None:
            return self.codes
        with single_threaded_blas():
            block = np.ascontiguousarray(self.codes.T)
            decoder = self.encoding.decoder("reduced", whiten=power)
            vectors: NDArray[np.float32] = decoder.decode(block)
        return np.ascontiguousarray(vectors.T)

    @property
    def can_be_whitened(self) -> bool:
        """Whether it is known how much each component varies."""
        return self.encoding is not None and self.encoding.knows_variance

    def float_queries(self, rows: NDArray[np.integer], power: float = 0.0) -> NDArray[np.float32]:
        """Return rows as queries that were not encoded, to be compared with the others as they are.

        Of the kind of `reduced`, or with a power of `whitened`.
        """
        if self.vectors is None:
            raise InvalidConfigError(f"{self.name}: only codes are known, and no float queries")
        vectors: NDArray[np.float32] = self.vectors[rows]
        encoding = self.encoding
        if encoding is None:
            return vectors
        with single_threaded_blas():
            if power:
                return encoding.reduce(vectors, power)
            if encoding.n_components >= encoding.dimension:
                targets: NDArray[np.float32] = encoding.target(vectors.T)
                return np.ascontiguousarray(targets.T)
            return _with_residual(encoding, encoding.reduce(vectors))

    @property
    def packed_bits(self) -> NDArray[np.uint8] | None:
        """Codes of shape ``(n, n_bytes)``, where each of their bits is one component, else None."""
        if self.encoding is None or self.encoding.quantizer.bits != 1:
            return None
        return self.codes if self.codes.dtype == np.uint8 else None


@dataclass(frozen=True, eq=False)
class Answer:
    """One value, or row of values, per test row; `notes` describe how it was fitted."""

    values: NDArray[Any]
    notes: Mapping[str, Any] = field(default_factory=dict)


class Task(ABC):
    """One task; see the module's docstring."""

    name: ClassVar[str]
    metric: ClassVar[str]
    """The score that decides."""
    compares_by: ClassVar[Metric | None] = None
    """The metric of searches that does what the task does; None where it is no search."""
    baseline: ClassVar[str | None] = None
    """Task whose uncompressed answer this one is compared with; None for its own."""

    def applies(self, views: Views) -> bool:
        """Whether the task can be run on these views."""
        del views
        return True

    @abstractmethod
    def solve(self, problem: Problem, fold: Fold, views: Views) -> Answer:
        """Fit on a fold's training rows, answer for its test rows."""

    @abstractmethod
    def score(self, problem: Problem, answer: Answer) -> dict[str, Any]:
        """Return the scores, JSON values."""

    @abstractmethod
    def compare(self, problem: Problem, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Return the scores of `answer` and what was lost: `delta`, `ci95`, `verdict`."""


def join_answers(answers: list[Answer]) -> Answer:
    """Return the answers of several folds as one; notes become lists where there are several."""
    if len(answers) == 1:
        return answers[0]
    notes = {name: [answer.notes[name] for answer in answers] for name in answers[0].notes}
    return Answer(np.concatenate([answer.values for answer in answers]), notes)


def compare_statistic(
    difference: Callable[[NDArray[np.int64]], float],
    n_units: int,
    problem: Problem,
    groups: NDArray[Any] | None,
) -> dict[str, Any]:
    """Judge a difference that is no mean, given as a function of unit numbers, as JSON values."""
    interval = bootstrap_statistic(
        difference, n_units, groups=groups, resamples=RESAMPLES, seed=problem.seed
    )
    return compare_interval(interval, n_units, groups).to_json()


def _with_residual(encoding: Encoding, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append what all reconstructed vectors share outside the subspace, if there is any."""
    outside = encoding.projection.residual_norm
    if not outside:
        return vectors
    constant = np.full((len(vectors), 1), outside, np.float32)
    return np.concatenate([vectors, constant], axis=1)


def _encode(encoding: Encoding | None, vectors: NDArray[np.float32]) -> NDArray[Any]:
    if encoding is None:
        return vectors
    with single_threaded_blas():
        return encoding.encode(vectors)
