"""Labelled pixels of a store: which ones, their codes, and how they are divided for testing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.cross_validation import Division, divide
from geoembz._evaluate.labels import PixelLabels, find_labels, refuse_no_label
from geoembz._evaluate.metrics.splits import rank_within, stratified_sample
from geoembz._evaluate.pixels import codes_reader, draw_labelled, gather, metres
from geoembz._evaluate.sample import (
    ExperimentOptions,
    Sample,
    clean,
    find_missing,
)
from geoembz._export.region import date_position
from geoembz._map.legend import Legend, read_legend
from geoembz._map.options import TrainingOptions
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.store import StoreReader
from geoembz.store.grids import open_readers

FEW_PIXELS = 50
"""A class of fewer labelled pixels is warned of, and no draw makes it so small."""


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
    encoding = _shared_encoding(readers)
    found, tops = _find_all(readers, options)
    if quantities:
        _require_numbers(found.labels, options)
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


def _shared_encoding(readers: Sequence[StoreReader]) -> Encoding:
    """Return the encoding of all grids."""
    first = readers[0].encoding
    if any(reader.encoding.hash != first.hash for reader in readers):
        raise InvalidConfigError(
            f"{readers[0].url}: its grids have different encodings; make a map of each alone"
        )
    return first


def _find_all(
    readers: Sequence[StoreReader], options: TrainingOptions
) -> tuple[PixelLabels, NDArray[np.int64]]:
    """Return the labels of all grids, one laid below the other, and the first row of each."""
    grids = [reader.attributes.grid for reader in readers]
    path = Path(str(options.labels))
    parts = [
        find_labels(path, grid, options.column, options.groups, options.label_nodata, "--column")
        for grid in grids
    ]
    tops = np.cumsum([0, *(grid.shape[0] for grid in grids[:-1])]).astype(np.int64)
    if not any(len(part) for part in parts):
        refuse_no_label(path, grids, parts[0].exclusions)
    if len(parts) == 1:
        return parts[0], tops
    # What lies outside one grid may lie in another, so exclusions of each say nothing of all.
    groups = [part.groups for part in parts if part.groups is not None]
    joined = PixelLabels(
        rows=np.concatenate([part.rows + top for part, top in zip(parts, tops, strict=True)]),
        cols=np.concatenate([part.cols for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        groups=np.concatenate(groups) if len(groups) == len(parts) else None,
        column=parts[0].column,
        messages=tuple(dict.fromkeys(text for part in parts for text in part.messages)),
    )
    return joined, tops


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


def _sample(
    readers: Sequence[StoreReader],
    tops: NDArray[np.int64],
    drawn: PixelLabels,
    encoding: Encoding,
    time: str | None,
) -> Sample:
    """Return labelled pixels with their codes and places; all that have no embedding left out."""
    codes, valid, x, y = _read_codes(readers, tops, drawn, encoding, time)
    if not valid.any():
        raise NoValidPixelsError(
            f"{readers[0].url}: not one of {len(drawn):,} labelled pixels holds an embedding; "
            "expected labels where the store has data"
        )
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


def _read_codes(
    readers: Sequence[StoreReader],
    tops: NDArray[np.int64],
    drawn: PixelLabels,
    encoding: Encoding,
    time: str | None,
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Read the codes of pixels grid by grid, whether each holds an embedding, and where it lies."""
    count = len(drawn)
    codes = np.zeros((count, encoding.code_length), encoding.code_dtype)
    valid = np.zeros(count, np.bool_)
    x, y = np.empty(count), np.empty(count)
    numbers = np.searchsorted(tops, drawn.rows, side="right") - 1
    for number, reader in enumerate(readers):
        here = np.flatnonzero(numbers == number)
        if not len(here):
            continue
        rows, cols = drawn.rows[here] - tops[number], drawn.cols[here]
        read = codes_reader(reader, date_position(reader, time))
        chunk = (int(reader.codes.chunks[-2]), int(reader.codes.chunks[-1]))
        codes[here], valid[here] = gather(read, chunk, rows, cols, encoding.code_dtype)
        x[here], y[here] = metres(reader.attributes.grid, rows, cols)
    return codes, valid, x, y


def _require_numbers(labels: NDArray[Any], options: TrainingOptions) -> None:
    if labels.dtype.kind not in "iuf":
        raise InvalidConfigError(
            f"{options.labels}: the labels are text, such as {str(labels[0])!r}; expected numbers: "
            "name another --column, or make a map of classes (geoembz map classify)"
        )


def _with_classes(sample: Sample) -> Sample:
    """Return a sample whose numbers are whole: files may hold them as floats."""
    labels = sample.labels
    if labels is None or labels.dtype.kind != "f":
        return sample
    sample = sample.without(np.isnan(labels), "label missing")
    labels = labels[~np.isnan(labels)]
    broken = labels[labels != np.round(labels)]
    if len(broken):
        raise InvalidConfigError(
            f"{sample.name}: {len(broken):,} labels are no whole numbers, such as {broken[0]:g}; "
            "expected classes, as texts or whole numbers: make a map of quantities (geoembz map "
            "regress)"
        )
    return replace(sample, labels=labels.astype(np.int64))


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
