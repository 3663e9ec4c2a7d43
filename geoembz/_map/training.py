"""Labelled pixels of a store: which ones, their codes, and how they are divided for testing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.cross_validation import Division, divide
from geoembz._evaluate.labels import (
    PixelLabels,
    find_all_labels,
    number_grids,
    require_numbers,
    whole_classes,
)
from geoembz._evaluate.metrics.splits import rank_within, stratified_sample
from geoembz._evaluate.pixels import draw_labelled, gather_codes, metres
from geoembz._evaluate.sample import (
    ExperimentOptions,
    Sample,
    clean,
    find_missing,
)
from geoembz._map.legend import Legend, read_legend
from geoembz._map.options import TrainingOptions
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from geoembz.store.grids import open_readers, shared_encoding

FEW_PIXELS = 50
"""A class of fewer labelled pixels is warned of, and no draw makes it so small."""


_OF_CLASSES = "make a map of classes (geoembz map classify)"
_OF_QUANTITIES = "make a map of quantities (geoembz map regress)"


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a model learns from: labelled pixels of one encoding, and what tests it.

    Parameters
    ----------
    sample
        Codes, labels, groups and places.
    division
        Training and test rows.
    encoding
        Of the codes.
    seed
        Of every random choice.
    legend
        What the labels say of their classes.
    column
        Attribute or column that the labels are from; None of a raster.
    """

    sample: Sample
    division: Division
    encoding: Encoding
    seed: int
    legend: Legend
    column: str | None = None

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of all rows."""
        assert self.sample.labels is not None  # noqa: S101 - `read_training_set` gives some
        return self.sample.labels

    @property
    def codes(self) -> NDArray[Any]:
        """Codes of all rows, shape ``(n, code_length)``."""
        assert self.sample.codes is not None  # noqa: S101 - `read_training_set` gives them
        return self.sample.codes


def read_training_set(
    store: str | Path | StoreReader,
    options: TrainingOptions,
    *,
    time: str | None,
    level: int | None,
    quantities: bool,
    most: int | None = None,
) -> TrainingSet:
    """Read the codes of labelled pixels, in all grids of a store, and divide them.

    Parameters
    ----------
    store
        Path, URL or open store.
    options
        Which pixels; its labels are given.
    time, level
        Date and level of the codes.
    quantities
        Whether labels are numbers to predict rather than classes.
    most
        Draw no more than so many pixels, whatever the options say.

    Raises
    ------
    InvalidConfigError
        If a column is missing, labels are not what is wanted, a class has one pixel, or nothing is
        left to train or test on.
    SourceError
        If the labels cannot be read, or none lies on the store.
    """
    if options.labels is None:
        raise InvalidConfigError(
            "map: no labels; give --labels FILE to learn from, or --model FILE.json, a saved model"
        )
    readers = open_readers(store, level=level)
    encoding = shared_encoding(readers)
    found, tops = find_all_labels(
        [reader.attributes.grid for reader in readers],
        options.labels,
        options.column,
        options.groups,
        options.label_nodata,
    )
    if quantities:
        require_numbers(options.labels, found.labels, _OF_CLASSES)
    count = options.samples if most is None else min(most, options.samples)
    drawn = _draw(found, count, options.seed, quantities=quantities)
    sample = _sample(readers, tops, drawn, encoding, time)
    sample = replace(sample, name=str(options.labels), quantities=quantities)
    if not quantities:
        sample = _with_classes(sample)
        _refuse_lone_classes(sample)
    sample = clean(sample)
    experiment = ExperimentOptions(
        split=options.split, block_size=options.block_size, seed=options.seed
    )
    legend = Legend() if quantities else read_legend(options.labels)
    division = divide(sample, experiment)
    return TrainingSet(sample, division, encoding, options.seed, legend, found.column)


def _draw(labels: PixelLabels, count: int, seed: int, *, quantities: bool) -> PixelLabels:
    """Draw about `count` pixels, each class in proportion, but enough of a rare one."""
    if len(labels) <= count:
        return labels
    if quantities:
        return draw_labelled(labels, count, seed, classes=False)
    order = np.random.default_rng(seed).permutation(len(labels))
    classes = np.unique(labels.labels[order], return_inverse=True)[1]
    first = order[rank_within(classes) < FEW_PIXELS]
    return labels.take(np.union1d(stratified_sample(labels.labels, count, seed=seed), first))


def _read_codes(
    readers: Sequence[StoreReader],
    tops: NDArray[np.int64],
    drawn: PixelLabels,
    time: str | None,
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Read the codes of pixels, whether each holds an embedding, and where it lies."""
    numbers, rows = number_grids(tops, drawn.rows)
    codes, valid = gather_codes(readers, time, numbers, rows, drawn.cols)
    x, y = np.empty(len(drawn)), np.empty(len(drawn))
    for number, reader in enumerate(readers):
        here = numbers == number
        x[here], y[here] = metres(reader.attributes.grid, rows[here], drawn.cols[here])
    return codes, valid, x, y


def _sample(
    readers: Sequence[StoreReader],
    tops: NDArray[np.int64],
    drawn: PixelLabels,
    encoding: Encoding,
    time: str | None,
) -> Sample:
    """Return labelled pixels with their codes and places; all that have no embedding left out."""
    codes, valid, x, y = _read_codes(readers, tops, drawn, time)
    with single_threaded_blas():
        vectors = encoding.decode(codes, valid=valid)
    sample = Sample(
        vectors=vectors,
        labels=drawn.labels,
        groups=drawn.groups,
        x=x,
        y=y,
        codes=codes,
        encoding=encoding,
        exclusions=drawn.exclusions,
        messages=drawn.messages,
    )
    return sample.without(~valid, "labelled pixel without an embedding")


def _with_classes(sample: Sample) -> Sample:
    """Return a sample whose numbers are whole: files may hold them as floats."""
    labels = sample.labels
    if labels is None or labels.dtype.kind != "f":
        return sample
    sample = sample.without(np.isnan(labels), "label missing")
    labels = labels[~np.isnan(labels)]
    return replace(sample, labels=whole_classes(sample.name, labels, _OF_QUANTITIES))


def _refuse_lone_classes(sample: Sample) -> None:
    """Refuse a class of one pixel: it cannot be both learned and tested."""
    labels = sample.labels
    if labels is None:
        return
    classes, counts = np.unique(labels[~find_missing(labels)], return_counts=True)
    lone = classes[counts < 2]
    if len(lone):
        names = ", ".join(repr(str(name)) for name in lone[:5])
        raise InvalidConfigError(
            f"{sample.name}: one labelled pixel with an embedding in class {names}; expected two "
            "or more of each class, to learn from and to test: label more of it, or leave it out"
        )
