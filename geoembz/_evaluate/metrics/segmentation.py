"""Score segmentation maps: intersection over union per class, and its mean."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError


@dataclass(frozen=True)
class ConfusionMatrix:
    """Pixel counts, true class by row and predicted class by column; windows can be merged."""

    classes: tuple[int, ...]
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if list(self.classes) != sorted(set(self.classes)):
            raise InvalidConfigError(
                f"segmentation: classes {self.classes}; list each class once, ascending"
            )

    @classmethod
    def of(
        cls,
        labels: ArrayLike,
        predicted: ArrayLike,
        classes: tuple[int, ...],
        *,
        nodata: int | None = None,
    ) -> "ConfusionMatrix":
        """Count one window.

        Parameters
        ----------
        labels, predicted
            Integers, one shape, any number of dimensions.
        classes
            All classes, ascending.
        nodata
            Label of pixels that are not counted.

        Raises
        ------
        InvalidConfigError
            If shapes differ or a value is neither a class nor `nodata`.
        """
        truth, guess = np.asarray(labels), np.asarray(predicted)
        if truth.shape != guess.shape:
            raise InvalidConfigError(
                f"segmentation: got labels {truth.shape} and predictions {guess.shape}"
            )
        kept = np.ones(truth.shape, bool) if nodata is None else truth != nodata
        truth, guess = truth[kept], guess[kept]
        if unknown := set(np.unique([*np.unique(truth), *np.unique(guess)]).tolist()) - {*classes}:
            raise InvalidConfigError(
                f"segmentation: values {sorted(unknown)} are not among the classes {classes}; "
                "name their nodata value or add them"
            )
        cells = np.searchsorted(classes, truth) * len(classes) + np.searchsorted(classes, guess)
        counts = np.bincount(cells, minlength=len(classes) ** 2)
        return cls(classes, counts.reshape(len(classes), len(classes)))

    def merge(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        """Return the counts of both."""
        if self.classes != other.classes:
            raise InvalidConfigError(
                f"segmentation: classes {self.classes} and {other.classes} cannot be merged"
            )
        return ConfusionMatrix(self.classes, self.counts + other.counts)

    def iou(self) -> dict[int, float]:
        """Return the intersection over union of each class that occurs among the labels."""
        hits, truth, guess = np.diag(self.counts), self.counts.sum(1), self.counts.sum(0)
        return {
            name: float(hits[i] / (truth[i] + guess[i] - hits[i]))
            for i, name in enumerate(self.classes)
            if truth[i]
        }

    def mean_iou(self) -> float:
        """Return the mean over the classes that occur; nan without pixels."""
        values = list(self.iou().values())
        return float(np.mean(values)) if values else float("nan")
