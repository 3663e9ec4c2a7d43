"""The rows that an evaluation works on: which are asked for, and what is known about each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.sources import Source

SAMPLES = 20_000
"""Rows evaluated, by default."""


@dataclass(frozen=True)
class ExperimentOptions:
    """Which rows are judged, what is known about them, and how they are divided.

    Parameters
    ----------
    labels
        Labels of pixels: a raster, polygons or points in a file. A table has its labels.
    label_column, label_nodata, groups
        Attribute (or column) of the labels, label that means none, and attribute (or raster) of
        the groups, which are never split across folds.
    vector
        Column of a table's vectors, or what its numbered columns begin with; needed where there is
        a choice.
    after
        The same place at a second date, for change detection.
    split, block_size
        How rows are divided: ``given``, ``random``, ``stratified``, ``grouped`` or ``blocked``, and
        the side of a block in metres. None for what the data allow; rasters are split by blocks.
    samples
        Pixels to draw from a raster.
    seed
        Seed of every random choice.
    """

    labels: str | Path | None = None
    label_column: str | None = None
    label_nodata: float | None = None
    groups: str | None = None
    vector: str | None = None
    after: str | Path | Source | None = None
    split: str | None = None
    block_size: float | None = None
    samples: int = SAMPLES
    seed: int = 0


class ExperimentKeywords(TypedDict, total=False):
    """The fields of `ExperimentOptions` as flat keywords."""

    labels: str | Path | None
    label_column: str | None
    label_nodata: float | None
    groups: str | None
    vector: str | None
    after: str | Path | Source | None
    split: str | None
    block_size: float | None
    samples: int
    seed: int


DEFAULTS = ExperimentOptions()
"""Options that were not given."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Arrays with one entry per row, and what is known about the rows left out.

    Parameters
    ----------
    exclusions
        Number of rows left out, by reason.
    messages
        What a user should know about how the rows were made.
    """

    exclusions: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    messages: tuple[str, ...] = field(default=(), kw_only=True)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def take(self, rows: NDArray[Any]) -> Self:
        """Return some of the rows."""
        return replace(self, **{name: values[rows] for name, values in self.arrays().items()})

    def without(self, rows: NDArray[np.bool_], reason: str) -> Self:
        """Return what is left without some rows, which are counted under `reason`."""
        count = int(rows.sum())
        if not count:
            return self
        excluded = {**self.exclusions, reason: self.exclusions.get(reason, 0) + count}
        return replace(self, exclusions=excluded).take(~rows)


@dataclass(frozen=True, eq=False)
class Sample(Rows):
    """Vectors with their labels, groups and places; every array has one entry per row.

    Parameters
    ----------
    vectors
        The uncompressed vectors, float32, shape ``(n, D)``, finite.
    labels
        Classes, quantities or change flags, shape ``(n,)``; None without labels.
    groups
        What must stay on one side of a split (polygon, site, region), shape ``(n,)``.
    x, y
        Where each row lies, in metres, float64, shape ``(n,)``.
    is_train
        bool, shape ``(n,)``, where a split comes with the data.
    after
        The same rows at a second date, shape ``(n, D)``, for change detection.
    codes
        What a store holds for these rows, shape ``(n, code_length)``.
    encoding
        The store's encoding, which `codes` were made with.
    name
        What to call the sample in messages.
    quantities
        The labels are quantities, whatever their type; otherwise whole numbers are classes.
    exclusions, messages
        See `Rows`.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    x: NDArray[np.float64] | None = None
    y: NDArray[np.float64] | None = None
    is_train: NDArray[np.bool_] | None = None
    after: NDArray[np.float32] | None = None
    codes: NDArray[Any] | None = None
    encoding: Encoding | None = None
    name: str = "sample"
    quantities: bool = False

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths, and nothing at all."""
        if self.vectors.ndim != 2:
            raise InvalidConfigError(
                f"{self.name}: vectors of shape {self.vectors.shape}; expected (n, D)"
            )
        for name, values in self.arrays().items():
            if len(values) != len(self):
                raise InvalidConfigError(
                    f"{self.name}: {len(values)} {name} for {len(self)} vectors; expected one per "
                    "vector"
                )
        if not len(self):
            left_out = ", ".join(f"{count:,} {why}" for why, count in self.exclusions.items())
            raise NoValidPixelsError(
                f"{self.name}: no row is left to evaluate (left out: {left_out or 'nothing'})"
            )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def has_classes(self) -> bool:
        """Whether the labels are classes: strings, integers, or numbers that are integers."""
        if self.labels is None or self.quantities:
            return False
        if self.labels.dtype.kind != "f":
            return True
        return bool(np.all(self.labels == np.round(self.labels)))


def clean(sample: Sample) -> Sample:
    """Leave out rows that cannot be used, and say how many and why.

    That is: vectors that are not finite, labels that are missing, and, of classes, those with one
    member, which cannot be both learned and tested.

    Raises
    ------
    NoValidPixelsError
        If nothing is left.
    InvalidConfigError
        If only one class is left.
    """
    finite = np.isfinite(sample.vectors).all(axis=1)
    if sample.after is not None:
        finite &= np.isfinite(sample.after).all(axis=1)
    sample = sample.without(~finite, "vector with NaN or infinity")
    if sample.groups is not None and sample.groups.dtype.kind == "O":
        sample = replace(sample, groups=sample.groups.astype(str))
    if sample.labels is None:
        return sample
    sample = sample.without(find_missing(sample.labels), "label missing")
    return _without_lone_classes(sample) if sample.has_classes else sample


def find_missing(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which labels are missing."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind == "O":
        return np.array([label is None or label != label for label in labels], dtype=np.bool_)
    return np.zeros(len(labels), np.bool_)


def _without_lone_classes(sample: Sample) -> Sample:
    labels = sample.labels
    if labels is None:
        return sample
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    elif labels.dtype.kind == "f":
        labels = labels.astype(np.int64)
    sample = replace(sample, labels=labels)
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sample = sample.without(counts[codes] < 2, "class with one member")
    classes = classes[counts > 1]
    if len(classes) < 2:
        raise InvalidConfigError(
            f"{sample.name}: all {len(sample):,} labelled rows have one class "
            f"({classes[0]!s}); expected two classes or more: check the labels and their column, "
            "or evaluate without labels"
        )
    return sample
