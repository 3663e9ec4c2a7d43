"""Score predicted classes: accuracy, macro-F1, F1 per class, and what a compression took off each.

Classes are those that occur among the true labels, so that two predictions of the same rows are
always scored over the same classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

type Label = int | float | str


@dataclass(frozen=True)
class ClassScores:
    """How well one set of predictions did; `f1` and `support` (rows) are per class."""

    accuracy: float
    macro_f1: float
    f1: dict[Label, float]
    support: dict[Label, int]


@dataclass(frozen=True)
class ClassDrops:
    """F1 lost per class, in the order of the loss; negative where a class gained."""

    drops: dict[Label, float]

    @property
    def worst_class(self) -> Label:
        """The class that lost most."""
        return next(iter(self.drops))


def score_classes(labels: ArrayLike, predicted: ArrayLike) -> ClassScores:
    """Score predictions against labels.

    Parameters
    ----------
    labels, predicted
        Shape ``(n,)``, of one kind (numbers or strings).

    Raises
    ------
    InvalidConfigError
        If the shapes differ or there is no row.

    Examples
    --------
    >>> score_classes(["a", "a", "b", "b"], ["a", "b", "b", "b"])
    ClassScores(accuracy=0.75, macro_f1=0.733..., f1={'a': 0.666..., 'b': 0.8},
                support={'a': 2, 'b': 2})
    """
    truth, guess = np.asarray(labels), np.asarray(predicted)
    if truth.shape != guess.shape or truth.ndim != 1 or not truth.size:
        raise InvalidConfigError(
            f"score_classes: got {truth.shape} labels and {guess.shape} predictions; expected one "
            "prediction per label"
        )
    classes, support = np.unique(truth, return_counts=True)
    f1 = _f1(truth, guess, classes, support)
    return ClassScores(
        accuracy=float(np.mean(truth == guess)),
        macro_f1=float(f1.mean()),
        f1=dict(zip(classes.tolist(), f1.tolist(), strict=True)),
        support=dict(zip(classes.tolist(), support.tolist(), strict=True)),
    )


def class_drops(baseline: ClassScores, compressed: ClassScores) -> ClassDrops:
    """Return how much F1 each class lost, greatest loss first, ties in the order of the classes.

    Raises
    ------
    InvalidConfigError
        If the two were scored over different classes.

    Examples
    --------
    >>> labels = ["a", "a", "b", "b"]
    >>> full = score_classes(labels, labels)
    >>> class_drops(full, score_classes(labels, ["a", "b", "b", "b"])).worst_class
    'a'
    """
    if baseline.support != compressed.support:
        raise InvalidConfigError(
            f"class_drops: got rows per class {baseline.support} and {compressed.support}; score "
            "both on the same test rows"
        )
    drops = {name: f1 - compressed.f1[name] for name, f1 in baseline.f1.items()}
    return ClassDrops(dict(sorted(drops.items(), key=lambda item: -item[1])))


def _f1(
    truth: NDArray[np.generic],
    guess: NDArray[np.generic],
    classes: NDArray[np.generic],
    support: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return 2 TP / (true rows + predicted rows) of each class."""
    found = np.array([np.sum((truth == name) & (guess == name)) for name in classes])
    claimed = np.array([np.sum(guess == name) for name in classes])
    return np.asarray(2 * found / (support + claimed), dtype=np.float64)
